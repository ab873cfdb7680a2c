"""The document, its fingerprint, and what is kept of it."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import random_boxes, seeds, ultralytics_records

from epochal.errors import Damaged, InvalidInput, NewerFormat, NotFound
from epochal.evaluation import (
    Boxes,
    MatchRecords,
    average_precision,
    build_evaluation,
    conditions,
    decode,
    differences,
    encode,
    load_boxes,
    load_evaluation,
    load_matches,
    match,
    store_evaluation,
)
from epochal.store.blobs import Blobs


@pytest.fixture
def boxes():
    return random_boxes(3, 10)


@pytest.fixture
def evaluation(boxes):
    found, _ = build_evaluation(
        boxes,
        split="val",
        dataset="shapes@v1",
        split_digest="d1",
        protocol={"imgsz": 96, "conf": 0.001, "iou": 0.7, "max_det": 300},
    )
    return found


def test_encoding_round_trips_and_is_json(evaluation):
    assert decode(encode(evaluation)) == evaluation
    assert encode(decode(encode(evaluation))) == encode(evaluation)
    assert json.loads(encode(evaluation))["metrics"]["mAP50-95"] == evaluation.metrics["mAP50-95"]


def test_a_newer_versions_fields_are_ignored(evaluation):
    more = json.loads(encode(evaluation)) | {"new_field": 1}
    assert decode(json.dumps(more).encode()) == evaluation


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"[1]"])
def test_bytes_that_are_no_evaluation(data):
    with pytest.raises(Damaged):
        decode(data)


def test_undefined_values_are_none_never_nan():
    empty = random_boxes(3, 4).with_predictions(img=[], cls=[], score=[], xyxy=[])
    empty = replace(
        empty, truth_img=(), truth_cls=(), truth_xyxy=(), truth_crowd=(), truth_area=()
    )
    evaluation, _ = build_evaluation(empty, split="val", dataset="x")
    assert evaluation.metrics["mAP50-95"] is None
    assert evaluation.per_class[0].ap is None
    assert b"NaN" not in encode(evaluation)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"split": "test"}, "split: val against test"),
        ({"split_digest": "d2"}, "images and labels of the split: d1 against d2"),
        ({"evaluator": "ultralytics/8.0"}, "evaluator: epochal/coco101 against ultralytics/8.0"),
        ({"iou_thresholds": (0.5,)}, "IoU thresholds"),
        ({"max_detections": 300}, "detections per image and class: 100 against 300"),
        ({"classes": ("a", "b")}, "class list: 3 (class0, class1, class2) against 2 (a, b)"),
        ({"images": 11}, "number of images: 10 against 11"),
        ({"task": "segment"}, "task: detect against segment"),
        ({"protocol": {"conf": 0.25}}, "confidence floor: 0.001 against 0.25"),
        ({"protocol": {"augment": True}}, "test-time augmentation: unknown against True"),
    ],
)
def test_what_keeps_two_evaluations_apart(evaluation, change, word):
    if "protocol" in change:
        change = {"protocol": evaluation.protocol | change["protocol"]}
    other = msgspec.structs.replace(evaluation, **change)
    assert other.fingerprint != evaluation.fingerprint
    assert any(word in line for line in differences(evaluation, other))


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": {"imgsz": 160}},
        {"protocol": {"half": True}},
        {"protocol": {"max_det": 300.0}},
        {"weights": "other"},
        {"dataset": "shapes@v1-renamed"},  # the content is what counts, not its name
        {"speed": {"inference": 1.0}},
    ],
)
def test_what_may_differ(evaluation, change):
    if "protocol" in change:
        change = {"protocol": evaluation.protocol | change["protocol"]}
    other = msgspec.structs.replace(evaluation, **change)
    assert other.fingerprint == evaluation.fingerprint
    assert differences(evaluation, other) == []


def test_conditions_are_named(evaluation):
    other = msgspec.structs.replace(evaluation, protocol=evaluation.protocol | {"imgsz": 160})
    assert conditions(evaluation, other) == ["imgsz: 96 against 160"]


def test_without_a_digest_the_name_of_the_data_counts(evaluation):
    a = msgspec.structs.replace(evaluation, split_digest="")
    b = msgspec.structs.replace(a, dataset="shapes@v2")
    assert a.fingerprint != b.fingerprint


def test_evaluators_are_never_the_same(boxes):
    ours, _ = build_evaluation(boxes, split="val", dataset="x")
    theirs, _ = build_evaluation(ultralytics_records("imgsz96-val"), split="val", dataset="x")
    assert ours.fingerprint != theirs.fingerprint
    assert any(line.startswith("evaluator: ") for line in differences(ours, theirs))


def test_support_of_each_class(boxes, evaluation):
    counted = ~boxes.truth_crowd
    for c, result in enumerate(evaluation.per_class):
        rows = counted & (boxes.truth_cls == c)
        assert result.instances == rows.sum()
        assert result.images == len(set(boxes.truth_img[rows]))


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_boxes_and_matches_round_trip_to_the_same_bytes(seed):
    boxes = replace(random_boxes(seed, 5), groups=("a", "a", "b", "b", "c"), digests=("d",) * 5)
    records = match(boxes)
    for kept in (boxes, records):
        back = type(kept).from_bytes(kept.to_bytes())
        assert back.to_bytes() == kept.to_bytes()
        for name in kept.__dataclass_fields__:
            assert np.array_equal(getattr(back, name), getattr(kept, name)), name
    again = MatchRecords.from_bytes(records.to_bytes())
    ap = average_precision(records).ap
    assert np.array_equal(average_precision(again).ap, ap, equal_nan=True)


def test_damage_is_seen(boxes):
    records = match(boxes)
    for kept in (boxes, records):
        data = kept.to_bytes()
        for broken in (b"", b"PK", data[:-30], data[: len(data) // 2]):
            with pytest.raises(Damaged):
                type(kept).from_bytes(broken)
    with pytest.raises(Damaged, match="expected boxes"):
        Boxes.from_bytes(records.to_bytes())


def test_a_newer_schema_is_refused(boxes, monkeypatch):
    monkeypatch.setattr("epochal.evaluation.columns._SCHEMA", 2)
    newer = boxes.to_bytes()
    monkeypatch.setattr("epochal.evaluation.columns._SCHEMA", 1)
    with pytest.raises(NewerFormat):
        Boxes.from_bytes(newer)


def test_stored_and_loaded(tmp_path, boxes):
    evaluation, records = build_evaluation(boxes, split="val", dataset="x", weights="w")
    blobs = Blobs(tmp_path)
    record = store_evaluation(blobs, evaluation, records, boxes, look="l")
    loaded = load_evaluation(blobs, record.digest)
    assert loaded.metrics == evaluation.metrics
    assert (record.fingerprint, record.images, record.look) == (evaluation.fingerprint, 10, "l")
    assert None not in record.metrics.values()
    assert load_matches(blobs, loaded).to_bytes() == records.to_bytes()
    assert load_boxes(blobs, loaded).to_bytes() == boxes.to_bytes()


def test_stored_without_matches(tmp_path, evaluation):
    blobs = Blobs(tmp_path)
    loaded = load_evaluation(blobs, store_evaluation(blobs, evaluation).digest)
    assert load_matches(blobs, loaded) is None
    assert load_boxes(blobs, loaded) is None
    with pytest.raises(NotFound):
        load_evaluation(blobs, "0" * 64)


def test_another_evaluator_than_measured_is_refused(boxes):
    with pytest.raises(InvalidInput):
        build_evaluation(match(boxes), split="val", dataset="x", evaluator="ultralytics/8.0")
    found, _ = build_evaluation(boxes, split="val", dataset="x", evaluator="epochal/coco101")
    assert found.evaluator == "epochal/coco101"


def test_records_check_their_columns():
    records = match(random_boxes(1))
    for change in (
        {"score": records.score[1:]},
        {"img": records.img + 100},
        {"cls": records.cls - 1},
        {"tp": np.ones_like(records.tp), "ignored": np.ones_like(records.tp)},
        {"score": np.full(len(records.score), np.nan)},
        {"groups": ("a",)},
        {"truth_img": records.truth_img[1:]},
    ):
        with pytest.raises(InvalidInput):
            replace(records, **change)


def test_records_given_in_any_order_are_sorted():
    records = match(random_boxes(1))
    place = np.random.default_rng(0).permutation(len(records.cls))
    columns = ("img", "cls", "score", "tp", "ignored", "gt_class", "iou")
    moved = replace(records, **{name: getattr(records, name)[place] for name in columns})
    assert np.array_equal(average_precision(moved).ap, average_precision(records).ap)


@settings(max_examples=200, deadline=None)
@given(place=st.floats(0, 1), value=st.integers(0, 255), kind=st.sampled_from([0, 1]))
def test_any_changed_byte_is_seen_or_harmless(place, value, kind):
    boxes = random_boxes(3, 4)
    kept = (boxes, match(boxes))[kind]
    data = bytearray(kept.to_bytes())
    data[int(place * (len(data) - 1))] = value
    try:
        back = type(kept).from_bytes(bytes(data))
    except (Damaged, NewerFormat):
        return
    for name in kept.__dataclass_fields__:
        assert np.array_equal(getattr(back, name), getattr(kept, name)), name
