"""The wall between callbacks and training, without Ultralytics."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from epochal.errors import Refused
from epochal.integrations.ultralytics import handlers
from epochal.integrations.ultralytics.capture import to_original
from epochal.integrations.ultralytics.hooks import EVENTS, Hook
from epochal.integrations.ultralytics.options import Options
from epochal.integrations.ultralytics.results import _share


def test_hooks_are_values() -> None:
    for event in EVENTS:
        hook = Hook(event, Options(init={"name": "v1"}))
        assert pickle.loads(pickle.dumps(hook)) == hook
        assert hook == Hook(event, Options(init={"name": "v1"}))
        assert callable(getattr(handlers, event))


@pytest.mark.parametrize("rank", ["1", "7"])
@pytest.mark.parametrize("event", EVENTS)
def test_other_ranks_are_silent(monkeypatch: pytest.MonkeyPatch, rank: str, event: str) -> None:
    def called(*_: object) -> None:
        raise AssertionError("a rank other than 0 recorded")

    monkeypatch.setattr(handlers, event, called)
    monkeypatch.setenv("EPOCHAL_STRICT", "1")
    monkeypatch.setenv("RANK", rank)
    Hook(event)(SimpleNamespace())


@pytest.mark.parametrize("error", [ValueError("x"), OSError("full"), MemoryError(), KeyError("k")])
@pytest.mark.parametrize("event", EVENTS)
def test_nothing_gets_through(
    monkeypatch: pytest.MonkeyPatch, event: str, error: Exception
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(handlers, event, broken)
    monkeypatch.delenv("EPOCHAL_STRICT", raising=False)
    monkeypatch.setenv("RANK", "0")
    Hook(event)(SimpleNamespace())
    monkeypatch.setattr(handlers, "run_of", broken)  # not even while it is reported
    Hook(event)(SimpleNamespace())


def test_a_refusal_of_the_charter_is_meant_to_get_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise Refused("the charter requires a tagged dataset")

    monkeypatch.setattr(handlers, "on_pretrain_routine_end", refused)
    with pytest.raises(Refused):
        Hook("on_pretrain_routine_end")(SimpleNamespace())


@pytest.mark.parametrize(
    ("width", "height", "side"), [(640, 480, 96), (256, 256, 160), (333, 1000, 640)]
)
def test_boxes_come_back_to_the_pixels_they_came_from(width: int, height: int, side: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.5, (20, 2)) * (width, height)
    boxes = np.hstack([low, low + rng.uniform(0.1, 0.5, (20, 2)) * (width, height)])
    gain = min(side / width, side / height)
    pad = np.array([(side - round(width * gain)) / 2, (side - round(height * gain)) / 2])
    pad = np.round(pad - 0.1)
    # As a letterbox makes it: scaled by whole pixels, then moved.
    scale = np.array([round(width * gain) / width, round(height * gain) / height])
    there = (boxes.reshape(-1, 2, 2) * scale + pad).reshape(-1, 4)
    back = to_original(there, (side, side), (height, width))
    np.testing.assert_allclose(back, boxes, atol=1e-9)
    noted = ((scale[1], scale[0]), tuple(pad))
    np.testing.assert_allclose(
        to_original(there, (side, side), (height, width), noted), boxes, atol=1e-9
    )


def test_only_a_list_narrows_what_is_evaluated() -> None:
    assert _share(0.1, "val") is None
    assert _share([0.1, 0.5, 20], "val") == 0.5
    assert _share([0.1, 0.5, 20], "test") == 20
    assert _share([0.1], "val") is None
    assert _share([1.0, 1.0, 1.0], "val") is None
