import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.analysis import ConfigDifference, difference, flatten

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text("a1 ", max_size=4)
    | st.sampled_from(["0.1", "1", "none", "True", "[1, 2]"])
)
KEYS = st.sampled_from(["imgsz", "lr0", "seed", "name", "save_dir", "data", "x", "y", "_"])
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=3)
CONFIGS = st.dictionaries(KEYS, VALUES, max_size=6)
ARGS = {
    "imgsz": 96,
    "lr0": 0.002,
    "optimizer": "AdamW",
    "mosaic": 0.0,
    "close_mosaic": 0,
    "warmup_bias_lr": 0.1,
    "copy_paste": 0.0,
    "seed": 0,
    "data": "dataset/data.yaml",
    "name": "imgsz96",
    "save_dir": "runs/detect/imgsz96",
    "dlam": 1.0,
}


def ignored(found):
    return {change.key: change.ignored for change in found.ignored}


def test_two_real_trainings_differ_in_one_thing():
    other = ARGS | {"imgsz": 160, "name": "imgsz160", "save_dir": "runs/detect/imgsz160"}
    found = difference(ARGS, other)
    assert found.summary() == "1 change: imgsz 96 -> 160"
    assert (found.count, found.confounded, found.replicate) == (1, False, False)
    assert ignored(found) == {"name": "noise", "save_dir": "noise"}


def test_dataset_and_commit_count_and_the_dataset_speaks_for_its_path():
    found = difference(
        ARGS,
        ARGS | {"imgsz": 160, "data": "elsewhere/data.yaml"},
        dataset=("pallets@v2", "pallets@v3"),
        commit=("a" * 40, "b" * 40),
    )
    assert found.summary() == (
        "3 changes, confounded: dataset pallets@v2 -> pallets@v3, imgsz 96 -> 160, "
        "commit aaaaaaa -> bbbbbbb"
    )
    assert ignored(found) == {"data": "dataset"}


def test_a_data_path_counts_where_no_version_speaks_for_it():
    other = ARGS | {"data": "elsewhere/data.yaml"}
    assert difference(ARGS, other).count == 1
    assert difference(ARGS, other, dataset=("pallets@v2", None)).count == 1
    assert difference(ARGS, other, dataset=("pallets@v2", "pallets@v2")).count == 0


def test_abbreviated_and_unknown_commits_are_no_change():
    assert difference({}, {}, commit=("abcdef1", "abcdef1" + "0" * 33)).count == 0
    assert difference({}, {}, commit=("abcdef1", None)).count == 0
    assert difference({}, {}, commit=("main", "dev")).summary() == "1 change: commit main -> dev"


def test_another_seed_alone_is_a_replicate():
    found = difference(ARGS, ARGS | {"seed": 1, "name": "again"})
    assert found.replicate
    assert found.summary() == "no change, a replicate: seed 0 -> 1"
    assert not difference(ARGS, ARGS | {"seed": 1, "imgsz": 160}).replicate
    assert difference(ARGS, ARGS).summary() == "no change"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0.1, "0.1"),
        (None, "None"),
        (True, "True"),
        ([0, 1], "[0, 1]"),
        (("a", None), '["a", null]'),
        ([0.1], ["0.1"]),
        ("1", "1.0"),
    ],
)
def test_the_same_value_as_text_is_shown_but_does_not_count(before, after):
    found = difference({"k": before}, {"k": after})
    assert ignored(found) == {"k": "type"}
    assert found.count == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [(2**53, 2**53 + 1), (1, True), ("a b", "ab"), ([1, 2], [2, 1]), (0.1, "0.2"), (None, 0)],
)
def test_other_values_count(before, after):
    assert difference({"k": before}, {"k": after}).count == 1


@pytest.mark.parametrize(
    ("before", "after"), [(1, 1.0), (float("nan"), float("nan")), ([1, 2.0], (1.0, 2))]
)
def test_numbers_are_equal_by_value(before, after):
    assert difference({"k": before}, {"k": after}) == ConfigDifference()


def test_both_types_are_shown_where_the_text_is_the_same():
    (change,) = difference({"k": 0.1}, {"k": "0.1"}).ignored
    assert str(change) == "k 0.1 (float) -> 0.1 (str)"


def test_defaults_spelled_out_by_a_full_ultralytics_config_do_not_count():
    sparse = {"imgsz": 160, "lr0": 0.002, "optimizer": "AdamW", "mosaic": 0.0, "close_mosaic": 0}
    found = difference(sparse, ARGS, dataset=("p@v1", "p@v1"))
    assert found.summary() == "1 change: imgsz 160 -> 96"
    assert ignored(found)["dlam"] == "default"
    assert difference({}, {"dlam": 1.0}).count == 1, "of another trainer nothing is known"


def test_nested_keys_are_dotted_and_only_unambiguous_noise_is_noise_in_depth():
    a = {"optimizer": {"name": "sgd", "lr": 0.1}, "train": {"output_dir": "x"}, "name": "a"}
    b = {"optimizer": {"name": "adam", "lr": 0.1}, "train": {"output_dir": "y"}, "name": "b"}
    found = difference(a, b)
    assert found.summary() == "1 change: optimizer.name sgd -> adam"
    assert ignored(found) == {"name": "noise", "train.output_dir": "noise"}
    assert difference({"lora": {"rank": 8}}, {"lora": {"rank": 16}}).count == 1


def test_noise_is_the_callers_to_choose():
    assert difference({"workers": 1}, {"workers": 2}).count == 0
    assert difference({"workers": 1}, {"workers": 2}, noise=()).count == 1
    assert difference({"x": {"y": 1}}, {"x": {"y": 2}}, noise=["X.*"]).count == 0


def test_effective_values_are_listed_only_where_the_request_was_the_same():
    found = difference(
        {"imgsz": 100, "lr0": 0.01},
        {"imgsz": 160, "lr0": 0.01},
        effective=({"imgsz": 128, "lr0": 0.002}, {"imgsz": 160, "lr0": 0.001}),
    )
    assert [change.key for change in found.effective] == ["lr0"]
    assert found.count == 1


def test_added_removed_and_long_lists_read_well():
    found = difference({"freeze": 10}, {"mixup": 0.1, "note": "x" * 90})
    assert [str(change) for change in found.changes[:2]] == [
        "freeze removed (was 10)",
        "mixup 0.1 added",
    ]
    assert len(str(found.changes[2])) < 60
    many = difference({}, {f"k{i}": i for i in range(9)})
    assert many.summary(limit=1) == "9 changes, confounded: k0 0 added and 8 more"
    assert len(many.of_kind("added")) == 9


def test_any_depth():
    deep = {"k": 1}
    for _ in range(5000):
        deep = {"d": deep}
    assert len(flatten(deep)) == 1


@given(CONFIGS, CONFIGS)
def test_swapping_the_sides_swaps_the_difference(a, b):
    there, back = difference(a, b), difference(b, a)
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    # compared as text: NaN is not equal to itself
    assert [
        (c.key, mirror[c.kind], repr(c.after), repr(c.before), c.ignored)
        for c in (*there.changes, *there.ignored)
    ] == [
        (c.key, c.kind, repr(c.before), repr(c.after), c.ignored)
        for c in (*back.changes, *back.ignored)
    ]
    assert "\n" not in there.summary()


@given(CONFIGS)
def test_nothing_differs_from_itself_however_it_was_nested(config):
    assert difference(config, config) == ConfigDifference()
    assert difference(config, flatten(config)) == ConfigDifference()


@given(CONFIGS, CONFIGS)
def test_a_difference_is_data(a, b):
    found = difference(a, b)
    assert (
        msgspec.json.decode(msgspec.json.encode(found))["changes"] is not None or found.count == 0
    )
