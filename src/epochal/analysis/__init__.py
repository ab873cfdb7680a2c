"""What runs say when they are looked at together: metrics, curves, configuration, names.

Pure functions over arrays and dicts, without a store. Names and configuration are light enough
for a training process; the curves need NumPy and are therefore imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from epochal.analysis.config_difference import (
    DEFAULT_NOISE,
    Change,
    ConfigDifference,
    difference,
    flatten,
)
from epochal.analysis.metrics import (
    DEFAULT_REGISTRY,
    Direction,
    Metric,
    Registry,
    find_key,
    format_gain,
    format_value,
    guess_direction,
    resolve,
)
from epochal.analysis.naming import (
    DEFAULT_PATTERN,
    NameVerdict,
    check,
    is_tool_default,
    suggest,
    version_of,
)

if TYPE_CHECKING:
    from epochal.analysis.curve_comparison import Curve, CurveRow, compare_curves, sentence
    from epochal.analysis.curves import CurveStats, Overfitting, Reach, curve_stats, overfitting

__all__ = [
    "DEFAULT_NOISE",
    "DEFAULT_PATTERN",
    "DEFAULT_REGISTRY",
    "Change",
    "ConfigDifference",
    "Curve",
    "CurveRow",
    "CurveStats",
    "Direction",
    "Metric",
    "NameVerdict",
    "Overfitting",
    "Reach",
    "Registry",
    "check",
    "compare_curves",
    "curve_stats",
    "difference",
    "find_key",
    "flatten",
    "format_gain",
    "format_value",
    "guess_direction",
    "is_tool_default",
    "overfitting",
    "resolve",
    "sentence",
    "suggest",
    "version_of",
]

_WITH_NUMPY = {
    "Curve": "curve_comparison",
    "CurveRow": "curve_comparison",
    "compare_curves": "curve_comparison",
    "sentence": "curve_comparison",
    "CurveStats": "curves",
    "Overfitting": "curves",
    "Reach": "curves",
    "curve_stats": "curves",
    "overfitting": "curves",
}


def __getattr__(name: str) -> Any:
    if module := _WITH_NUMPY.get(name):
        return getattr(import_module(f"epochal.analysis.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
