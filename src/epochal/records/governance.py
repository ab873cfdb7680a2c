"""About the workspace and its projects: governance. `prev` makes these records a hash DAG."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from epochal.records.body import Body

__all__ = [
    "GOVERNANCE",
    "Alias",
    "CharterChanged",
    "DatasetTagged",
    "DecisionMade",
    "Look",
    "Purged",
    "Split",
]


class CharterChanged(Body, tag="charter", frozen=True, kw_only=True):
    """The rules in force from here on."""

    project: str
    version: int
    rules: dict[str, Any]
    reason: str = ""
    author: str = ""
    prev: tuple[str, ...] = ()


class Split(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One split of a dataset version, in numbers."""

    images: int
    objects: int
    digest: str
    """Over images and labels."""
    images_digest: str
    labels_digest: str


class DatasetTagged(Body, tag="dataset", frozen=True, kw_only=True):
    """A dataset version has a tag. Created once; datasets/ holds the manifest by its digest."""

    name: str
    tag: str
    digest: str
    splits: dict[str, Split]
    classes: tuple[str, ...] = ()
    message: str = ""
    path: str = ""
    """Where the data was when it was tagged. For people; nothing depends on it."""
    images: str = ""
    """Folder of the images of COCO annotations, where it was named because they lie elsewhere."""
    author: str = ""
    prev: tuple[str, ...] = ()


class Look(Body, tag="look", frozen=True, kw_only=True):
    """A use of test images. Opened before they are evaluated, completed by a second record."""

    look: str
    state: Literal["opened", "completed"]
    project: str
    run: str = ""
    weights: str = ""
    dataset: str = ""
    split: str = "test"
    images: str = ""
    """Blob with the sorted digests of the test images: looks count together where they overlap."""
    n_images: int = 0
    purpose: Literal["gate", "explore", "monitor"] = "explore"
    revealed: Literal["nothing", "verdict", "number"] = "nothing"
    result: dict[str, Any] = msgspec.field(default_factory=dict)
    charter: int = 0
    author: str = ""
    prev: tuple[str, ...] = ()


class DecisionMade(Body, tag="decision", frozen=True, kw_only=True):
    """The frozen outcome of all gates for candidate against baseline."""

    digest: str
    """Blob of the `epochal.decisions.Decision` document; its id."""
    project: str
    candidate: str
    baseline: str | None
    verdict: str
    charter: int
    author: str = ""
    override: str = ""
    """The reason, where a person decided against the gates."""
    prev: tuple[str, ...] = ()


class Alias(Body, tag="alias", frozen=True, kw_only=True):
    """A name of the project (``baseline``, ``production``) points at a run."""

    project: str
    alias: str
    run: str
    reason: str = ""
    author: str = ""
    prev: tuple[str, ...] = ()


class Purged(Body, tag="purged", frozen=True, kw_only=True):
    """The run's folder was deleted; nothing brings it back."""

    run: str
    name: str = ""
    author: str = ""
    prev: tuple[str, ...] = ()


GOVERNANCE = (CharterChanged, DatasetTagged, Look, DecisionMade, Alias, Purged)
"""Kinds that carry `prev` and together form the hash DAG of a workspace."""
