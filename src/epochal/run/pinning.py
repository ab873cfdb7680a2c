"""Binding a run to a dataset version by policy, and noticing when its data changes."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from epochal.decisions.charter_in_force import charter_for_training
from epochal.errors import EpochalError, Refused
from epochal.journal.folder import Folder
from epochal.records import Pinned
from epochal.run.run import Run
from epochal.run.telling import say

__all__ = ["find_pin", "pin_dataset", "requires_tags", "was_refused"]

_PATIENCE = 10.0
"""Seconds that the end of a training waits for the check of its data."""


def find_pin(folder: Folder, project: str, dataset: str) -> Pinned | None:
    """Find the version that `dataset` is, before there is a run of it.

    Parameters
    ----------
    dataset
        ``name@tag``, or the path of a data.yaml.

    Returns
    -------
    The pin; None where it is to be found beside the training, because nothing depends on it.

    Raises
    ------
    NotFound, InvalidInput
        If there is no such version, or no such data.
    Refused
        By the charter's policy ``require``, naming the command that tags the data.
    """
    policy = charter_for_training(folder, project, Path.cwd()).dataset_policy
    if policy == "warn" and Path(dataset).exists():
        return None
    try:
        pinned = _found(folder, dataset)
        if policy == "require" and pinned.state in ("untagged", "drifted"):
            raise _refusal(pinned, dataset)
    except EpochalError:
        _tell_launcher(folder)
        raise
    return pinned


def _refusal(pinned: Pinned, dataset: str) -> Refused:
    what = (
        f"{pinned.dataset} is not tagged"
        if pinned.state == "untagged"
        else _what(pinned)  # of untagged data it names the command, as the remedy does
    )
    return Refused(
        f"the charter requires a tagged dataset; {what}",
        f'`epochal dataset tag {shlex.quote(_path(pinned, dataset))} NAME@TAG -m "..."` tags it',
    )


def _tell_launcher(folder: Folder) -> None:
    """Let `epochal run` know that a training was not to begin: that is no failed run."""
    if launch := os.environ.get("EPOCHAL_LAUNCH"):
        with suppress(OSError):
            _refusal_of(folder, launch).touch()


def was_refused(folder: Folder, launch: str) -> bool:
    """Whether a process of this launch was refused its data; told once."""
    try:
        _refusal_of(folder, launch).unlink()
    except OSError:
        return False
    return True


def _refusal_of(folder: Folder, launch: str) -> Path:
    return folder.root / f".refused-{launch[:64]}"


def requires_tags(folder: Folder, project: str) -> bool:
    """Whether the charter's policy is ``require``."""
    return charter_for_training(folder, project, Path.cwd()).dataset_policy == "require"


def pin_dataset(run: Run, dataset: str, pinned: Pinned | None = None) -> None:
    """Record which version `dataset` is, by the charter's policy.

    ``warn`` (the default) checks beside the training and says what it found; ``auto`` tags
    untagged or changed data; ``require`` refuses to go on without a tagged version. When the
    training ends the files are looked at again: a run whose data changed meanwhile says so.

    Parameters
    ----------
    dataset
        ``name@tag``, or the path of a data.yaml.
    pinned
        As `find_pin` found it before the run was opened.

    Raises
    ------
    NotFound, InvalidInput, Refused
        As `find_pin`.
    """
    if run.workspace is None:
        return
    pinned = pinned or find_pin(run.workspace, run.project, dataset)
    watch = _Watch(run, dataset)
    if pinned is None:
        watch.begin(lambda: _found_quietly(run, dataset))
        return
    if pinned.state in ("untagged", "drifted") and Path(_path(pinned, dataset)).is_file():
        policy = charter_for_training(run.workspace, run.project, Path.cwd()).dataset_policy
        if policy == "auto":
            from epochal.datasets.pins import tag_automatically

            pinned = tag_automatically(run.workspace, _path(pinned, dataset))
    found = pinned
    _settle(run, found)
    watch.begin(lambda: found)


class _Watch:
    """Compares the data at the end of a training with the data at its beginning.

    Both looks are taken beside the training, in a thread that lasts as long as it does: while an
    interpreter ends it starts no other. Unchanged files are not read again.
    """

    def __init__(self, run: Run, dataset: str) -> None:
        self._run = run
        self._dataset = dataset
        self._pinned: Pinned | None = None
        self._digest = ""
        """Of all files as they were found first; empty where they could not be read."""
        self._looked, self._ending, self._compared = (threading.Event() for _ in range(3))

    def begin(self, find: Callable[[], Pinned | None]) -> None:
        def look() -> None:
            self._pinned = find()
            self._digest = self._now()

        def watch() -> None:
            self._attempt(look)
            self._looked.set()
            self._ending.wait()
            self._attempt(self._compare)
            self._compared.set()

        threading.Thread(target=watch, name="epochal-data", daemon=True).start()
        self._run.on_finish.append(self._end)

    def _attempt(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:
            self._run.recorder.trouble("dataset", error)

    def _now(self) -> str:
        from epochal.datasets.pins import digest_now

        assert self._run.workspace is not None
        return digest_now(self._run.workspace, self._dataset)

    def _end(self) -> None:
        killed = self._run.ending == "killed"  # whoever sent the signal will not wait for a scan
        if not self._looked.wait(0 if killed else _PATIENCE):
            text = "the check of the data had not ended when the training did"
            if self._pinned is None:
                self._run.pin(Pinned(dataset=self._dataset, state="unchecked", detail=text))
            self._run.notice("dataset-unchecked", text)
            return
        if killed or not self._digest:
            return
        self._ending.set()
        if not self._compared.wait(_PATIENCE):
            self._run.notice("dataset-unchecked", "the data took too long to check at the end")

    def _compare(self) -> None:
        from epochal.datasets.pins import changed_meanwhile

        now = self._now()
        if now == self._digest or self._pinned is None or self._run.workspace is None:
            return
        pinned = changed_meanwhile(self._run.workspace, self._pinned)
        if pinned is None:  # the data was no tagged version, or cannot be compared with it now
            detail = "changed during the training" + (
                "" if now else "; it cannot be read any more"
            )
            pinned = msgspec.structs.replace(self._pinned, state="drifted", detail=detail)
        self._run.pin(pinned)
        text = f"the data of {pinned.dataset} {pinned.detail}"
        self._run.notice("dataset-changed", text)
        say(text)


def _found(folder: Folder, dataset: str) -> Pinned:
    from epochal.datasets.pins import pin_of

    return pin_of(folder, dataset)


def _found_quietly(run: Run, dataset: str) -> Pinned:
    assert run.workspace is not None
    try:
        pinned = _found(run.workspace, dataset)
    except EpochalError as error:
        pinned = Pinned(dataset=dataset, state="unchecked", detail=str(error)[:2000])
    _settle(run, pinned)
    return pinned


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
