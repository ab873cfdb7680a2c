"""Numbers of the test set that nobody was shown stay hidden, at every door."""

import pytest

from epochal.decisions.ledger import complete_look, open_look
from epochal.records import Evaluated
from epochal.store.store import Store

API = "/api/v1"
SECRET = 0.123456


@pytest.fixture
def looked(writable, request):
    """The pair, with the second run measured on test; shown is what the parameter says."""
    look = open_look(
        writable.folder,
        project="pallets",
        run=writable.second,
        weights="w",
        dataset="pallets@v1",
        split="test",
        image_digests=["a", "b"],
        purpose="gate",
    )
    with Store(writable.folder) as store:
        document = store.run(writable.second)
        evaluated = document.evaluations[0].body
        body = Evaluated(
            digest=evaluated.digest,
            split="test",
            evaluator=evaluated.evaluator,
            metrics={"mAP50-95": SECRET},
            fingerprint=evaluated.fingerprint,
            look=look.look,
        )
        store.record(body, writable.second)
    complete_look(writable.folder, look, {"mAP50-95": SECRET}, request.param)
    writable.digest = body.digest
    return writable


def answers(looked):
    """What each door says about the run's test numbers."""
    client = looked.client
    runs = [looked.first, looked.second]
    yield client.get(f"{API}/runs/{looked.second}")
    yield client.post(f"{API}/compare", json={"runs": runs, "splits": ["test", "val"]})
    yield client.get(f"{API}/ledger", params={"project": "pallets"})
    yield client.post(f"{API}/runs/columns", json={"project": "pallets"})


@pytest.mark.parametrize("looked", ["verdict", "nothing"], indirect=True)
def test_a_verdict_is_no_number(looked):
    for answer in answers(looked):
        assert answer.status_code == 200
        assert str(SECRET) not in answer.text, answer.url
    compared = looked.client.post(
        f"{API}/compare", json={"runs": [looked.first, looked.second], "splits": ["test", "val"]}
    ).json()
    assert "withheld" in compared["warnings"][0]
    assert [column["split"] for column in compared["evaluations"]] == ["val"]


@pytest.mark.parametrize("looked", ["number"], indirect=True)
def test_what_was_shown_once_is_shown_again(looked):
    detail, _, ledger, _ = answers(looked)
    assert str(SECRET) in detail.text
    assert str(SECRET) in ledger.text
