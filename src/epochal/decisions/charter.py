"""The charter: the rules of a project, fixed before the numbers are seen.

`epochal.decisions.charter_in_force` tells which rules these are. A training process imports this
module: standard library, msgspec and light modules only.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from epochal.analysis.metrics import DEFAULT_REGISTRY, Registry
from epochal.analysis.naming import DEFAULT_PATTERN

__all__ = ["Charter"]

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Level: TypeAlias = Annotated[float, Meta(gt=0, lt=0.5)]
Share: TypeAlias = Annotated[float, Meta(gt=0, le=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Milliseconds: TypeAlias = Annotated[float, Meta(gt=0, le=1e9)]
# Bounded, because JSON has no infinity and the rules have to survive being recorded.
Gain: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]
Value: TypeAlias = Annotated[float, Meta(ge=-1e15, le=1e15)]


class Charter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules by which the runs of one project are compared and decided on.

    The field names are the keys of ``epochal.toml``; `epochal.decisions.charter_file` reads it.
    """

    project: Name
    """The project that these rules are for: one file, one project."""

    metric: Name = "mAP50-95"
    """Canonical name of the metric that decides (see `epochal.analysis.metrics`)."""
    min_gain: Gain = 0.5
    """The smallest gain worth having: points (x 100) of a ratio, else the metric's own unit."""
    group_of: str = ""
    """Regular expression, searched for in an image's name: what its first parentheses hold (else
    all it matches) is the clip or site that the image was taken from. Resampling then draws
    those. Empty: images are drawn, or the groups that the match records name."""
    alpha: Level = 0.05
    """One-sided error level of the gates on val, and of a confirmed class drop (Holm)."""
    keep_share: Share = 0.90
    """The share of the baseline's AP that every class has to keep."""
    min_instances: Positive = 30
    """Objects of a class below which its AP says too little to judge the class alone."""
    min_images: Positive = 10
    """Images with the class below which its AP says too little to judge the class alone."""
    rule_set: Literal["evidence", "literal"] = "evidence"
    """``evidence`` asks whether differences stand out from noise; ``literal`` compares numbers."""
    strict_floor: bool = False
    """Whether any class below `keep_share` blocks, even within noise."""
    evaluator: Name = "epochal/coco101"
    """Whose numbers are compared. Numbers of two evaluators never are."""

    split: Name = "test"
    """The split that decides, after val has earned the look at it."""
    test_budget: Positive = 10
    """Challenger looks at the same test images after which they are spent."""
    alpha_family: Level = 0.10
    """Error level of all challenger looks at one test set together."""
    reveal_test: Literal["winners", "all"] = "winners"
    """Whose test numbers are shown: a loser otherwise learns the verdict only."""

    latency_budget_ms: Milliseconds | None = None
    """What the upper bound of p95 latency may be, in milliseconds; None: no latency gate."""
    latency_device: str = ""
    """The target device, as its latency records name it."""
    latency_batch: Positive = 1
    """Images per inference call."""

    naming_pattern: Name = DEFAULT_PATTERN
    """Regular expression for the whole name of a run."""
    naming_policy: Literal["warn", "refuse"] = "warn"
    """What happens to a run whose name does not follow the pattern."""
    dataset_policy: Literal["require", "auto", "warn"] = "warn"
    """What happens on data without a tagged version: refuse to start, tag it, or warn."""

    first_version_approver: str = ""
    """Who may ship the first version, which has no baseline: a name, login or e-mail address."""
    first_version_floors: dict[str, Value] = {}
    """Metric -> the value on the deciding split that the first version has to reach."""

    metrics: dict[str, str | dict[str, Any]] = {}
    """What the project adds to the metric registry (see `Registry.with_overrides`)."""

    def registry(self) -> Registry:
        """Return the metric registry with what this charter adds to it.

        Raises
        ------
        InvalidInput
            If `metrics` cannot be read, naming the metric.
        """
        return DEFAULT_REGISTRY.with_overrides(self.metrics) if self.metrics else DEFAULT_REGISTRY

    @property
    def min_gain_stored(self) -> float:
        """`min_gain` in the unit in which the metric is stored: 0.5 points of a ratio is 0.005."""
        ratio = self.registry().resolve(self.metric).unit == "ratio"
        return self.min_gain / 100 if ratio else self.min_gain
