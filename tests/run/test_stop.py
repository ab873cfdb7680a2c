"""A person asks for the end; the training hears of it."""

from __future__ import annotations

import pytest

from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import Heartbeat, StopRequested, Tagged
from epochal.run.surroundings import _StopListener
from epochal.store.store import Store


@pytest.fixture
def listener(run):
    return _StopListener(run)


def test_a_request_through_the_store_is_heard(run, listener, folder, capsys):
    listener.look()
    assert not run.stop_requested
    with Store(folder) as store:
        store.record(Tagged(tags=("x",)), run.id)
        listener.look()
        assert not run.stop_requested
        store.record(StopRequested(reason="enough"), run.id)
    listener.look()
    assert run.stop_requested
    assert "it ends at the next epoch" in capsys.readouterr().err


def test_a_request_is_heard_once_its_line_is_whole(run, listener):
    writer = Writer(run.folder / "journal", run=run.id)
    writer.append(Heartbeat())
    writer.append(StopRequested())
    writer.close()
    data = writer.path.read_bytes()
    writer.path.write_bytes(data[:-10])
    listener.look()
    assert not run.stop_requested
    writer.path.write_bytes(data)
    listener.look()
    assert run.stop_requested


def test_a_request_of_an_earlier_attempt_is_not_this_ones(start, folder):
    run = start()
    with Store(folder) as store:
        store.record(StopRequested(), run.id)
    run.finish()
    again = start(resume=run.id)
    listener = _StopListener(again)
    listener.look()
    assert not again.stop_requested


def test_nobodys_request_stands_in_the_runs_own_journal(run, listener):
    run.record(StopRequested())
    listener.look()
    assert not run.stop_requested


def test_the_training_hears_it_by_itself(script, folder):
    """End to end: the thread beside the training looks every two seconds."""
    one = script(
        """
        import epochal, time
        run = epochal.init("p", "v1_baseline", capture=False)
        print("id", run.id, flush=True)
        for epoch in range(600):
            run.log({"k": 1.0}, epoch=epoch)
            if run.stop_requested:
                break
            time.sleep(0.1)
        """
    )
    run = one.wait_for("id")
    with Store(folder) as store:
        store.record(StopRequested(), run)
    code, error = one.end()
    assert code == 0, error
    assert "a stop of v1_baseline was requested" in error
    found, status = one.only_run()
    assert status == "finished"
    assert found.metrics["k"].n < 300
    assert all(read_journal(j.path).damaged == 0 for j in folder.journals())
