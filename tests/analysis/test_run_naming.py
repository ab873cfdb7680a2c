import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.analysis import check, difference, is_tool_default, suggest, version_of
from epochal.errors import InvalidInput

NAMES = st.text(max_size=20) | st.from_regex(r"v\d{1,9}(_[a-z0-9]{1,9})?", fullmatch=True)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=70)
    | st.lists(st.integers(), max_size=6)
)
CONFIGS = st.dictionaries(st.text(max_size=70), VALUES, max_size=5)


@pytest.mark.parametrize("name", ["v3_pallets_added", "v1_baseline", "v12_lr0_0p002", "v2_1024"])
def test_names_that_say_something(name):
    assert check(name).ok


@pytest.mark.parametrize(
    "name",
    [
        *("train", "train2", "train-3", "exp", "exp3", "run_5", "runs", "Run 12", "version_0"),
        *("yolov8n", "yolo11n-seg.pt", "yolo26s", "yolov8n.yaml2", "rtdetr-l", "untitled"),
    ],
)
def test_names_that_tools_give(name):
    assert is_tool_default(name)
    verdict = check(name)
    assert not verdict.ok
    assert "v3_pallets_added" in verdict.remedy


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("smart-hat-12", "random words"),
        ("separate_goose_5433", "random words"),
        ("2024-05-01_12-30-00", "a time"),
        ("0af3c2d1" * 4, "an id"),
        ("7", "a number"),
        ("V3_Pallets", "version and change"),
        ("pallets_added", "version and change"),
        ("v3_", "version and change"),
        ("v3_a\n", "version and change"),
    ],
)
def test_other_names_are_told_why(name, word):
    verdict = check(name, suggestion="v4_imgsz_160")
    assert not verdict.ok
    assert word in verdict.problem
    assert "v4_imgsz_160" in verdict.remedy


def test_a_charter_may_have_another_pattern_but_no_tool_default():
    assert check("PAL-12-tiles", r"PAL-\d+-[a-z]+").ok
    assert check("20240501", r"\d{8}").ok
    verdict = check("train2", r"[a-z0-9]+")
    assert not verdict.ok
    assert "[a-z0-9]+" in verdict.remedy
    with pytest.raises(InvalidInput):
        check("x", "(")


def test_the_name_of_nothing():
    assert check("").problem == "The run has no name"


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        ({"imgsz": 160, "lr0": 0.01}, "v4_imgsz_160"),
        ({"imgsz": 96, "lr0": 0.002}, "v4_lr0_0p002"),
        ({"imgsz": 96, "lr0": 1e-5}, "v4_lr0_1em05"),
        ({"imgsz": 96}, "v4_no_lr0"),
        ({"imgsz": 96, "lr0": 0.01, "cos_lr": True}, "v4_cos_lr_on"),
        ({"imgsz": 96, "lr0": 0.01, "model": "w/yolo11s.pt"}, "v4_model_yolo11s"),
        ({"imgsz": 160, "lr0": 0.002}, "v4_imgsz_160_lr0_0p002"),
        ({"imgsz": 160, "lr0": 0.002, "mixup": 0.1}, "v4_imgsz_160_lr0_0p002_and_1_more"),
        ({"imgsz": 96, "lr0": 0.01, "seed": 1}, "v4_seed_1"),
        ({"imgsz": 96, "lr0": 0.01}, "v4_rerun"),
    ],
)
def test_a_suggestion_says_what_changed(b, expected):
    assert suggest("v3_pallets_added", difference({"imgsz": 96, "lr0": 0.01}, b)) == expected


def test_a_suggestion_names_the_dataset_by_what_changed_of_it():
    same = difference({}, {}, dataset=("pallets@v2", "pallets@v3"))
    other = difference({}, {}, dataset=("pallets@v2", "boxes@v1"))
    assert suggest("v4_x", same) == "v5_dataset_v3"
    assert suggest("v4_x", other) == "v5_dataset_boxes_v1"
    code = difference({}, {}, commit=("a" * 40, "b" * 40))
    assert suggest("v4_x", code) == "v5_commit_bbbbbbb"


def test_versions_go_on_from_the_highest_in_the_project():
    change = difference({"imgsz": 96}, {"imgsz": 160})
    assert suggest(None, None) == "v1_baseline"
    assert suggest(None, None, ["v1_baseline"]) == "v2_baseline"
    assert suggest("v3_a", change, ["v3_a", "v7_b", "train2"]) == "v8_imgsz_160"
    assert suggest("old", change) == "v1_imgsz_160"
    assert [version_of(n) for n in ("v3_x", "V12", "x_v3", "v20240501_x")] == [3, 12, None, None]


@given(
    st.none() | NAMES,
    CONFIGS,
    CONFIGS,
    st.none() | st.tuples(st.text(max_size=50), st.text(max_size=50)),
    st.lists(NAMES, max_size=5),
)
def test_every_suggestion_passes_the_check(parent, a, b, dataset, taken):
    name = suggest(parent, difference(a, b, dataset=dataset), taken)
    assert check(name).ok, name
    assert len(name) <= 60
    assert name not in taken
    assert suggest(parent, difference(a, b, dataset=dataset), [*taken, name]) != name
