import tarfile

import pytest
import zstandard

from epochal.errors import Damaged, InvalidInput, Refused
from epochal.journal.folder import Folder
from epochal.records import Artifact
from epochal.store.backup import back_up, restore
from epochal.store.store import Store


@pytest.fixture
def workspace(folder, record_run):
    with Store(folder) as store:
        digest = store.blobs.put(b"weights" * 1000)
    record_run(
        metrics={"loss": [1, 2]},
        bodies=[Artifact(key="weights/best.pt", digest=digest, size=7000)],
    )
    return folder


def truth(folder):
    return {
        path.relative_to(folder.root).as_posix(): path.read_bytes()
        for path in folder.root.rglob("*")
        if path.is_file() and not path.name.startswith("index-")
    }


def test_a_restored_workspace_is_the_same_bit_for_bit(workspace, tmp_path):
    seen = []
    made = back_up(workspace, tmp_path / "b.tar.zst", lambda d, t: seen.append((d, t)))
    restored, found = restore(tmp_path / "b.tar.zst", tmp_path / "elsewhere")
    assert truth(restored) == truth(workspace)
    assert found.files == made.files
    assert seen[-1][0] == seen[-1][1] == made.bytes
    with Store(restored) as store:
        assert store.count_runs() == 1


def test_nothing_is_overwritten(workspace, tmp_path):
    back_up(workspace, tmp_path / "b.tar.zst")
    with pytest.raises(Refused):
        back_up(workspace, tmp_path / "b.tar.zst")
    with pytest.raises(Refused):
        restore(tmp_path / "b.tar.zst", tmp_path)


@pytest.mark.parametrize("cut", [0, 10, 200, -1])
def test_half_a_backup_leaves_nothing(workspace, tmp_path, cut):
    back_up(workspace, tmp_path / "b.tar.zst")
    data = (tmp_path / "b.tar.zst").read_bytes()
    (tmp_path / "cut").write_bytes(data[:cut])
    with pytest.raises((InvalidInput, Damaged)):
        restore(tmp_path / "cut", tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def rewritten(source, target, change):
    """Write the backup `source` to `target` with each member's content through `change`."""
    plain = source.with_suffix(".plain")
    with source.open("rb") as raw, plain.open("wb") as file:
        zstandard.ZstdDecompressor().copy_stream(raw, file)
    changed = source.with_suffix(".changed")
    with tarfile.open(plain) as old, tarfile.open(changed, "w") as new:
        for member in old:
            content = old.extractfile(member).read()
            name, content = change(member.name, content)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            new.addfile(info, __import__("io").BytesIO(content))
    target.write_bytes(zstandard.compress(changed.read_bytes()))


def test_a_changed_file_is_found(workspace, tmp_path):
    back_up(workspace, tmp_path / "b")
    rewritten(
        tmp_path / "b",
        tmp_path / "bad",
        lambda name, data: (name, b"wfights" if name.startswith("blobs/") else data),
    )
    with pytest.raises(Damaged, match="blobs/"):
        restore(tmp_path / "bad", tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "runs/../../evil", "other/evil"])
def test_a_hostile_archive_writes_nothing_outside(workspace, tmp_path, name):
    back_up(workspace, tmp_path / "b")
    rewritten(
        tmp_path / "b",
        tmp_path / "bad",
        lambda own, data: (name if own == "format" else own, data),
    )
    with pytest.raises(InvalidInput, match="outside"):
        restore(tmp_path / "bad", tmp_path / "elsewhere")
    assert not list(tmp_path.rglob("evil"))


def test_a_growing_journal_does_not_disturb(workspace, tmp_path, record_run):
    back_up(workspace, tmp_path / "b", lambda done, total: record_run("v2_meanwhile"))
    restored, _ = restore(tmp_path / "b", tmp_path / "elsewhere")
    assert isinstance(restored, Folder)
