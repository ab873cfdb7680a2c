"""From files of any format to an evaluation."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.conftest import random_boxes, to_coco
from tests.evaluation.test_evaluation_formats import write, write_yolo

from epochal.errors import InvalidInput, NotFound
from epochal.evaluation import average_precision, match
from epochal.evaluation.files import evaluate_files


@pytest.fixture
def boxes():
    return random_boxes(3, 6, crowd=0.0, duplicates=False)


@pytest.fixture
def dataset(tmp_path, boxes):
    """A YOLO dataset of these boxes: data.yaml, images, labels."""
    root = tmp_path / "data"
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
    write_yolo(root / "labels" / "val", boxes, side="truth")
    for index, name in enumerate(boxes.images):
        shade = Image.new("L", (200, 200), 10 * index)
        shade.save(root / "images" / "val" / name)
    Image.new("L", (8, 8)).save(root / "images" / "train" / "other.jpg")
    names = ", ".join(boxes.classes)
    write(root / "data.yaml", f"train: images/train\nval: images/val\nnames: [{names}]\n")
    return root


@pytest.fixture
def predictions(tmp_path, boxes):
    """What Ultralytics writes with save_json and save_txt."""
    folder = tmp_path / "run"
    write_yolo(folder / "labels", boxes, side="pred")
    _, rows = to_coco(boxes)
    for row in rows:
        row["category_id"] += 1
    write(folder / "predictions.json", rows)
    return folder


@pytest.fixture
def expected(boxes):
    return average_precision(match(boxes)).map


@pytest.mark.parametrize("truth", ["data.yaml", "labels/val", "images/val"])
@pytest.mark.parametrize("given", ["", "predictions.json", "labels"])
def test_yolo_data(dataset, predictions, expected, truth, given):
    evaluation, records, boxes = evaluate_files(
        dataset / truth, predictions / given, data=dataset / "data.yaml"
    )
    assert evaluation.metrics["mAP50-95"] == pytest.approx(expected, abs=1e-9)
    assert evaluation.images == records.n_images == 6
    assert len(set(boxes.digests)) == 6
    assert boxes.sizes.tolist() == [[200, 200]] * 6
    assert len(evaluation.split_digest) == 64


def test_the_same_data_has_the_same_digest_whatever_names_it(dataset, predictions):
    found = [
        evaluate_files(dataset / truth, predictions, data=dataset / "data.yaml")[0].split_digest
        for truth in ("labels/val", "images/val")
    ]
    assert found[0] == found[1]
    label = next((dataset / "labels" / "val").glob("*.txt"))
    label.write_text(label.read_text() + "\n0 0.5 0.5 0.1 0.1")
    changed, *_ = evaluate_files(dataset / "labels/val", predictions, data=dataset / "data.yaml")
    assert changed.split_digest != found[0]


def test_classes_from_a_file_beside_the_labels(dataset, predictions, boxes):
    evaluation, *_ = evaluate_files(dataset / "labels/val", predictions)
    assert evaluation.classes == boxes.classes
    (dataset / "data.yaml").unlink()
    with pytest.raises(InvalidInput, match=r"not named.*--data"):
        evaluate_files(dataset / "labels/val", predictions)
    write(dataset / "labels/val/classes.txt", "\n".join(boxes.classes))
    evaluation, *_ = evaluate_files(dataset / "labels/val", predictions)
    assert evaluation.classes == boxes.classes


def test_keypoints_behind_a_box_are_no_polygon(dataset, predictions, expected):
    points = " 0.1 0.9 2 0.9 0.1 2"
    for folder, at in ((dataset / "labels/val", None), (predictions / "labels", -1)):
        for path in folder.glob("*.txt"):
            lines = [line.split() for line in path.read_text().splitlines()]
            path.write_text(
                "\n".join(
                    " ".join(words[:5]) + points + (f" {words[at]}" if at else "")
                    for words in lines
                )
            )
    yaml = dataset / "data.yaml"
    yaml.write_text(yaml.read_text() + "kpt_shape: [2, 3]\n")
    for truth in (yaml, dataset / "labels/val"):
        evaluation, *_ = evaluate_files(truth, predictions / "labels")
        assert evaluation.metrics["mAP50-95"] == pytest.approx(expected, abs=1e-9)


def test_coco(tmp_path, boxes, expected):
    truth, results = to_coco(boxes)
    paths = write(tmp_path / "truth.json", truth), write(tmp_path / "results.json", results)
    evaluation, _, found = evaluate_files(*paths, split="test", weights="abc")
    assert evaluation.metrics["mAP50-95"] == expected
    assert (evaluation.split, evaluation.weights, found.digests) == ("test", "abc", ())
    shuffled = dict(truth, annotations=truth["annotations"][::-1])
    again, *_ = evaluate_files(write(paths[0], shuffled), paths[1], split="test")
    assert again.fingerprint == evaluation.fingerprint


def test_coco_with_images_and_yolo_predictions(tmp_path, dataset, predictions, boxes, expected):
    truth = write(tmp_path / "truth.json", to_coco(boxes)[0])
    evaluation, _, found = evaluate_files(
        truth, predictions / "labels", images=dataset / "images/val"
    )
    assert evaluation.metrics["mAP50-95"] == pytest.approx(expected, abs=1e-9)
    assert len(set(found.digests)) == 6


def test_groups(tmp_path, dataset, predictions):
    arguments = (dataset / "data.yaml", predictions)
    _, records, _ = evaluate_files(*arguments, group_of=r"(\d)\d$")
    assert records.groups == ("0",) * 6
    _, records, _ = evaluate_files(*arguments, group_of=r"0*[0-2]?$")
    assert len(set(records.groups)) == 4
    with pytest.raises(InvalidInput, match="does not match"):
        evaluate_files(*arguments, group_of="clip")
    with pytest.raises(InvalidInput, match="no regular expression"):
        evaluate_files(*arguments, group_of="(")
    lines = [f"images/val/{i:04}.jpg,clip{i // 3}" for i in range(6)]
    listed = write(tmp_path / "groups.csv", "\n".join(["image,group", *lines]))
    _, records, _ = evaluate_files(*arguments, groups=listed)
    assert records.groups == ("clip0",) * 3 + ("clip1",) * 3
    write(listed, "\n".join(["image,group", *lines[1:]]))
    with pytest.raises(InvalidInput, match=r"no group for 1 images, the first is images/val/0000"):
        evaluate_files(*arguments, groups=listed)
    with pytest.raises(InvalidInput, match="lacks the columns"):
        evaluate_files(*arguments, groups=write(listed, "a,b\n1,2"))


def test_sizes_are_those_that_are_shown(tmp_path):
    from epochal.evaluation.image_files import image_sizes

    turned = Image.Exif()
    turned[274] = 6
    Image.new("L", (30, 20)).save(tmp_path / "a.jpg", exif=turned)
    Image.new("L", (30, 20)).save(tmp_path / "b.png")
    Image.new("L", (30, 20)).save(tmp_path / "c.png", exif=turned)
    files = {name: tmp_path / name for name in ("a.jpg", "b.png", "c.png")}
    assert image_sizes(files) == {"a.jpg": (20, 30), "b.png": (30, 20), "c.png": (20, 30)}
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"b\.png cannot be read as an image"):
        image_sizes(files)


def test_progress_ends_at_the_total(dataset, predictions):
    seen = []
    evaluate_files(
        dataset / "data.yaml", predictions / "labels", progress=lambda *s: seen.append(s)
    )
    assert seen[-1] == (6, 6)


@pytest.mark.parametrize(
    ("truth", "given", "message"),
    [
        ("missing.yaml", "run", "missing.yaml does not exist"),
        ("data/data.yaml", "nowhere", "nowhere does not exist"),
        ("data/data.yaml", "empty", "neither predictions.json nor label files"),
        ("data/data.yaml", "note.md", "neither COCO JSON nor a folder"),
        ("note.md", "run", "no ground truth that can be read"),
        ("data/data.yaml", "table.csv", "do not belong together"),
        ("empty", "run", "no images in"),
        ("data/images/train", "run", "no label file belongs to"),
    ],
)
def test_what_is_refused(tmp_path, dataset, predictions, truth, given, message):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "note.md", "")
    write(tmp_path / "table.csv", "")
    with pytest.raises((InvalidInput, NotFound), match=message):
        evaluate_files(tmp_path / truth, tmp_path / given, data=dataset / "data.yaml")


def test_another_split(dataset, predictions):
    with pytest.raises(InvalidInput, match=r"no split 'test'\. It has train, val"):
        evaluate_files(dataset / "data.yaml", predictions, split="test")
    with pytest.raises(InvalidInput, match=r"predictions.json, entry 0: .*Is it the split"):
        evaluate_files(dataset / "data.yaml", predictions, split="train")


class TestClassification:
    @pytest.fixture
    def files(self, tmp_path):
        def both(truth, predictions):
            return write(tmp_path / "truth.csv", truth), write(tmp_path / "p.csv", predictions)

        return both

    TRUTH = "image,label\na.jpg,cat\nb.jpg,dog\nc.jpg,dog\n"
    SCORES = "image,cat,dog,cow\na.jpg,.7,.2,.1\nb.jpg,.5,.4,.1\nc.jpg,.1,.8,.1\n"

    def test_numbers(self, files):
        evaluation, records, boxes = evaluate_files(*files(self.TRUTH, self.SCORES), split="test")
        assert boxes is None
        assert records.images == ("a.jpg", "b.jpg", "c.jpg")
        assert (records.true.tolist(), records.predicted.tolist()) == ([0, 1, 1], [0, 0, 1])
        assert evaluation.task == "classify"
        assert evaluation.metrics["accuracy_top1"] == pytest.approx(2 / 3)
        assert evaluation.metrics["accuracy_top5"] == 1.0
        assert evaluation.metrics["accuracy_mean_class"] == pytest.approx((1 + 0.5) / 2)
        assert evaluation.confusion.labels == ("cat", "dog", "cow")
        assert evaluation.confusion.matrix == ((1, 1, 0), (0, 1, 0), (0, 0, 0))
        cat, dog, cow = evaluation.per_class
        assert (cat.recall, cat.precision, cat.instances) == (1.0, 0.5, 1)
        assert (dog.recall, dog.precision) == (0.5, 1.0)
        assert (cow.recall, cow.precision, cow.f1) == (None, None, None)

    def test_top_five_against_counting(self):
        from epochal.evaluation import build_classification

        rng = np.random.default_rng(0)
        scores, truth = rng.random((200, 9)).round(1), rng.integers(0, 9, 200)
        found, outcomes = build_classification(
            truth,
            scores,
            images=[f"{i}.jpg" for i in range(200)],
            classes=list("abcdefghi"),
            split="val",
            dataset="x",
        )
        before = [
            (row > row[t]).sum() + (row[:t] == row[t]).sum()
            for row, t in zip(scores, truth, strict=True)
        ]
        assert outcomes.place.tolist() == before
        assert found.metrics["accuracy_top1"] == np.mean(np.array(before) < 1)
        assert found.metrics["accuracy_top5"] == np.mean(np.array(before) < 5)

    def test_images_are_grouped(self, files):
        given = files(self.TRUTH, self.SCORES)
        assert evaluate_files(*given, group_of="^[ab]|c")[1].groups == ("a", "b", "c")
        with pytest.raises(InvalidInput, match=r"c\.jpg does not match"):
            evaluate_files(*given, group_of="^([ab])")

    @pytest.mark.parametrize(
        ("truth", "scores", "message"),
        [
            ("image,label\na.jpg,pig\n", SCORES, r"truth.csv, line 2: 'pig' is no class"),
            ("image,label\na.jpg,cat\n", SCORES, r"p.csv, line 3: b.jpg is not in"),
            (TRUTH, SCORES[:30], "p.csv, line 2 holds something that is not a number"),
            (TRUTH, SCORES.rsplit("c.jpg")[0], "lacks 1 images, the first is c.jpg"),
            (TRUTH, SCORES + "c.jpg,1,0,0\n", "line 5: c.jpg is there twice"),
            (TRUTH + "a.jpg,cat\n", SCORES, "line 5: a.jpg is there twice"),
            (TRUTH, SCORES.replace(".8", "nan"), "line 4: a probability is not finite"),
            ("a,b\n", SCORES, "lacks the columns image and label"),
            (TRUTH, "image\na.jpg\n", "has the columns image"),
        ],
    )
    def test_what_is_refused(self, files, truth, scores, message):
        with pytest.raises(InvalidInput, match=message):
            evaluate_files(*files(truth, scores))


def test_scalars():
    from epochal.evaluation import build_scalars

    found = build_scalars(
        {"delta1": 0.9, "rmse": float("nan")}, split="test", dataset="d", task="depth"
    )
    assert found.metrics == {"delta1": 0.9, "rmse": None}
    assert found.evaluator == "external"
    for metrics in ({}, {"a": "b"}, {"a": True}):
        with pytest.raises(InvalidInput):
            build_scalars(metrics, split="test", dataset="d")


def test_numbers_of_another_evaluator(tmp_path, dataset):
    numbers = write(tmp_path / "numbers.json", {"mAP50-95": 0.4, "evaluator": "mmdet/3.3"})
    evaluation, records, boxes = evaluate_files(dataset / "data.yaml", numbers)
    assert (records, boxes) == (None, None)
    assert evaluation.metrics == {"mAP50-95": 0.4}
    assert (evaluation.evaluator, evaluation.images) == ("mmdet/3.3", 6)
    write(numbers, {"mAP50-95": 0.4, "note": "text"})
    with pytest.raises(InvalidInput, match="not readable as COCO JSON"):
        evaluate_files(dataset / "data.yaml", numbers)


def test_coco_is_identified_as_its_dataset_is_tagged(dataset, boxes, tmp_path):
    from epochal.datasets import scan

    truth, results = to_coco(boxes)
    folder = dataset / "images" / "val"
    paths = write(folder / "val.json", truth), write(tmp_path / "results.json", results)
    evaluation, _, found = evaluate_files(*paths)
    manifest = scan(paths[0]).manifest
    assert evaluation.dataset_digest == manifest.digest
    assert evaluation.split_digest == manifest.splits["val"].digest
    assert len(set(found.digests)) == 6


def test_ultralytics_own_predictions_file_shape(tmp_path, dataset, predictions):
    rows = json.loads((predictions / "predictions.json").read_text())
    for row in rows:
        name = f"{row['image_id']:04}.jpg"
        row["file_name"] = name
    write(predictions / "predictions.json", rows)
    evaluation, *_ = evaluate_files(dataset / "data.yaml", predictions)
    assert evaluation.images == 6
