"""Datasets: what a training was given, as an immutable version with a digest.

A training process checks its data with what is imported here at once; what only readers need
(content, snapshots, exports) comes on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from epochal.datasets.cache import ScanCache, cache_path
from epochal.datasets.differences import Change, Difference, difference
from epochal.datasets.labels import LabelRules, Labels, parse_labels
from epochal.datasets.layouts import Layout, layout_of
from epochal.datasets.leaks import Leak, leakage, pixel_leakage, summarize_leaks
from epochal.datasets.manifest import (
    Manifest,
    ManifestEntry,
    ManifestHeader,
    read_manifest,
    write_manifest,
)
from epochal.datasets.pins import changed_meanwhile, pin_of, tagged_versions
from epochal.datasets.problems import Problem
from epochal.datasets.scanning import Scan, scan
from epochal.datasets.shapes import Shape
from epochal.datasets.versions import (
    DatasetRef,
    PinCheck,
    Tagging,
    check_pin,
    find_version,
    load_manifest,
    manifest_path,
    parse_ref,
    resolve_version,
    save_manifest,
    tag,
    version_difference,
)
from epochal.datasets.yolo import DataYaml, read_data_yaml

if TYPE_CHECKING:
    from epochal.datasets.collecting import Collected, collect
    from epochal.datasets.content import ChangedLabels, Content, changed_labels, content_of
    from epochal.datasets.decoding import undecodable
    from epochal.datasets.exporting import export
    from epochal.datasets.restoring import restore
    from epochal.datasets.snapshots import Snapshot, load_snapshot, make_snapshot
    from epochal.datasets.statistics import SplitStatistics, split_statistics

__all__ = [
    "Change",
    "ChangedLabels",
    "Collected",
    "Content",
    "DataYaml",
    "DatasetRef",
    "Difference",
    "LabelRules",
    "Labels",
    "Layout",
    "Leak",
    "Manifest",
    "ManifestEntry",
    "ManifestHeader",
    "PinCheck",
    "Problem",
    "Scan",
    "ScanCache",
    "Shape",
    "Snapshot",
    "SplitStatistics",
    "Tagging",
    "cache_path",
    "changed_labels",
    "changed_meanwhile",
    "check_pin",
    "collect",
    "content_of",
    "difference",
    "export",
    "find_version",
    "layout_of",
    "leakage",
    "load_manifest",
    "load_snapshot",
    "make_snapshot",
    "manifest_path",
    "parse_labels",
    "parse_ref",
    "pin_of",
    "pixel_leakage",
    "read_data_yaml",
    "read_manifest",
    "resolve_version",
    "restore",
    "save_manifest",
    "scan",
    "split_statistics",
    "summarize_leaks",
    "tag",
    "tagged_versions",
    "undecodable",
    "version_difference",
    "write_manifest",
]

_ON_FIRST_USE = {
    "ChangedLabels": "content",
    "Collected": "collecting",
    "Content": "content",
    "Snapshot": "snapshots",
    "SplitStatistics": "statistics",
    "changed_labels": "content",
    "collect": "collecting",
    "content_of": "content",
    "export": "exporting",
    "load_snapshot": "snapshots",
    "make_snapshot": "snapshots",
    "restore": "restoring",
    "split_statistics": "statistics",
    "undecodable": "decoding",
}


def __getattr__(name: str) -> Any:
    if module := _ON_FIRST_USE.get(name):
        return getattr(import_module(f"epochal.datasets.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
