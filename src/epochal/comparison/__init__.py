"""Runs side by side, as data: what the terminal and the page both show."""

from epochal.comparison.compare import Comparison, compare
from epochal.comparison.evaluations import ClassRow, latest_evaluation, per_class_table
from epochal.comparison.run_difference import RunDifference, run_difference

__all__ = [
    "ClassRow",
    "Comparison",
    "RunDifference",
    "compare",
    "latest_evaluation",
    "per_class_table",
    "run_difference",
]
