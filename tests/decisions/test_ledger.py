import subprocess
import sys

import msgspec
import pytest

from epochal.decisions.budget import budget_of
from epochal.decisions.charter import Charter
from epochal.decisions.ledger import Ledger, complete_look, ledger, open_look
from epochal.decisions.ledger_report import export, heads_of_export, report, verify
from epochal.errors import InvalidInput
from epochal.journal.folder import Folder
from epochal.journal.lines import encode_line, seed_of
from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import Alias, DecisionMade, Entry, Look, Purged
from epochal.store.blobs import Blobs
from epochal.store.store import Store

IMAGES = [f"{i:064x}" for i in range(100)]


@pytest.fixture
def folder(tmp_path):
    return Folder.create(tmp_path)


def look(folder, weights, images=IMAGES, *, run="", complete="number", **options):
    opened = open_look(
        folder,
        project="pallets",
        run=run or f"run of {weights}",
        weights=weights,
        dataset="pallets@v1",
        split="test",
        image_digests=images,
        **options,
    )
    if complete:
        complete_look(folder, opened, {"mAP50-95": 0.5}, complete)
    return opened


def used(folder, images=IMAGES, reference=None, **rules):
    book = ledger(folder)
    blob = Blobs(folder.blobs).put(msgspec.json.encode(sorted(images)))
    return budget_of(book, blob, Charter(project="pallets", **rules), reference=reference)


def test_a_look_that_was_never_completed_counts(folder):
    look(folder, "w1", complete="")
    (found,) = ledger(folder).looks
    assert found.completed is None
    assert found.revealed == "nothing"
    assert used(folder).used == 1


def test_the_same_weights_on_the_same_images_are_the_same_look(folder):
    look(folder, "w1", complete="verdict")
    look(folder, "w1", [*IMAGES[:95], "f" * 64])
    (found,) = ledger(folder).looks
    assert len(found.ids) == 2
    assert found.revealed == "number"
    assert used(folder).used == 1


def test_unknown_weights_are_never_the_same(folder):
    look(folder, "")
    look(folder, "")
    assert used(folder).used == 2


@pytest.mark.parametrize(("shared", "together"), [(9, False), (10, True), (100, True)])
def test_looks_count_together_from_a_tenth_of_the_images(folder, shared, together):
    other = IMAGES[:shared] + [f"{i:064x}" for i in range(1000, 1100 - shared)]
    look(folder, "w1")
    assert used(folder, other).used == int(together)


def test_a_small_set_within_a_large_one_counts_with_it(folder):
    look(folder, "w1", IMAGES[:5])
    assert used(folder).used == 1


def test_images_that_cannot_be_read_count_with_everything(folder):
    opened = look(folder, "w1", ["a" * 64])
    Blobs(folder.blobs).path(opened.images).unlink()
    assert used(folder).used == 1
    assert any("missing or damaged" in line for line in ledger(folder).verify())


def test_the_references_own_look_is_free_and_a_challengers_is_not(folder):
    look(folder, "w1", run="v1")
    look(folder, "w2", run="v2")
    assert used(folder, reference="v1").used == 1
    assert used(folder, reference=None).used == 2


def test_a_challenger_that_became_the_reference_still_counts(folder):
    store = Store(folder)
    look(folder, "w1", run="v1")
    look(folder, "w2", run="v2")
    store.record(
        DecisionMade(
            digest="d" * 64,
            project="pallets",
            candidate="v2",
            baseline="v1",
            verdict="ship",
            charter=1,
        )
    )
    store.record(Alias(project="pallets", alias="baseline", run="v2"))
    store.close()
    assert used(folder, reference="v2").used == 1


def test_the_baseline_of_its_time_stays_free(folder):
    store = Store(folder)
    store.record(Alias(project="pallets", alias="baseline", run="v1"))
    look(folder, "w1", run="v1")
    store.record(Alias(project="pallets", alias="baseline", run="v2"))
    look(folder, "w2", run="v2")
    store.close()
    assert used(folder, reference="v3").used == 0


def test_naming_a_tried_run_the_baseline_does_not_free_what_came_before(folder):
    store = Store(folder)
    look(folder, "w5", run="v5")
    store.record(Alias(project="pallets", alias="baseline", run="v5"))
    store.record(Alias(project="pallets", alias="baseline", run="v6"))
    store.close()
    assert used(folder, reference="v6").used == 1


def test_budget_goes_from_open_over_amber_to_spent(folder):
    images = [f"{i:064x}" for i in range(2000)]
    states = []
    for number in range(5):
        states.append(used(folder, images, test_budget=5).state)
        look(folder, f"w{number}", images)
    states.append(used(folder, images, test_budget=5).state)
    assert states == ["open", "open", "open", "amber", "amber", "spent"]
    last = used(folder, images, test_budget=5)
    assert (last.used, last.left, last.advice) == (5, 0, 4)
    assert last.next_level == pytest.approx(0.1 / 42)


def test_purged_runs_keep_their_looks(folder):
    store = Store(folder)
    look(folder, "w1", run="a" * 32)
    store.record(Purged(run="a" * 32, name="v1_gone"))
    store.close()
    (found,) = ledger(folder).looks
    assert found.run_name == "v1_gone"
    assert used(folder).used == 1


def test_a_look_at_nothing_is_refused(folder):
    with pytest.raises(InvalidInput):
        look(folder, "w1", [])
    assert ledger(folder).looks == ()


# --- tampering -----------------------------------------------------------------------------------


def journals(folder):
    return sorted(folder.journal.glob("*.jsonl"))


def rewrite(path, change):
    """Apply `change` to the body of every look and write the file with valid checksums."""
    found = read_journal(path)
    lines = []
    for line in found.lines:
        body = line.entry.body
        changed = change(body) if isinstance(body, Look) else body
        entry = Entry(seq=line.seq, t=line.t, body=changed)
        lines.append(
            line.raw + b"\n" if changed == body else encode_line(entry, seed_of(found.writer))
        )
    path.write_bytes(b"".join(lines))


def test_an_untouched_ledger_is_whole(folder):
    for number in range(3):
        look(folder, f"w{number}")
    assert ledger(folder).verify() == []


def test_an_edited_record_is_found_although_its_checksum_fits(folder):
    look(folder, "w1")
    look(folder, "w2")
    rewrite(journals(folder)[0], lambda body: msgspec.structs.replace(body, n_images=7))
    assert any("gone or edited" in line for line in ledger(folder).verify())


def test_a_deleted_file_is_found(folder):
    look(folder, "w1")
    look(folder, "w2")
    journals(folder)[0].unlink()
    assert any("gone or edited" in line for line in ledger(folder).verify())


def test_a_deleted_line_is_found(folder):
    writer = Writer(folder.journal)
    from epochal.journal.governance import append_governance

    for number in range(3):
        append_governance(writer, folder, Alias(project="p", alias="baseline", run=f"r{number}"))
    writer.close()
    path = journals(folder)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    problems = ledger(folder).verify()
    assert any("missing" in line for line in problems)
    assert any("gone or edited" in line for line in problems)


def test_reordered_lines_are_found(folder):
    look(folder, "w1")
    writer = Writer(folder.journal)
    from epochal.journal.governance import append_governance

    for number in range(2):
        append_governance(writer, folder, Alias(project="p", alias="baseline", run=f"r{number}"))
    writer.close()
    path = journals(folder)[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2], lines[1]]))
    assert any("reordered" in line for line in ledger(folder).verify())


def test_a_fork_is_noted_and_joined_by_the_next_writer(folder, tmp_path):
    look(folder, "w1")
    heads = ledger(folder).governance.heads
    writer = Writer(folder.journal)
    apart = Alias(project="p", alias="baseline", run="r", prev=())
    writer.append(apart)
    writer.close()
    with Store(folder) as store:
        found = verify(store)
        assert len(found.heads) == 2
        assert any("2 heads" in note for note in found.notes)
        assert found.problems == ()
    look(folder, "w2")
    now = ledger(folder).governance.heads
    assert len(now) == 1
    assert now != heads


def test_a_rollback_shows_only_against_a_saved_export(folder, tmp_path):
    look(folder, "w1")
    look(folder, "w2")
    with Store(folder) as store:
        (tmp_path / "ledger.json").write_bytes(export(store))
    for path in journals(folder)[-2:]:
        path.unlink()
    assert ledger(folder).verify() == []
    saved = heads_of_export(tmp_path / "ledger.json")
    assert any("rolled back" in p or "gone" in p for p in ledger(folder).verify(saved))


def test_an_export_that_is_none_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InvalidInput, match="no export"):
        heads_of_export(tmp_path / "x.json")
    with pytest.raises(InvalidInput, match="cannot read"):
        heads_of_export(tmp_path / "missing.json")


def test_the_report_groups_by_test_set_and_hides_what_nobody_saw(folder):
    look(folder, "w1", complete="verdict")
    look(folder, "w2")
    look(folder, "w3", [f"{i:064x}" for i in range(5000, 5100)])
    with Store(folder) as store:
        found = report(store, "pallets")
    assert [len(one.looks) for one in found.sets] == [2, 1]
    first, second = (line.look for line in found.sets[0].looks)
    assert (first.result, second.result) == ({}, {"mAP50-95": 0.5})
    assert [line.number for line in found.sets[0].looks] == [1, 2]


def test_an_evaluation_that_names_a_look_which_is_gone_is_a_problem(workshop):
    from simulator import Model, world

    test = world(30, 2, 3)
    run = workshop.run("v1_base", test=Model(1.0, 1, 2).run(test))
    assert verify(workshop.store).problems == ()
    for path in journals(workshop.folder):
        path.unlink()
    workshop.store.refresh()
    problems = verify(Store(workshop.folder, index=workshop.folder.root / "other.sqlite")).problems
    assert any(run.name in line and "not in the ledger" in line for line in problems)


def test_a_training_opens_looks_without_heavy_imports():
    """Ledger and charter are imported by processes that train."""
    code = (
        "import sys, epochal.decisions, epochal.decisions.ledger, epochal.decisions.charter;"
        "heavy = {'numpy', 'sqlite3', 'rich', 'zstandard', 'blake3', 'click'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ledger_reads_from_a_store_too(folder):
    look(folder, "w1")
    with Store(folder) as store:
        assert isinstance(ledger(store), Ledger)
        assert len(ledger(store).looks) == 1
