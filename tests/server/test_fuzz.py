"""Whatever is sent, the answer is an answer: nothing ends in an error of the server's."""

import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epochal.server.operations import OPERATIONS, PREFIX

API = "/api/v1"
ANSWERS = {200, 400, 404, 409, 413, 414, 415}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["pallets", "config.imgsz", "name", "val", "step", "epoch", "metric", "0"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def fields_of(struct):
    return list(struct.__struct_fields__) if struct is not None else []


def likely(served):
    """Values that a field may well take, so that more than the decoder is tried."""
    runs = st.lists(st.sampled_from([served.first, served.second, served.hostile]), max_size=4)
    columns = st.lists(st.sampled_from(["config.imgsz", "tags", "created", "nothing.x"]))
    return {
        "runs": runs,
        "ids": runs | st.none(),
        "run": st.sampled_from([served.first, "0" * 32]),
        "keys": st.lists(st.sampled_from(["train/box_loss", "nothing", ""]), max_size=3),
        "columns": columns,
        "by": columns,
        "sort": st.lists(
            st.fixed_dictionaries({"column": st.sampled_from(["name", "tags", "", "a b"])}),
            max_size=3,
        ),
        "x": st.sampled_from(["step", "epoch", "relative", "wall", "metric", "?"]),
        "project": st.sampled_from(["pallets", "nothing", None]),
        "candidate": st.just("0" * 32),
        "on": st.just(False),
        "record": st.just(False),
    }


@pytest.mark.parametrize("name", [o.name for o in OPERATIONS if o.body is not None])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_body_is_answered(served, name, data):
    operation = next(o for o in OPERATIONS if o.name == name)
    known = likely(served)
    names = st.sampled_from([*fields_of(operation.body), "surprise"])
    body = {
        field: data.draw(known.get(field, values) | values)
        for field in data.draw(st.lists(names, unique=True, max_size=8))
    }
    # Only what changes nothing: the workspace is shared.
    body = {k: v for k, v in body.items() if k not in ("add", "remove", "name", "rev", "reason")}
    path = PREFIX + operation.path.replace("{run}", served.first)
    answer = served.client.request(operation.method, path, json=body)
    assert answer.status_code in ANSWERS, answer.text


@pytest.mark.parametrize(
    "name", [o.name for o in OPERATIONS if o.method == "GET" and o.name != "events"]
)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_query_and_path_is_answered(served, name, data):
    operation = next(o for o in OPERATIONS if o.name == name)
    names = st.sampled_from([*fields_of(operation.query), "surprise"])
    query = data.draw(st.dictionaries(names, scalars.map(str), max_size=4))
    digest = st.sampled_from([served.dataset.digest, "0" * 64, "x"])
    path = operation.path
    for part in re.findall(r"\{(\w+)(?::path)?\}", path):
        drawn = (
            data.draw(st.sampled_from([served.first, served.hostile, "0" * 32]))
            if part == "run"
            else data.draw(st.text(max_size=30) | st.just("weights/best.pt"))
            if part == "key"
            else data.draw(digest)
        )
        path = re.sub(
            rf"\{{{part}(:path)?\}}", lambda _, to=drawn: quote(to, errors="replace"), path
        )
    answer = served.client.get(PREFIX + path, params=query)
    assert answer.status_code in ANSWERS, (path, query, answer.text)


def test_every_column_can_be_shown_sorted_filtered_and_grouped(served):
    for project in ("pallets", None):
        asked = {"project": project}
        columns = served.client.post(f"{API}/runs/columns", json=asked).json()["columns"]
        assert len(columns) > 10
        ids = [column["id"] for column in columns]
        for at in range(0, len(ids), 50):
            page = {**asked, "columns": ids[at : at + 50]}
            assert served.client.post(f"{API}/runs/query", json=page).status_code == 200
            assert served.client.post(f"{API}/runs/csv", json=page).status_code == 200
        for id in ids:
            for body in (
                {"sort": [{"column": id, "descending": True}]},
                {"filter": f"{id} is null"},
                {"filter": f"not {id} is null"},
            ):
                answer = served.client.post(f"{API}/runs/query", json={**asked, **body})
                assert answer.status_code == 200, (body, answer.text)
            groups = {**asked, "by": [id], "columns": [id], "sort": [{"column": id}]}
            answer = served.client.post(f"{API}/runs/groups", json=groups)
            assert answer.status_code == 200, (id, answer.text)
            for row in answer.json()["rows"]:
                within = {"by": [id], "key": row["key"]}
                members = served.client.post(f"{API}/runs/query", json={**asked, "within": within})
                assert members.json()["total"] == row["n"], (id, row["key"])
