"""Binding a run to a dataset version, by the project's policy."""

from __future__ import annotations

import threading
from pathlib import Path

from epochal.decisions.charter import charter_for_training
from epochal.errors import EpochalError, Refused
from epochal.records import Pinned
from epochal.run.run import Run
from epochal.run.telling import say

__all__ = ["pin_dataset"]


def pin_dataset(run: Run, dataset: str) -> None:
    """Find the version that `dataset` is, record the pin, and act by the charter's policy.

    ``warn`` (the default) checks beside the training and says what it found; ``auto`` tags
    untagged or changed data; ``require`` refuses to go on without a verified version.

    Parameters
    ----------
    dataset
        ``name@tag``, or the path of a data.yaml.

    Raises
    ------
    NotFound
        If ``name@tag`` was never tagged.
    Refused
        By the policy ``require``, naming the command that tags the data.
    """
    if run.workspace is None:
        return
    policy = charter_for_training(run.workspace, run.project, Path.cwd()).dataset_policy
    if policy == "warn" and Path(dataset).is_file():
        thread = threading.Thread(
            target=_pin_quietly, args=(run, dataset), name="epochal-pin", daemon=True
        )
        thread.start()
        run.on_finish.append(lambda: thread.join(30))
        return
    pinned = _found(run, dataset)
    if pinned.state in ("untagged", "drifted"):
        if policy == "require":
            raise Refused(
                f"the charter requires a tagged dataset; {_what(pinned)}",
                f'`epochal dataset tag {_path(pinned, dataset)} NAME@TAG -m "..."` tags it',
            )
        if policy == "auto" and Path(_path(pinned, dataset)).is_file():
            from epochal.datasets.pins import tag_automatically

            pinned = tag_automatically(run.workspace, _path(pinned, dataset))
    _settle(run, pinned)


def _found(run: Run, dataset: str) -> Pinned:
    from epochal.datasets.pins import pin_of

    assert run.workspace is not None
    return pin_of(run.workspace, dataset)


def _pin_quietly(run: Run, dataset: str) -> None:
    try:
        _settle(run, _found(run, dataset))
    except EpochalError as error:
        _settle(run, Pinned(dataset=dataset, state="unchecked", detail=str(error)[:2000]))
    except Exception as error:
        run._trouble("dataset", error)


def _settle(run: Run, pinned: Pinned) -> None:
    run.pin(pinned)
    if pinned.state != "verified":
        say(f"dataset: {_what(pinned)}")
        run.notice(f"dataset-{pinned.state}", _what(pinned))


def _what(pinned: Pinned) -> str:
    match pinned.state:
        case "drifted":
            return f"the data differs from {pinned.dataset}: {pinned.detail}"
        case "untagged":
            return f"{pinned.dataset} is not tagged; {pinned.detail}"
        case _:
            return f"{pinned.dataset}: {pinned.detail}"


def _path(pinned: Pinned, dataset: str) -> str:
    return pinned.dataset if Path(pinned.dataset).is_file() else dataset
