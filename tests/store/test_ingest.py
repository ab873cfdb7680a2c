"""The index is a function of the journals' bytes, in whatever order they are taken in."""

import dataclasses
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epochal.journal.folder import Folder
from epochal.journal.writer import Writer
from epochal.records import (
    Alias,
    Artifact,
    Config,
    Console,
    Dropped,
    Finished,
    Heartbeat,
    LessonWritten,
    Metrics,
    Notice,
    Opened,
    Pinned,
    Purged,
    Renamed,
    StopRequested,
    Summary,
    System,
    Tagged,
    Trashed,
)
from epochal.store.store import Store

RUNS = [f"{i}{'0' * 30}{i}" for i in range(3)]
KEYS = ["loss", "mAP/ü (B)"]


def everything(store):
    """Return all that a store answers, as plain values."""
    found = {}
    for document in (*store.runs(), *store.runs(trashed=True)):
        found[document.id] = msgspec.to_builtins(document)
        for key in document.metrics:
            for superseded in (False, True):
                points = store.points.read(document.id, key, superseded=superseded)
                found[document.id, key, superseded] = [
                    column.tolist()
                    for column in (points.step, points.epoch, points.time, points.value.view("i8"))
                ]
            overlay = store.points.overlay([document.id], key, buckets=7)
            found[document.id, key, "overlay"] = [
                np.nan_to_num(column, nan=-9).tolist()
                for table in overlay.runs.values()
                for column in (table.last, table.min, table.max)
            ]
        found[document.id, "console"] = list(store.console(document.id))
    for kind in ("alias", "purged"):
        found[kind] = store.governance(kind)
    found["health"] = sorted(map(dataclasses.astuple, store.health()))
    found["projects"] = store.projects()
    return found


numbers = st.one_of(
    st.floats(-2, 2, width=32), st.sampled_from(["NaN", "Infinity", "-Infinity", 1e300])
)
training = st.one_of(
    st.builds(
        Metrics,
        values=st.dictionaries(st.sampled_from(KEYS), numbers, min_size=1),
        step=st.integers(0, 9),
        epoch=st.none() | st.integers(0, 3),
    ),
    st.builds(System, values=st.just({"cpu": 5.0})),
    st.builds(Console, stream=st.just("stdout"), text=st.text(max_size=5)),
    st.builds(Config, values=st.dictionaries(st.sampled_from("ab"), st.integers(0, 9))),
    st.builds(Summary, values=st.dictionaries(st.sampled_from("ab"), st.text(max_size=3))),
    st.builds(Pinned, dataset=st.sampled_from(["d@v1", "d@v2"]), state=st.just("verified")),
    st.builds(Artifact, key=st.sampled_from("ab"), digest=st.just("0" * 64), size=st.just(1)),
    st.builds(Notice, code=st.just("x"), text=st.text(max_size=3)),
    st.builds(Dropped, count=st.integers(1, 3), reason=st.just("full")),
    st.just(Heartbeat()),
    st.just(StopRequested()),
    st.builds(Finished, status=st.sampled_from(["finished", "failed"])),
)
edits = st.one_of(
    st.builds(Renamed, name=st.sampled_from(["x", "y"]), rev=st.integers(1, 3)),
    st.builds(Tagged, tags=st.just(("t",)), rev=st.integers(1, 3)),
    st.builds(LessonWritten, result=st.text(max_size=4), rev=st.integers(1, 3)),
    st.builds(Trashed, on=st.booleans(), rev=st.integers(1, 3)),
)
journals = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(RUNS), st.integers(1, 3), st.booleans(), st.lists(training, max_size=8)
        ),
        st.tuples(
            st.sampled_from(RUNS), st.integers(1, 3), st.just(False), st.lists(edits, max_size=3)
        ),
        st.tuples(
            st.none(),
            st.just(1),
            st.just(False),
            st.lists(
                st.one_of(
                    st.builds(Purged, run=st.sampled_from(RUNS)),
                    st.builds(
                        Alias,
                        project=st.just("p"),
                        alias=st.just("baseline"),
                        run=st.sampled_from(RUNS),
                    ),
                ),
                max_size=2,
            ),
        ),
    ),
    max_size=6,
)


def write(folder, said):
    """Write each journal; return path relative to the workspace -> bytes."""
    for place, (run, attempt, opens, bodies) in enumerate(said):
        home = folder.journal if run is None else folder.runs / f"20260101-x-{run[:8]}" / "journal"
        writer = Writer(home, run=run, attempt=attempt, writer=f"{place:032x}")
        if opens:
            writer.append(Opened(run=run, attempt=attempt, project="p", name=f"v{run[0]}"), place)
        for i, body in enumerate(bodies):
            writer.append(body, 1000 * place + i)
        writer.close()
    return {
        path.relative_to(folder.root): path.read_bytes() for path in folder.root.rglob("*.jsonl")
    }


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(journals, st.randoms(use_true_random=False), st.integers(0, 2), st.booleans())
def test_any_order_of_ingest_gives_the_same_index(said, rng, damaged, copied):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        whole = Folder.create(root / "whole")
        files = write(whole, said)
        for path in rng.sample(sorted(files), min(damaged, len(files))):
            files[path] = scratched(files[path], rng)
        if copied and files:
            path = rng.choice(sorted(files))
            files[path.with_name("copy-of-it.jsonl")] = files[path][: rng.randrange(1, 2000)]
        for path, data in files.items():
            (whole.root / path).write_bytes(data)
        with Store(whole) as store:
            expected = everything(store)
        with Store(whole, index=root / "again.sqlite") as store:
            assert everything(store) == expected
        piecemeal = Folder.create(root / "piecemeal")
        with Store(piecemeal, index=root / "piecemeal.sqlite") as store:
            left = dict(files)
            while left:
                path = rng.choice(sorted(left))
                target = piecemeal.root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                cut = rng.randrange(1, len(left[path]) + 1) if left[path] else 0
                with target.open("ab") as file:
                    file.write(left[path][:cut])
                left[path] = left[path][cut:]
                if not left[path]:
                    del left[path]
                if rng.random() < 0.7:
                    store.refresh()
            store.refresh()
            assert everything(store) == expected
            store.refresh()
            assert everything(store) == expected


def scratched(data, rng):
    """Return `data` with one byte changed, one line cut out, or its end torn off."""
    if not data:
        return data
    match rng.randrange(3):
        case 0:
            at = rng.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        case 1:
            lines = data.splitlines(keepends=True)
            del lines[rng.randrange(len(lines))]
            return b"".join(lines)
        case _:
            return data[: rng.randrange(len(data))]


def test_a_deleted_index_is_rebuilt_to_the_same_answers(folder, record_run):
    record_run(metrics={"loss": [3, 2, float("nan")]}, config={"a": 1})
    run = record_run("v2_more", metrics={"loss": [1]})
    with Store(folder) as store:
        store.record(Tagged(tags=("x",)), run)
        expected = everything(store)
        index = store._db.path
    index.unlink()
    with Store(folder) as store:
        assert everything(store) == expected


def test_an_index_that_is_no_database_is_thrown_away(folder, record_run):
    record_run()
    with Store(folder) as store:
        index = store._db.path
    index.write_bytes(b"this is no database" * 1000)
    for suffix in ("-wal", "-shm"):
        Path(f"{index}{suffix}").unlink(missing_ok=True)
    with Store(folder) as store:
        assert store.count_runs() == 1


def test_a_torn_tail_waits_for_its_end(folder, record_run):
    run = record_run(metrics={"loss": [1, 2, 3]}, status=None)
    path = next(folder.root.glob("runs/*/journal/*.jsonl"))
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    with Store(folder) as store:
        assert store.run(run).metrics["loss"].n == 2
        assert [health.torn for health in store.health()] == [
            len(data) - 10 - data[:-10].rfind(b"\n") - 1
        ]
        path.write_bytes(data)
        store.refresh()
        assert store.run(run).metrics["loss"].n == 3
        assert store.health() == []


def test_a_damaged_line_is_skipped_and_counted(folder, record_run):
    run = record_run(metrics={"loss": [1, 2, 3]})
    path = next(folder.root.glob("runs/*/journal/*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"loss":2.0', b'"loss":9.0'))
    with Store(folder) as store:
        assert store.points.read(run, "loss").value.tolist() == [1, 3]
        assert [(h.damaged, h.missing) for h in store.health()] == [(1, 1)]


def test_a_file_that_shrank_is_read_afresh(folder, record_run):
    run = record_run(metrics={"loss": [1, 2, 3]})
    path = next(folder.root.glob("runs/*/journal/*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    with Store(folder) as store:
        path.write_bytes(b"".join(lines[:-2]))
        store.refresh()
        assert store.points.read(run, "loss").value.tolist() == [1, 2]


def test_a_copied_run_folder_changes_nothing(folder, record_run):
    record_run(metrics={"loss": [1, 2, 3]})
    with Store(folder) as store:
        before = {k: v for k, v in everything(store).items() if k != "health"}
        place = next(folder.runs.iterdir())
        shutil.copytree(place, place.with_name(f"copy-{place.name}"))
        store.refresh()
        after = {k: v for k, v in everything(store).items() if k != "health"}
        assert after == before


def test_a_large_journal_takes_several_transactions(folder, record_run, monkeypatch):
    import epochal.store.ingest as ingest

    monkeypatch.setattr(ingest, "_PORTION", 10_000)
    values = random.Random(0).choices(range(100), k=2000)
    run = record_run(metrics={"loss": values, "other": values})
    seen = []
    with Store(folder, progress=lambda done, total: seen.append((done, total))) as store:
        assert store.points.read(run, "loss").value.tolist() == values
        assert len(seen) > 2
        assert seen[-1][0] == seen[-1][1]


def test_edits_are_no_sign_of_life(folder, record_run):
    run = record_run(status=None, t=1_000_000)
    with Store(folder) as store:
        last = store.run(run).last_t
        store.record(Renamed(name="v2_renamed"), run)
        assert store.run(run).last_t == last
        assert store.run(run).attempts[0].last == last


def test_a_later_attempt_hides_what_it_repeats(folder, record_run):
    run = record_run(metrics={"loss": [9, 8, 7, 6, 5]}, status=None)
    record_run(run=run, attempt=2, metrics={"loss": [1, 2]}, first_step=3)
    with Store(folder) as store:
        points = store.points.read(run, "loss")
        assert points.step.tolist() == [0, 1, 2, 3, 4]
        assert points.value.tolist() == [9, 8, 7, 1, 2]
        assert store.run(run).metrics["loss"].min == (3, 1.0)
        assert len(store.points.read(run, "loss", superseded=True)) == 7
        assert [a.number for a in store.run(run).attempts] == [1, 2]


def test_a_purged_run_stays_away(folder, record_run, tmp_path):
    run = record_run(metrics={"loss": [1]})
    keep = next(folder.runs.iterdir())
    shutil.copytree(keep, tmp_path / "copy")
    with Store(folder) as store:
        store.purge(store.run(run))
        assert not keep.exists()
        assert store.run_ids() == set()
        shutil.copytree(tmp_path / "copy", keep)
        record_run(run=run, attempt=2, metrics={"loss": [2]})
        store.refresh()
        assert store.run_ids() == set()
        assert store.purged() == {run: "v1_baseline"}
    with Store(folder, index=tmp_path / "fresh.sqlite") as store:
        assert store.run_ids() == set()


def test_purging_spares_a_run_whose_id_begins_alike(folder, record_run):
    one, other = "abcdef12" + "0" * 24, "abcdef12" + "1" * 24
    record_run(run=one)
    record_run("v2_other", run=other)
    with Store(folder) as store:
        store.purge(store.run(one))
        assert store.run_ids() == {other}
    assert folder.run_folder(other) is not None


READER = """
import sys
from pathlib import Path
from epochal.journal.folder import Folder
from epochal.store.store import Store
with Store(Folder(Path(sys.argv[1]))) as store:
    print(store.count_runs(), sum(len(store.points.read(d.id, "loss")) for d in store.runs()))
"""


def test_readers_at_once_agree(folder, record_run):
    for _ in range(20):
        record_run(metrics={"loss": list(range(50))})
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(folder.root)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = {reader.communicate(timeout=60)[0].strip() for reader in readers}
    with Store(folder) as store:
        assert store.count_runs() == 20
    # Who came while another was writing may have read less, but never something else.
    assert all(int(n) <= 20 and int(points) == 50 * int(n) for n, points in map(str.split, said))
    assert "20 1000" in said


def test_two_stores_in_one_process_see_each_others_records(folder, record_run):
    run = record_run()
    with Store(folder) as one, Store(folder) as other:
        one.record(Tagged(tags=("a",)), run)
        other.refresh()
        assert other.run(run).tags == ("a",)
        other.record(Tagged(tags=("b",)), run)
        one.refresh()
        assert one.run(run).tags == ("b",)
        assert one.run(run).rev == 2


def test_an_index_that_is_damaged_inside_is_built_again(folder, record_run):
    run = record_run(metrics={"loss": list(range(3000))})
    with Store(folder) as store:
        index = store._db.path
        expected = everything(store)
    data = bytearray(index.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    index.write_bytes(data)
    with Store(folder) as store:
        assert everything(store) == expected
        assert store.run(run).metrics["loss"].n == 3000


def test_a_full_disk_leaves_what_was_read_before(folder, record_run):
    first = record_run(metrics={"loss": [1, 2]})
    with Store(folder) as store:
        [(pages,)] = store._db.rows("PRAGMA page_count")
        store._db.execute(f"PRAGMA max_page_count = {pages + 1}")
        second = record_run("v2_large", metrics={"loss": list(range(20_000))})
        report = store.refresh()
        assert "full" in report.busy
        assert store.run_ids() == {first}
        store._db.execute("PRAGMA max_page_count = 1000000")
        assert store.refresh().busy == ""
        assert store.run_ids() == {first, second}
        assert len(store.points.read(second, "loss")) == 20_000


def test_two_runs_whose_ids_begin_alike_keep_apart(folder, record_run):
    one, other = "abcdef12" + "0" * 24, "abcdef12" + "1" * 24
    record_run("v1_one", run=one)
    record_run("v2_other", run=other)
    folders = {folder.run_folder(run) for run in (one, other)}
    with Store(folder) as store:
        store.record(Tagged(tags=("x",)), other)
        assert store.run(one).tags == ()
        assert store.run(other).tags == ("x",)
    assert len(folders) == 2
