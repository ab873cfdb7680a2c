"""Datasets: what a training was given, as an immutable version with a digest."""

from epochal.datasets.cache import ScanCache, cache_path
from epochal.datasets.differences import Change, Difference, difference
from epochal.datasets.labels import LabelRules, Labels, parse_labels
from epochal.datasets.layouts import Layout, layout_of
from epochal.datasets.leaks import Leak, leakage, summarize_leaks
from epochal.datasets.manifest import (
    Manifest,
    ManifestEntry,
    ManifestHeader,
    read_manifest,
    write_manifest,
)
from epochal.datasets.problems import Problem
from epochal.datasets.scanning import Scan, scan
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

__all__ = [
    "Change",
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
    "Tagging",
    "cache_path",
    "check_pin",
    "difference",
    "find_version",
    "layout_of",
    "leakage",
    "load_manifest",
    "manifest_path",
    "parse_labels",
    "parse_ref",
    "read_data_yaml",
    "read_manifest",
    "resolve_version",
    "save_manifest",
    "scan",
    "summarize_leaks",
    "tag",
    "version_difference",
    "write_manifest",
]
