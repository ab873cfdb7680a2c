import pytest

from epochal.decisions import decide
from epochal.errors import InvalidInput, Refused
from epochal.records import Artifact, Trashed
from epochal.registry import aliases, history
from epochal.registry.promote import promote, promotions
from epochal.store.store import Store


def test_a_run_that_ships_is_promoted(shipped):
    store, run = shipped
    done = promote(store, run, reason="line 2 first")
    assert (done.alias, done.run, done.previous, done.changed) == (
        "production",
        run.id,
        None,
        True,
    )
    assert done.decision
    assert done.override == ""
    change = aliases(store, "pallets")["production"]
    assert change.run == run.id
    assert change.reason == f"line 2 first (decision {done.decision[:12]})"


def test_promoting_again_records_nothing(shipped):
    store, run = shipped
    promote(store, run)
    again = promote(store, run)
    assert (again.changed, again.previous) == (False, run.id)
    assert len(history(store, "pallets", "production")) == 1


def test_without_a_decision_it_takes_a_reason(folder, record_run):
    run = record_run()
    with Store(folder) as store:
        with pytest.raises(Refused, match="nobody has decided"):
            promote(store, store.run(run))
        assert aliases(store, "pallets") == {}
        done = promote(store, store.run(run), override="hot fix for line 2")
        assert done.override == "hot fix for line 2"
        assert "override: hot fix" in aliases(store, "pallets")["production"].reason


@pytest.mark.parametrize(
    ("reason", "override"),
    [("", ""), ("line 2 first", ""), ("", "hot fix"), ("line (2) first", "hot (fix) now")],
)
def test_promotions_tell_reason_override_and_decision(shipped, record_run, reason, override):
    store, run = shipped
    if override:
        record_run("v2_undecided", config={"imgsz": 320})
        store.refresh()
        run = store.find_run("v2_undecided")
    done = promote(store, run, "staging", reason=reason, override=override)
    (found,) = promotions(store, "pallets")
    assert (found.alias, found.run) == ("staging", run.id)
    assert (found.reason, found.override) == (reason, override)
    assert found.decision == done.decision
    assert found.author


def test_a_lost_decision_does_not_ship(shipped, rules, record_run):
    store, run = shipped
    record_run("v2_worse", config={"imgsz": 320})
    store.refresh()
    candidate = store.find_run("v2_worse")
    decide(store, candidate, run, charter=rules, version=1)
    with pytest.raises(Refused, match="more experiments"):
        promote(store, candidate)


def test_other_weights_than_those_decided_on(shipped, folder, record_run):
    store, run = shipped
    store.close()
    record_run(
        run=run.id,
        attempt=2,
        bodies=[Artifact(key="weights/best.pt", digest="1" * 64, size=7, role="weights")],
    )
    with Store(folder) as again, pytest.raises(Refused, match="other weights"):
        promote(again, again.run(run.id))


def test_what_cannot_be_promoted(shipped):
    store, run = shipped
    with pytest.raises(InvalidInput, match="baseline"):
        promote(store, run, "baseline")
    with pytest.raises(InvalidInput, match="alias"):
        promote(store, run, "In Production")
    store.record(Trashed(on=True), run.id)
    with pytest.raises(Refused, match="trash"):
        promote(store, store.run(run.id))
    assert aliases(store, "pallets") == {}
