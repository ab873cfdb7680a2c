import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.analysis import (
    DEFAULT_REGISTRY,
    Metric,
    find_key,
    format_gain,
    format_value,
    guess_direction,
    resolve,
)
from epochal.errors import InvalidInput

KEYS = st.text(string.ascii_letters + string.digits + "/_-.@():= é", min_size=1, max_size=30)


@pytest.mark.parametrize(
    "key",
    [
        "metrics/mAP50-95(B)",
        "metrics/mAP50-95B",
        "  metrics/mAP50-95(B) ",
        "metrics/mAP_0.5:0.95",
        "mAP50-95",
        "val/mAP50-95",
        "val/mAP",
        "coco/bbox_mAP",
    ],
)
def test_spellings_of_the_main_metric_are_one_metric(key):
    metric = resolve(key)
    assert (metric.name, metric.direction, metric.unit) == ("mAP50-95", "max", "ratio")
    assert metric.default_min_gain == 0.005


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("metrics/mAP50-95(M)", "mAP50-95(M)"),
        ("metrics/mAP50M", "mAP50(M)"),
        ("metrics/precision(P)", "precision(P)"),
        ("test/mAP50-95", "test/mAP50-95"),
        ("train/mAP50-95(B)", "train/mAP50-95"),
        ("metrics/accuracy_top1", "accuracy_top1"),
        ("val_acc", "accuracy_top1"),
        ("metrics/mIoU", "mIoU"),
        ("metrics/mAP_small(B)", "mAP50-95-small"),
        ("recall@precision>=0.95", "recall@precision=0.95"),
        ("metrics/delta1", "delta1"),
    ],
)
def test_other_geometries_and_splits_are_other_metrics(key, name):
    assert resolve(key).name == name
    assert resolve(key).direction == "max"


@pytest.mark.parametrize(
    "loss",
    [
        *("loss", "box_loss", "cls_loss", "dfl_loss", "l1_loss", "seg_loss", "sem_loss"),
        *("pose_loss", "kobj_loss", "rle_loss", "angle_loss", "giou_loss"),
        *("dlog_loss", "dgrad_loss"),
    ],
)
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_losses_go_down_and_keep_their_split(split, loss):
    metric = resolve(f"{split}/{loss}")
    assert (metric.name, metric.direction) == (f"{split}/{loss}", "min")
    assert resolve(loss).name == loss


def test_errors_of_depth_go_down_and_coordinates_go_nowhere():
    assert [resolve(f"metrics/{key}").direction for key in ("abs_rel", "rmse", "silog")] == [
        "min"
    ] * 3
    for key in ("epoch", "time", "lr/pg0", "lr/pg2"):
        assert resolve(key).direction is None
        assert resolve(key).known


def test_every_spelling_of_the_registry_leads_to_its_entry():
    for metric in DEFAULT_REGISTRY.metrics.values():
        for spelling in (metric.name, *metric.aliases):
            assert resolve(spelling).name == metric.name


@given(KEYS)
def test_an_unknown_key_gets_no_direction(key):
    metric = resolve(key)
    assert metric.known or (metric.direction is None and metric.name == key.strip())
    assert resolve(metric.name).name == metric.name


@pytest.mark.parametrize(
    ("key", "direction"),
    [
        ("train/my_loss", "min"),
        ("precision_loss", "min"),
        ("stepTime", "min"),
        ("val/wer", "min"),
        ("bbox/AP50", "max"),
        ("MyRecall", "max"),
        ("ood/f1", "max"),
        ("temperature", None),
        ("capacity", None),
        ("grad_norm", None),
    ],
)
def test_a_guess_reads_whole_words(key, direction):
    assert guess_direction(key) == direction


def test_find_key_returns_the_preferred_spelling_and_never_another_split():
    keys = ["test/mAP50-95(B)", "val/mAP", "metrics/mAP50-95(B)", "train/box_loss"]
    assert find_key("mAP50-95", keys) == "metrics/mAP50-95(B)"
    assert find_key("mAP50-95", reversed(keys)) == "metrics/mAP50-95(B)"
    assert find_key("mAP50-95", keys[:2]) == "val/mAP"
    assert find_key("val/mAP", keys) == "val/mAP"
    assert find_key("mAP50-95", keys[:1]) is None
    assert find_key("val/box_loss", keys) is None
    assert find_key("my_own", ["my_own", "x"]) == "my_own"


def test_the_charter_adds_and_overrides():
    registry = DEFAULT_REGISTRY.with_overrides(
        {
            "pallet_recall": {"direction": "max", "unit": "ratio", "aliases": ["rec/pallet"]},
            "drift": "min",
            "metrics/mAP50-95(B)": {"default_min_gain": 0.01},
            "test/mAP50": {"default_min_gain": 0.02},
        }
    )
    assert registry.resolve("rec/pallet").name == "pallet_recall"
    assert registry.resolve("test/pallet_recall").name == "test/pallet_recall"
    assert registry.resolve("drift").direction == "min"
    assert registry.resolve("drift").known
    assert registry.resolve("metrics/mAP50-95B").default_min_gain == 0.01
    assert registry.resolve("val/mAP").direction == "max"
    assert registry.resolve("test/mAP50(B)").default_min_gain == 0.02
    assert registry.resolve("mAP50").default_min_gain == 0.005
    assert resolve("drift").direction is None, "the default registry stays as it was"


@pytest.mark.parametrize(
    "fields", ["up", {"direction": "up"}, {"directoin": "max"}, {"name": "x"}, 3, {"aliases": 3}]
)
def test_a_charter_entry_that_cannot_be_read_is_named(fields):
    with pytest.raises(InvalidInput) as caught:
        DEFAULT_REGISTRY.with_overrides({"pallet_recall": fields})
    assert "pallet_recall" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("ratio", 0.4886, "0.489"),
        ("ms", 4.234, "4.23 ms"),
        ("ms", 12345.6, "12346 ms"),
        ("bytes", 6_240_000, "6.2 MB"),
        ("bytes", 12, "12 B"),
        ("%", 45.12, "45.1 %"),
        ("", 1.28682, "1.287"),
        ("", None, "–"),
        ("ratio", float("nan"), "NaN"),
        ("", float("-inf"), "-∞"),
    ],
)
def test_values_are_written_in_their_unit(unit, value, text):
    assert format_value(Metric(name="m", unit=unit), value) == text


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("ratio", 0.0312, "+3.1 points"),
        ("ratio", -0.005, "-0.5 points"),
        ("ratio", 0.0004, "+0.04 points"),
        ("ratio", 0.0, "+0.0 points"),
        ("ms", -0.4, "-0.4 ms"),
        ("", 0.25, "+0.25"),
        ("ratio", None, "–"),
    ],
)
def test_gains_of_ratios_are_said_in_points(unit, value, text):
    assert format_gain(Metric(name="m", unit=unit), value) == text
