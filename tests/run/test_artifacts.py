"""Files, images with boxes, alerts and notes of a run."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from epochal.records import Alert, Artifact, ImageLogged, Notice
from epochal.store.blobs import Blobs


@pytest.fixture
def blob(folder):
    return lambda digest: Blobs(folder.blobs).get(digest)


def test_an_artifact_is_a_copy_that_stays(run, records, blob, tmp_path):
    """F53: trainers rewrite weights in place; the copy does not change with them."""
    weights = tmp_path / "best.pt"
    weights.write_bytes(b"first")
    digest = run.artifact(weights, "weights/best.pt", role="weights", step=3, meta={"epoch": 3})
    weights.write_bytes(b"other")
    (body,) = records(run, Artifact)
    assert (body.key, body.digest, body.size) == ("weights/best.pt", digest, 5)
    assert (body.role, body.step, body.meta) == ("weights", 3, {"epoch": 3})
    assert blob(digest) == b"first"


def test_an_artifact_is_called_like_its_file(run, records, tmp_path):
    (tmp_path / "results.csv").write_text("a,b\n")
    assert run.artifact(str(tmp_path / "results.csv"))
    assert records(run, Artifact)[0].key == "results.csv"


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a//b", "a/./b", "a\\b", "a\nb", "x" * 2000]
)
def test_a_key_that_is_no_relative_path_is_told(run, records, tmp_path, key):
    """A1, A3, A7 at the client: a key is only ever a name."""
    (tmp_path / "f").write_text("x")
    assert run.artifact(tmp_path / "f", key) is None
    assert records(run, Artifact) == []
    assert len(records(run, Notice)) == 1


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_a_file_that_cannot_be_read_is_told(run, records, tmp_path, name):
    assert run.artifact(tmp_path / name, "key") is None
    assert len(records(run, Notice)) == 1


def test_an_empty_file_is_an_artifact(run, blob, tmp_path):
    """F54."""
    (tmp_path / "empty").touch()
    digest = run.artifact(tmp_path / "empty")
    assert blob(digest) == b""


RED = np.zeros((4, 6, 3), np.uint8)
RED[..., 0] = 255


@pytest.mark.parametrize(
    ("image", "size", "mode"),
    [
        (RED, (6, 4), "RGB"),
        (RED[..., 0], (6, 4), "L"),
        (RED[..., :1], (6, 4), "L"),
        (np.dstack([RED, RED[..., :1]]), (6, 4), "RGBA"),
        (RED[::2, ::-1], (6, 2), "RGB"),
        (Image.fromarray(RED), (6, 4), "RGB"),
    ],
    ids=["rgb", "grey", "channel", "alpha", "strided", "pil"],
)
def test_images_of_any_kind(run, records, blob, image, size, mode):
    digest = run.image("val/0", image, step=2)
    (body,) = records(run, ImageLogged)
    assert (body.key, body.digest, body.step) == ("val/0", digest, 2)
    with Image.open(io.BytesIO(blob(digest))) as read:
        assert (read.format, read.size, read.mode) == ("PNG", size, mode)
        if mode != "L":
            assert read.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_file_is_kept_byte_for_byte(run, blob, tmp_path, kind):
    path = tmp_path / "image"
    Image.fromarray(RED).save(path, format=kind)
    assert blob(run.image("k", path)) == path.read_bytes()


@pytest.mark.parametrize(
    "image", [RED.astype(float), RED[..., :2], np.zeros(3, np.uint8), "text.txt", b"bytes"]
)
def test_what_is_no_image_is_told(run, records, tmp_path, image):
    (tmp_path / "text.txt").write_text("no image")
    assert run.image("k", image) is None
    assert records(run, ImageLogged) == []
    assert len(records(run, Notice)) == 1


def test_boxes_go_along_with_their_image(run, records):
    boxes = [
        {"box": np.array([1, 2, 3, 4]), "class": "pallet", "score": np.float32(0.5)},
        {"box": [1, 2, 3, 4], "class": "pallet", "truth": True},
    ]
    run.log({"k": 1.0}, step=7)
    run.image("val/0", RED, boxes=boxes, caption="a miss")
    (body,) = records(run, ImageLogged)
    assert body.boxes == (
        {"box": [1, 2, 3, 4], "class": "pallet", "score": 0.5},
        {"box": [1, 2, 3, 4], "class": "pallet", "truth": True},
    )
    assert (body.step, body.caption) == (7, "a miss")


def test_of_very_many_boxes_the_true_and_the_surest_are_kept(run, records):
    boxes = [{"box": [0, 0, n, n], "class": "x", "score": n / 2000} for n in range(2000)]
    boxes.append({"box": [0, 0, 1, 1], "class": "x", "truth": True})
    assert run.image("k", RED, boxes=boxes)
    (body,) = records(run, ImageLogged)
    assert len(body.boxes) == 300
    assert body.boxes[0]["truth"]
    assert body.boxes[1]["score"] == 1999 / 2000
    assert "2001 boxes" in records(run, Notice)[0].text


def test_alerts_are_kept_within_their_bounds(run, records):
    run.alert("loss is NaN", "at step 3", level="error")
    run.alert("t" * 1000, "x" * 100_000, level="whatever")
    first, second = records(run, Alert)
    assert (first.title, first.text, first.level) == ("loss is NaN", "at step 3", "error")
    assert (len(second.title), len(second.text), second.level) == (250, 10_000, "warning")


def test_the_last_note_is_the_runs_lesson(run, document):
    run.note("first thought")
    run.note("second thought")
    run.finish()
    assert document(run).lesson.text == "second thought"
