"""What a person may change, and what stands in the journal afterwards."""

import pytest

from epochal.records import Renamed, StopRequested
from epochal.store.store import Store

API = "/api/v1"


def send(served, method, path, **body):
    answer = served.client.request(method, API + path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def document(served, run):
    return served.client.get(f"{API}/runs/{run}").json()["document"]


def test_a_lesson_is_written_rendered_and_kept(writable):
    place = f"/runs/{writable.second}/lesson"
    view = send(
        writable, "PUT", place, rev=0, hypothesis="more pixels", result="**+3 points**", next="x"
    )
    assert view["lesson"]["result"] == "**+3 points**"
    assert view["html"]["result"] == "<p><strong>+3 points</strong></p>\n"
    again = send(writable, "PUT", place, rev=view["rev"], result="+3 points", text="and more")
    assert again["lesson"]["hypothesis"] == ""
    assert [h["result"] for h in again["history"]] == ["**+3 points**", "+3 points"]
    assert document(writable, writable.second)["lesson"]["author"].startswith("Test Author")
    with Store(writable.folder) as store:
        assert store.run(writable.second).lesson.text == "and more"


def test_two_browsers_do_not_overwrite_each_other(writable):
    place = f"{API}/runs/{writable.second}/lesson"
    assert writable.client.put(place, json={"rev": 0, "result": "mine"}).status_code == 200
    answer = writable.client.put(place, json={"rev": 0, "result": "theirs"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict"
    assert document(writable, writable.second)["lesson"]["result"] == "mine"


def test_a_rename_is_a_record_and_the_same_name_is_none(writable):
    path = f"/runs/{writable.second}/name"
    send(writable, "PUT", path, name="v2_more_pixels")
    send(writable, "PUT", path, name="v2_more_pixels")
    assert document(writable, writable.second)["name"] == "v2_more_pixels"
    with Store(writable.folder) as store:
        found = store._db.rows("SELECT COUNT(*) FROM event WHERE kind = 'renamed'")
    assert found == [(1,)]
    assert Renamed.__struct_config__.tag == "renamed"


def test_names_are_checked_while_they_are_typed(writable):
    def check(name):
        answer = writable.client.get(
            f"{API}/names/check",
            params={"project": "pallets", "name": name, "run": writable.second},
        )
        assert answer.status_code == 200
        return answer.json()

    assert check("v2_imgsz_160")["verdict"]["ok"]
    assert not check("v2_imgsz_160")["taken"]
    assert check("v1_baseline")["taken"]
    bad = check("train2")
    assert not bad["verdict"]["ok"]
    assert bad["suggestion"] == "v2_imgsz_160"
    assert bad["policy"] == "warn"


def test_tags_are_added_to_and_taken_from_what_each_run_has(writable):
    runs = [writable.first, writable.second]
    send(writable, "POST", "/runs/tags", runs=runs, add=["good", "café"], remove=["candidate"])
    assert document(writable, writable.first)["tags"] == ["good", "café"]
    assert document(writable, writable.second)["tags"] == ["good", "café"]
    found = send(writable, "POST", "/runs/query", filter='tags has "good"')
    assert found["total"] == 2


def test_the_trash_hides_and_gives_back(writable):
    run = writable.second
    send(writable, "POST", "/runs/trash", runs=[run], on=True)
    shown = send(writable, "POST", "/runs/query", project="pallets")
    assert [row["id"] for row in shown["rows"]] == [writable.first]
    trashed = send(writable, "POST", "/runs/query", project="pallets", trashed=True)
    assert [row["id"] for row in trashed["rows"]] == [run]
    send(writable, "POST", "/runs/trash", runs=[run], on=False)
    assert send(writable, "POST", "/runs/query", project="pallets")["total"] == 2


def test_a_stop_is_asked_of_a_running_training_only(writable):
    import epochal

    done = writable.client.post(f"{API}/runs/{writable.first}/stop", json={})
    assert done.status_code == 409
    assert done.json()["code"] == "refused"
    with epochal.init(
        project="pallets", name="v3_long", workspace=writable.folder.root, capture=False
    ) as run:
        run.log({"loss": 1.0})
        run.sync()
        with Store(writable.folder):
            pass
        send(writable, "POST", f"/runs/{run.id}/stop", reason="seen enough")
        with Store(writable.folder) as store:
            assert store.run(run.id).stop_requested
            bodies = store._db.rows("SELECT body FROM event WHERE kind = 'stop'")
    assert "seen enough" in bodies[0][0]
    assert StopRequested.__struct_config__.tag == "stop"


def test_the_baseline_is_shared_and_has_a_history(writable):
    place = "/baseline"
    send(writable, "PUT", place, project="pallets", run=writable.first, reason="the first")
    view = send(writable, "PUT", place, project="pallets", run=writable.second, reason="better")
    assert view["baseline"]["id"] == writable.second
    assert [h["reason"] for h in view["history"]] == ["better", "the first"]
    rows = send(writable, "POST", "/runs/query", project="pallets")["rows"]
    assert {row["id"]: row["aliases"] for row in rows} == {
        writable.first: [],
        writable.second: ["baseline"],
    }
    other = writable.client.put(
        API + place, json={"project": "other", "run": writable.second, "reason": ""}
    )
    assert other.status_code == 400


def test_a_decision_is_asked_recorded_and_exported(writable):
    ask = {"candidate": writable.second, "baseline": writable.first}
    dry = send(writable, "POST", "/decisions", **ask, record=False)
    assert not dry["recorded"]
    assert [gate["number"] for gate in dry["gates"]] == [1, 2, 3, 4]
    listed = f"{API}/decisions"
    assert writable.client.get(listed).json()["decisions"] == []
    made = send(writable, "POST", "/decisions", **ask)
    assert made["recorded"]
    assert made["verdict"] == "more experiments"
    assert made["next"]
    (row,) = writable.client.get(listed, params={"project": "pallets"}).json()["decisions"]
    assert row["digest"] == made["digest"]
    again = writable.client.get(f"{listed}/{made['digest']}").json()
    assert again["gates"] == made["gates"]
    text = writable.client.get(f"{listed}/{made['digest']}/markdown")
    assert "v2_imgsz_160" in text.text
    page = writable.client.get(f"{listed}/{made['digest']}/html")
    assert page.headers["content-disposition"].startswith("attachment")
    detail = writable.client.get(f"{API}/runs/{writable.second}").json()
    assert [d["digest"] for d in detail["decisions"]] == [made["digest"]]


def test_an_override_ships_with_its_reason(writable):
    made = send(
        writable,
        "POST",
        "/decisions",
        candidate=writable.second,
        baseline=writable.first,
        override="the customer waits",
    )
    assert (made["verdict"], made["override"]) == ("ship", "the customer waits")


def test_only_what_ships_is_promoted(writable):
    ask = {"run": writable.second}
    refused = writable.client.put(f"{API}/promotions", json=ask)
    assert refused.status_code == 409
    assert refused.json()["code"] == "refused"
    done = send(writable, "PUT", "/promotions", **ask, override="the customer waits")
    assert (done["alias"], done["run"], done["changed"]) == ("production", writable.second, True)
    rows = send(writable, "POST", "/runs/query", ids=[writable.second])["rows"]
    assert rows[0]["aliases"] == ["production"]


def test_promotions_are_listed_with_the_decision_behind_them(writable):
    promote = {"run": writable.second, "alias": "staging", "reason": "line 2"}
    send(writable, "PUT", "/promotions", **promote, override="a trial")
    made = send(
        writable,
        "POST",
        "/decisions",
        candidate=writable.first,
        baseline=None,
        override="it is the first",
    )
    send(writable, "PUT", "/promotions", run=writable.first, alias="staging")
    found = writable.client.get(f"{API}/promotions?project=pallets").json()
    (current,) = found["current"]
    assert (current["alias"], current["run"]["name"]) == ("staging", "v1_baseline")
    assert (current["decision"], current["verdict"]) == (made["digest"], "ship")
    assert [(p["run_id"], p["reason"], p["override"]) for p in found["history"]] == [
        (writable.first, "", ""),
        (writable.second, "line 2", "a trial"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/runs/{run}/lesson", {"rev": 0, "result": "x"}),
        ("PUT", "/runs/{run}/name", {"name": "v9_x"}),
        ("POST", "/runs/{run}/stop", {}),
        ("POST", "/runs/tags", {"runs": ["{run}"], "add": ["x"]}),
        ("POST", "/runs/trash", {"runs": ["{run}"], "on": True}),
        ("PUT", "/baseline", {"project": "pallets", "run": "{run}"}),
        ("POST", "/decisions", {"candidate": "{run}"}),
        ("PUT", "/promotions", {"run": "{run}"}),
    ],
)
def test_nothing_is_written_about_a_run_that_is_not_there(writable, method, path, body):
    before = sorted(writable.folder.root.rglob("*.jsonl"))
    sizes = [p.stat().st_size for p in before]
    run = "0" * 32
    body = {k: [run] if v == ["{run}"] else run if v == "{run}" else v for k, v in body.items()}
    answer = writable.client.request(method, API + path.replace("{run}", run), json=body)
    assert answer.status_code == 404
    assert sorted(writable.folder.root.rglob("*.jsonl")) == before
    assert [p.stat().st_size for p in before] == sizes
