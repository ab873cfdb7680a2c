import pytest

from epochal.records import Artifact, Tagged
from epochal.store.checkup import Checkup, check_blobs, check_journals
from epochal.store.store import Store


@pytest.fixture
def store(folder, record_run):
    with Store(folder) as opened:
        digest = opened.blobs.put(b"weights")
    record_run(bodies=[Artifact(key="weights/best.pt", digest=digest, size=7)])
    with Store(folder) as opened:
        yield opened


def findings(store):
    checkup = Checkup(workspace=str(store.folder.root))
    found = [*check_journals(store), *check_blobs(store, checkup)]
    return [(f.severity, f.text) for f in found]


def test_nothing_is_wrong_with_a_sound_workspace(store):
    assert findings(store) == []
    assert store.index_problems() == []


def test_a_journal_that_is_being_written_is_not_torn(store):
    store.record(Tagged(tags=("x",)), store.runs()[0].id)
    writer = store._writers[store.runs()[0].id]
    with writer.path.open("ab") as file:
        file.write(b'{"crc":"half a li')
    store.refresh()
    assert findings(store) == []


def test_each_damage_is_found_and_named(store):
    blob = next(p for p in store.folder.blobs.rglob("*") if p.is_file())
    blob.write_bytes(b"wfights")
    [(severity, text)] = findings(store)
    assert (severity, text) == ("problem", "does not hold what was stored")
    blob.unlink()
    [(severity, text)] = findings(store)
    assert severity == "problem"
    assert "artifact weights/best.pt of run v1_baseline" in text


def test_a_removed_decision_shows(store, folder):
    from epochal.records import Alias

    run = store.runs()[0]
    for alias in ("a", "b"):
        store.record(Alias(project="pallets", alias=alias, run=run.id))
    store.close()
    path = next(folder.journal.glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with Store(folder) as opened:
        assert {severity for severity, _ in findings(opened)} == {"problem"}
