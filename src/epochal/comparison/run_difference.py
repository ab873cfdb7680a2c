"""What changed from one run to another: config, dataset, code."""

from __future__ import annotations

import msgspec

from epochal.analysis.config_difference import ConfigDifference, difference
from epochal.datasets.versions import version_difference
from epochal.errors import EpochalError, NotFound
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = [
    "RunDifference",
    "config_difference",
    "dataset_sentence",
    "parent_of",
    "run_difference",
]


class RunDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What run `after` changed against run `before`."""

    before: str
    """Name of the run; so is `after`."""
    after: str
    config: ConfigDifference
    dataset: str
    """One line about the data; empty where both used the same version."""
    unpinned: tuple[str, ...]
    """Names of the runs, of the two, whose data is pinned to no version."""
    summary: str
    """One line: ``1 change: imgsz 96 -> 160``, or ``3 changes, confounded: ...``."""
    count: int
    confounded: bool


def parent_of(store: Store, document: RunDocument) -> RunDocument | None:
    """Return the run that `document` names as its parent; None where that is nobody here."""
    if not document.parent:
        return None
    try:
        found = store.find_run(document.parent, document.project)
    except NotFound:
        return None
    return found if found.id != document.id else None


def config_difference(before: RunDocument, after: RunDocument) -> ConfigDifference:
    """Return how two runs' configurations, dataset versions and commits differ."""
    return difference(
        before.config,
        after.config,
        dataset=(_dataset(before), _dataset(after)),
        commit=(_commit(before), _commit(after)),
        effective=(before.effective, after.effective),
    )


def run_difference(store: Store, before: RunDocument, after: RunDocument) -> RunDifference:
    """Return what changed from `before` to `after`."""
    config = config_difference(before, after)
    return RunDifference(
        before=before.name,
        after=after.name,
        config=config,
        dataset=dataset_sentence(store, before, after),
        unpinned=tuple(d.name for d in (before, after) if d.pin is None),
        summary=config.summary(),
        count=config.count,
        confounded=config.confounded,
    )


def _dataset(document: RunDocument) -> str | None:
    pin = document.pin
    if pin is None:
        return None
    return f"{pin.dataset} (drifted)" if pin.state == "drifted" else pin.dataset


def _commit(document: RunDocument) -> str | None:
    git = document.environment.get("git")
    if not isinstance(git, dict) or not git.get("commit"):
        return None
    return str(git["commit"])


def dataset_sentence(store: Store, before: RunDocument, after: RunDocument) -> str:
    """Return one line about the difference in data; empty where there is none to tell."""
    a, b = before.pin, after.pin
    if a is None or b is None:
        missing = [d.name for d in (before, after) if d.pin is None]
        return f"no dataset is pinned for {' and '.join(missing)}"
    if a.digest and a.digest == b.digest:
        drifted = [d.name for d in (before, after) if d.pin and d.pin.state == "drifted"]
        return (
            f"{a.dataset}, but the data of {' and '.join(drifted)} had drifted" if drifted else ""
        )
    if not a.digest or not b.digest:
        return "" if a.dataset == b.dataset else f"{a.dataset} against {b.dataset}"
    try:
        change = version_difference(store.folder.datasets, a.digest, b.digest)
    except EpochalError as error:
        return f"{a.dataset} against {b.dataset}; {error.message}"
    return f"{a.dataset} -> {b.dataset}: {change.summary()}"
