"""Runs side by side, as data: what the terminal and the page both show."""

from epochal.comparison.compare import Comparison, RunRow, compare
from epochal.comparison.evaluations import (
    ClassRow,
    PointRow,
    SplitTable,
    latest_evaluation,
    per_class_table,
)
from epochal.comparison.run_curves import metric_curve
from epochal.comparison.run_difference import RunDifference, parent_of, run_difference
from epochal.comparison.verdicts import attribution, retention_drops

__all__ = [
    "ClassRow",
    "Comparison",
    "PointRow",
    "RunDifference",
    "RunRow",
    "SplitTable",
    "attribution",
    "compare",
    "latest_evaluation",
    "metric_curve",
    "parent_of",
    "per_class_table",
    "retention_drops",
    "run_difference",
]
