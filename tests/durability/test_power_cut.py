"""A power cut costs at most the last second, and nothing that was synced (F3)."""

from __future__ import annotations

import os
import random
import time

import pytest

from epochal.journal import lines as lines_module
from epochal.journal.folder import Folder
from epochal.journal.governance import read_governance
from epochal.journal.reader import read_journal
from epochal.store.store import Store

pytestmark = pytest.mark.slow

CUTS = int(os.environ.get("EPOCHAL_CUTS", "40"))
SECOND = 1_000_000_000
AT_RISK = SECOND
"""What design and documentation promise, in nanoseconds."""
SCHEDULING = SECOND // 2
"""On a busy test machine the thread that syncs may be late by this much."""

TRAINING = """
    import os, sys, time
    import epochal
    from epochal.journal import writer, folder
    mutant = os.environ.get("MUTANT")
    if mutant == "no fsync":
        writer._sync_file = lambda fd: None
    if mutant == "no directory sync":
        writer.sync_directory = folder.sync_directory = lambda path: None
    run = epochal.init("p", "v1_baseline", workspace=sys.argv[1], capture=False)
    values = {f"metrics/{n}": n * 0.1 for n in range(10)}
    step = 0
    while True:
        run.log(values, step=step)
        os.write(1, b"%d %d\\n" % (step, time.monotonic_ns()))
        step += 1
        time.sleep(0.002)
"""


def _train(acknowledging, disk, **environment):
    training = acknowledging(TRAINING, str(disk.root), **environment)
    assert training.some.wait(30), training.process.stderr.read1(4096)
    time.sleep(1.2)
    return training


def _oldest_loss(training, steps, cut_at):
    """Age at the cut of the oldest acknowledged step that is not there, in nanoseconds."""
    lost = [at for step, at in list(training.acks) if at <= cut_at and step not in steps]
    return cut_at - min(lost) if lost else 0


def test_at_most_a_second_is_lost(acknowledging, disk, steps_in):
    """G13: at any moment, with and without pages that the kernel wrote of its own accord."""
    seeds = random.Random(13)
    training = _train(acknowledging, disk)
    worst = 0
    for _ in range(CUTS):
        time.sleep(seeds.uniform(0.01, 0.3))
        disk_now, cut_at = disk.cut(seeds.choice([0, seeds.randrange(1, 1 << 30)]))
        steps = steps_in(disk_now)
        assert steps, "not even the beginning is there"
        worst = max(worst, _oldest_loss(training, steps, cut_at))
        folder = Folder.at(disk_now)
        with Store(folder, index=disk_now.parent / "index.sqlite") as store:
            (run,) = store.runs()
        assert (run.project, run.name) == ("p", "v1_baseline")
    training.kill()
    print(f"\n{CUTS} power cuts: at most {worst / 1e9:.2f} s of acknowledged records lost")
    assert worst <= AT_RISK + SCHEDULING


def test_what_was_synced_is_there(acknowledging, disk, steps_in):
    """`sync` and `finish` return when everything before them is durable."""
    source = """
        import os, sys, time
        import epochal
        run = epochal.init("p", "v1_baseline", workspace=sys.argv[1], capture=False)
        for step in range(2000):
            run.log({"k": 1.0}, step=step)
            if step % 7 == 0:
                run.sync()
                os.write(1, b"%d %d\\n" % (step, time.monotonic_ns()))
        run.finish()
        os.write(1, b"1999 %d\\n" % time.monotonic_ns())
        """
    training = acknowledging(source, str(disk.root))
    assert training.some.wait(30)
    cuts = 0
    while training.process.poll() is None and cuts < CUTS:
        time.sleep(0.02)
        disk_now, cut_at = disk.cut(cuts % 2 * (cuts + 1))
        cuts += 1
        synced = max((step for step, at in list(training.acks) if at <= cut_at), default=-1)
        assert set(range(synced + 1)) <= steps_in(disk_now)
    assert training.end() == 0, training.error
    disk_now, _ = disk.cut()
    assert steps_in(disk_now) == set(range(2000))
    assert cuts > 3


def test_decisions_looks_and_charters_are_always_there(acknowledging, disk):
    """A governance record is durable when its writing returns; the links hold after any cut."""
    source = """
        import os, sys, time
        from pathlib import Path
        from epochal.journal.folder import Folder
        from epochal.journal.governance import append_governance
        from epochal.journal.writer import Writer
        from epochal.records import Alias
        folder = Folder.create(Path(sys.argv[1]))
        for n in range(60):
            writer = Writer(folder.journal)  # as each command line opens its own
            append_governance(writer, folder, Alias(project="p", alias="baseline", run=str(n)))
            os.write(1, b"%d %d\\n" % (n, time.monotonic_ns()))
            writer.close()
        """
    deciding = acknowledging(source, str(disk.root))
    assert deciding.some.wait(30)
    cuts = 0
    while deciding.process.poll() is None and cuts < CUTS:
        disk_now, cut_at = disk.cut(cuts % 2 * (cuts + 1))
        cuts += 1
        acknowledged = {n for n, at in list(deciding.acks) if at <= cut_at}
        found = read_governance(Folder.at(disk_now))
        assert acknowledged <= {int(record.body.run) for record in found.records}
        links = [problem for problem in found.verify() if "gone or edited" in problem]
        assert links == []
        time.sleep(0.02)
    assert deciding.end() == 0, deciding.error
    assert cuts > 3


def test_a_blob_is_whole_or_not_there(acknowledging, disk):
    """`artifact()` returns when the copy is durable (F3: never a half file)."""
    from epochal.store.blobs import Blobs

    source = """
        import os, sys, time
        import epochal
        run = epochal.init("p", "v1_baseline", workspace=sys.argv[1], capture=False)
        for n in range(40):
            with open("/dev/shm/epochal-artifact", "wb") as file:
                file.write(bytes([n]) * 100_000)
            digest = run.artifact("/dev/shm/epochal-artifact", f"weights/{n}.pt")
            os.write(1, b"%d %d\\n" % (int(digest, 16), time.monotonic_ns()))
        os.unlink("/dev/shm/epochal-artifact")
        """
    training = acknowledging(source, str(disk.root))
    assert training.some.wait(30)
    cuts = 0
    while training.process.poll() is None and cuts < CUTS:
        disk_now, cut_at = disk.cut(cuts % 2 * (cuts + 1))
        cuts += 1
        blobs = Blobs(Folder.at(disk_now).blobs)
        for path in blobs.folder.glob("??/*"):
            blobs.get(path.parent.name + path.name)  # raises where the bytes are not the name's
        for digest, at in list(training.acks):
            assert at > cut_at or f"{digest:064x}" in blobs
        time.sleep(0.02)
    assert training.end() == 0, training.error
    assert cuts > 3


# --- the teeth: each promise is seen to be broken where it is broken on purpose ------------------


def test_a_writer_that_does_not_sync_is_caught(acknowledging, disk, steps_in):
    training = _train(acknowledging, disk, MUTANT="no fsync")
    time.sleep(1.5)
    disk_now, cut_at = disk.cut()
    assert _oldest_loss(training, steps_in(disk_now), cut_at) > AT_RISK + SCHEDULING
    training.kill()


def test_a_writer_that_does_not_sync_its_folder_is_caught(acknowledging, disk, steps_in):
    training = _train(acknowledging, disk, MUTANT="no directory sync")
    disk_now, _ = disk.cut()
    assert not steps_in(disk_now)
    training.kill()


def test_a_reader_without_a_checksum_is_caught(acknowledging, disk, monkeypatch):
    """Pages written back in any order leave holes; only the checksum tells what is a line."""
    training = _train(acknowledging, disk)
    disk_now, _ = disk.cut()
    training.kill()
    (path,) = disk_now.glob("**/runs/*/journal/*.jsonl")
    data = bytearray(path.read_bytes())
    at = data.rindex(b'"metrics/3":0.') + len(b'"metrics/3":0.')
    data[at] ^= 1  # 0.3 became 0.2: still JSON
    path.write_bytes(data)
    assert read_journal(path).damaged == 1
    monkeypatch.setattr(lines_module.zlib, "crc32", lambda data, seed=0: 0)
    monkeypatch.setattr(lines_module, "_BODY_AT", 0)
    monkeypatch.setattr(lines_module, "_PREFIX", b"")
    monkeypatch.setattr(
        lines_module, "decode_line", lambda line, seed: lines_module._decode(bytes(line))
    )
    from epochal.journal import reader

    monkeypatch.setattr(reader, "decode_line", lines_module.decode_line)
    assert read_journal(path).damaged == 0
