import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.errors import Damaged, InvalidInput, NotFound
from epochal.store.blobs import Blobs, artifact_key, digest_of


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def test_what_is_put_again_is_young_again(blobs, tmp_path):
    digest = blobs.put(b"weights")
    (tmp_path / "best.pt").write_bytes(b"weights")
    for again in (lambda: blobs.put(b"weights"), lambda: blobs.put_file(tmp_path / "best.pt")):
        os.utime(blobs.path(digest), (0, 0))
        assert again() == digest
        assert blobs.path(digest).stat().st_mtime > 0


def test_what_is_put_comes_back(blobs, tmp_path):
    digest = blobs.put(b"weights")
    assert digest == digest_of(b"weights")
    assert digest in blobs
    assert blobs.get(digest) == b"weights"
    (tmp_path / "best.pt").write_bytes(b"weights")
    assert blobs.put_file(tmp_path / "best.pt") == digest
    assert [p.name for p in blobs.folder.rglob("*") if p.is_file()] == [digest[2:]]


def test_a_stored_copy_does_not_change_with_its_source(blobs, tmp_path):
    source = tmp_path / "last.pt"
    source.write_bytes(b"epoch 1")
    digest = blobs.put_file(source)
    with source.open("r+b") as file:
        file.write(b"epoch 2")
    assert blobs.get(digest) == b"epoch 1"


def test_damage_and_absence_are_told(blobs):
    digest = blobs.put(b"weights")
    blobs.path(digest).write_bytes(b"wfights")
    with pytest.raises(Damaged):
        blobs.get(digest)
    with pytest.raises(NotFound):
        blobs.get("0" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "0" * 63, "A" * 64, "0" * 64 + "\n"])
def test_what_is_no_digest_opens_nothing(blobs, digest):
    with pytest.raises(InvalidInput):
        blobs.get(digest)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "a/../b", "..", "a//b", "a/", "a\\b", "a\x00", "x" * 256, "\ud800"]
)
def test_keys_that_leave_their_place_are_refused(key):
    with pytest.raises(InvalidInput):
        artifact_key(key)


@given(st.text(max_size=50))
def test_a_key_is_stable(text):
    try:
        key = artifact_key(text)
    except InvalidInput:
        return
    assert artifact_key(key) == key
    assert not key.startswith("/")
