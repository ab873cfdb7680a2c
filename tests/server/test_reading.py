"""What the API tells about a pair of runs, compared with what was recorded."""

import pytest

API = "/api/v1"
KEY = "metrics/mAP50-95(B)"


def get(served, path, **parameters):
    answer = served.client.get(API + path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(served, path, **body):
    answer = served.client.post(API + path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_workspace_lists_its_projects(served):
    found = get(served, "/workspace")
    pallets = next(p for p in found["projects"] if p["name"] == "pallets")
    assert (pallets["runs"], pallets["running"], pallets["undocumented"]) == (2, 0, 2)
    assert found["author"]
    assert not found["problems"]


def test_search_finds_runs_datasets_and_projects_by_name(served):
    kinds = [hit["kind"] for hit in get(served, "/search", q="pallets")["hits"]]
    assert {"run", "dataset", "project"} <= set(kinds)
    first = get(served, "/search", q="v2 imgsz")["hits"][0]
    assert (first["kind"], first["id"]) == ("run", served.second)


def test_the_table_has_the_cells_asked_for(served):
    found = ask(
        served,
        "/runs/query",
        project="pallets",
        columns=["config.imgsz", f'best(metrics."{KEY}")', "tags"],
        sort=[{"column": "config.imgsz", "descending": True}],
    )
    assert [row["name"] for row in found["rows"]] == ["v2_imgsz_160", "v1_baseline"]
    imgsz, best, tags = found["rows"][0]["cells"]
    assert (imgsz, tags) == (160, ["candidate"])
    assert best == pytest.approx(0.526, abs=0.01)
    assert found["total"] == 2
    assert found["cursor"] is None
    row = found["rows"][0]
    assert (row["epoch"], row["epochs"], row["note"], row["dataset"]) == (
        29, 30, "missing", "pallets@v1",
    )  # fmt: skip


def test_runs_are_numbered_by_their_start_in_every_answer(served):
    rows = ask(served, "/runs/query", project="pallets")["rows"]
    assert {row["name"]: row["number"] for row in rows} == {"v1_baseline": 1, "v2_imgsz_160": 2}
    found = get(served, f"/runs/{served.second}")
    assert (found["number"], found["parent"]["number"]) == (2, 1)
    compared = ask(served, "/compare", runs=[served.second, served.first])
    assert [run["number"] for run in compared["runs"]] == [2, 1]


def test_a_filter_that_cannot_be_read_says_where(served):
    answer = served.client.post(API + "/runs/query", json={"filter": "config.imgsz >"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid-input"
    check = ask(served, "/runs/filter", filter="config.imgsz >", project="pallets")
    assert not check["ok"]
    assert check["problem"]
    check = ask(served, "/runs/filter", filter="config.imgsz > 100", project="pallets")
    assert check["ok"]
    assert check["runs"] == 1


def test_columns_say_what_differs(served):
    columns = {c["id"]: c for c in ask(served, "/runs/columns", project="pallets")["columns"]}
    assert columns["config.imgsz"]["differs"]
    assert not columns["config.lr0"]["differs"]
    assert columns["created"]["kind"] == "time"
    assert columns["duration"]["kind"] == "duration"
    best = next(c for c in columns.values() if c["id"].startswith("best(") and KEY in c["id"])
    assert best["direction"] == "max"


def test_what_was_measured_is_a_column_and_test_is_not(served):
    columns = {c["id"]: c for c in ask(served, "/runs/columns", project="pallets")["columns"]}
    latency, value = columns["latency.p95"], columns["evaluation.mAP50-95"]
    assert (latency["unit"], latency["direction"], value["direction"]) == ("ms", "min", "max")
    found = ask(
        served,
        "/runs/query",
        project="pallets",
        columns=["latency.p95"],
        sort=[{"column": 'evaluation."mAP50-95"', "descending": True}],
    )
    assert [row["cells"] for row in found["rows"]] == [[12], [11]]


def test_groups_have_mean_and_spread(served):
    found = ask(served, "/runs/groups", project="pallets", by=["group"], columns=["config.imgsz"])
    (group,) = found["rows"]
    (cell,) = group["cells"]
    assert (group["key"], group["n"]) == (["size"], 2)
    assert (cell["mean"], cell["n"], cell["min"], cell["max"]) == (128, 2, 96, 160)
    assert cell["std"] == pytest.approx(45.2548, abs=1e-3)
    members = ask(
        served, "/runs/query", project="pallets", within={"by": ["group"], "key": ["size"]}
    )
    assert {row["id"] for row in members["rows"]} == set(group["runs"])


def test_one_run_has_everything(served):
    found = get(served, f"/runs/{served.second}")
    document = found["document"]
    assert document["config"]["imgsz"] == 160
    assert document["hypothesis"]
    assert found["parent"]["id"] == served.first
    assert not found["children"]
    assert found["dataset"]["state"] == "verified"
    assert found["images"] == 1
    assert found["name_check"]["ok"]
    assert found["host"]
    parent = get(served, f"/runs/{served.first}")
    assert [child["id"] for child in parent["children"]] == [served.second]


def test_the_tree_shows_what_changed(served):
    found = get(served, f"/runs/{served.second}/lineage")
    assert found["root"] == served.first
    root, child = found["runs"]
    assert (root["parent"], child["parent"]) == (None, served.first)
    assert child["change"] == "1 change: imgsz 96 -> 160"
    assert child["value"] == pytest.approx(0.526, abs=0.01)


def test_logged_images_come_with_their_boxes(served):
    found = get(served, f"/runs/{served.first}/media")
    assert found["keys"] == [{"key": "val/batch0", "steps": [29], "images": 1}]
    (image,) = found["images"]
    assert image["boxes"][0]["class"] == "pallet"
    assert image["caption"] == "first batch"
    answer = served.client.get(f"{API}/runs/{served.first}/media/{image['digest']}")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")


def test_artifacts_are_saved_previewed_and_shown(served):
    run = f"{API}/runs/{served.first}"
    saved = served.client.get(f"{run}/artifacts/weights/best.pt")
    assert saved.content == b"weights 0"
    assert saved.headers["content-disposition"].startswith('attachment; filename="best.pt"')
    preview = get(served, f"/runs/{served.first}/previews/notes.txt")
    assert (preview["kind"], preview["text"]) == ("text", "some text\n")
    assert served.client.get(f"{run}/pictures/notes.txt").status_code == 404


def test_an_evaluation_has_its_matrix_at_any_confidence(served):
    document = get(served, f"/runs/{served.first}")["document"]
    digest = document["evaluations"][0]["body"]["digest"]
    place = f"/runs/{served.first}/evaluations/{digest}"
    found = get(served, place)
    assert found["evaluation"]["split"] == "val"
    assert found["ref"]["has_matches"]
    low = get(served, f"{place}/confusion", confidence=0.25)
    high = get(served, f"{place}/confusion", confidence=0.9)
    assert low["live"]
    assert low["labels"][-1] == "background"
    detections = [sum(map(sum, matrix["matrix"][:-1])) for matrix in (low, high)]
    assert detections[0] > detections[1]
    assert low["matrix"] == [list(r) for r in found["evaluation"]["confusion"]["matrix"]]


def test_every_cell_leads_to_the_images_it_counts(served):
    document = get(served, f"/runs/{served.first}")["document"]
    digest = document["evaluations"][0]["body"]["digest"]
    place = f"/runs/{served.first}/evaluations/{digest}"
    matrix = get(served, f"{place}/confusion", confidence=0.4)["matrix"]
    for predicted, row in enumerate(matrix):
        for true, count in enumerate(row):
            cell = get(
                served, f"{place}/cell", confidence=0.4, predicted=predicted, true=true, limit=200
            )
            assert sum(image["count"] for image in cell["images"]) == count
            for image in cell["images"]:
                shown = [b for b in image["boxes"] if b["in_cell"]]
                assert len(shown) >= image["count"]


def test_the_image_of_a_cell_is_served_from_the_dataset_version(served):
    document = get(served, f"/runs/{served.first}")["document"]
    digest = document["evaluations"][0]["body"]["digest"]
    cell = get(served, f"/runs/{served.first}/evaluations/{digest}/cell", predicted=0, true=0)
    image = cell["images"][0]
    assert (image["width"], image["height"]) == (64, 48)
    answer = served.client.get(f"{API}/datasets/{image['dataset']}/images/{image['image']}")
    assert answer.status_code == 200
    assert answer.content == (served.data / "images" / "val" / image["name"]).read_bytes()


def test_comparing_brings_evaluations_latencies_and_lessons(served):
    found = ask(served, "/compare", runs=[served.first, served.second])
    assert found["comparison"]["metric"] == "mAP50-95"
    assert found["comparison"]["differences"][0]["count"] == 1
    (column,) = found["evaluations"]
    assert [ref["run"] for ref in column["evaluations"]] == [served.first, served.second]
    assert column["not_comparable"] == []
    assert column["conditions"] == ["imgsz: 96 against 160"]
    assert [point["latency"]["p95"] for point in found["latencies"]] == [11, 12]
    assert all(point["value"] is not None for point in found["latencies"])
    assert [lesson["hypothesis"] for lesson in found["lessons"]] == [
        "", "Small pallets need more pixels.",
    ]  # fmt: skip


def test_metric_keys_are_grouped_and_known(served):
    found = ask(served, "/metrics", runs=[served.first, served.second])
    groups = {group["prefix"]: group["keys"] for group in found["groups"]}
    (key,) = groups["metrics"]
    assert (key["canonical"], key["direction"], key["runs"], key["points"]) == (
        "mAP50-95", "max", 2, 30,
    )  # fmt: skip
    assert key["by_epoch"]


def test_datasets_know_their_runs_and_statistics(served):
    (version,) = get(served, "/datasets")["versions"]
    assert version["name"] == "pallets"
    assert {r["id"] for r in version["runs"]} == {
        served.first,
        served.second,
    }
    found = get(served, f"/datasets/{version['digest']}")
    val = next(s for s in found["statistics"] if s["split"] == "val")
    assert (val["images"], val["objects"], val["background"]) == (6, 12, 0)
    assert {c["name"]: c["objects"] for c in val["classes"]} == {
        "pallet": 8, "truck": 2, "person": 2,
    }  # fmt: skip
    assert found["available"]
    assert found["readable"]
    trucks = get(served, f"/datasets/{version['digest']}/entries", split="val", label="truck")
    assert trucks["total"] == 2
    assert all(e["objects"]["truck"] for e in trucks["entries"])
    same = get(served, f"/datasets/{version['digest']}/difference/{version['digest']}")
    assert same["summary"] == "no differences"


def test_the_charter_is_shown_and_not_recorded_by_looking(served):
    before = get(served, "/workspace")["change"]
    found = get(served, "/charter", project="pallets")
    assert (found["version"], found["history"]) == (0, [])
    assert found["charter"]["metric"] == "mAP50-95"
    assert get(served, "/workspace")["change"] == before


def test_ledger_and_decisions_begin_empty(served):
    found = get(served, "/ledger", project="pallets")
    assert found["sets"] == []
    assert found["problems"] == []
    assert get(served, "/decisions", project="pallets")["decisions"] == []
    assert get(served, "/baseline", project="pallets")["baseline"] is None


def test_lessons_wait_to_be_written(served):
    waiting = get(served, "/lessons/undocumented", project="pallets")
    assert waiting["total"] == 2
    assert waiting["runs"][0]["draft"]
    view = get(served, f"/runs/{served.second}/lesson")
    assert view["lesson"] is None
    assert view["rev"] == 0
    assert view["preregistered"]
    assert view["draft"]["change"]
    assert view["draft"]["result"]
    hits = get(served, "/lessons", q="pixels", project="pallets")["hits"]
    assert [hit["run"]["id"] for hit in hits] == [served.second]


def test_what_is_not_there_says_so(served):
    for path in (
        "/runs/" + "0" * 32,
        "/runs/nonsense",
        f"/runs/{served.first}/media/" + "0" * 64,
        f"/runs/{served.first}/artifacts/none",
        f"/runs/{served.first}/evaluations/" + "0" * 64,
        "/datasets/" + "0" * 64,
        "/datasets/zz",
        f"/datasets/{served.dataset.digest}/images/zz",
        "/decisions/" + "0" * 64,
    ):
        answer = served.client.get(API + path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "not-found"
        assert answer.json()["detail"]


def test_a_dataset_version_shows_its_boxes_and_how_large_they_are(served):
    (version,) = get(served, "/datasets")["versions"]
    page = get(served, f"/datasets/{version['digest']}/entries?split=val")
    for entry in page["entries"]:
        assert entry["width"] > 0
        assert entry["height"] > 0
        assert len(entry["boxes"]) == sum(entry["objects"].values())
    splits = get(served, f"/datasets/{version['digest']}/shapes")["splits"]
    for split in splits:
        assert split["unknown"] == 0
        counted = split["small"] + split["medium"] + split["large"]
        assert counted == sum(split["pixels"]["counts"]) == sum(split["side"]["counts"])
        assert counted > 0
