"""The data.yaml or folder of classes: pinned for a training, identified for an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epochal.datasets import ScanCache, cache_path, find_version, scan
from epochal.datasets.layouts import layout_of
from epochal.datasets.pins import tagged_versions
from epochal.errors import EpochalError
from epochal.journal.folder import Folder
from epochal.run.pinning import find_pin, pin_dataset, requires_tags
from epochal.run.run import Run

__all__ = ["EvaluatedData", "data_of", "evaluated_data", "is_settled", "pin"]


def data_of(found: dict[str, Any] | None, task: str) -> str:
    """Return the path of the data that the trainer or validator found; empty where it has none.

    Classifiers have no data.yaml: theirs is the folder that holds the folders of the splits.
    """
    if not found:
        return ""
    if task == "classify":
        return str(Path(found["train"]).parent) if found.get("train") else ""
    return str(found.get("yaml_file") or "")


def pin(run: Run, data: Path, given: str) -> None:
    """Bind the run to the version that `data` is: a data.yaml, or a folder of classes.

    Parameters
    ----------
    given
        The dataset that `epochal.init` was given, and pinned; empty for none. A version that was
        tagged elsewhere says nothing about what is read here: then this file decides.

    Raises
    ------
    Refused
        By the charter's policy ``require``.
    """
    if run.workspace is None or _is_same(run.workspace, given, data):
        return
    pin_dataset(run, str(data))


def is_settled(folder: Folder, project: str, data: str, given: str, task: str) -> bool:
    """Whether nothing forbids a training on `data`, as far as can be told before it is loaded.

    Parameters
    ----------
    data
        What the trainer was given: a path, or a name that it looks up itself.
    given
        As for `pin`.

    Raises
    ------
    Refused
        By the charter's policy ``require``.
    """
    if not requires_tags(folder, project):
        return True
    is_classes = task == "classify" and layout_of(data) == "classify"
    if not (Path(data).is_file() or is_classes):
        return False
    if not _is_same(folder, given, Path(data)):
        find_pin(folder, project, data)
    return True


def _is_same(folder: Folder, given: str, data: Path) -> bool:
    if not given:
        return False
    version = tagged_versions(folder).get(given)
    return Path(version.path if version else given).resolve() == data.resolve()


@dataclass(frozen=True, slots=True)
class EvaluatedData:
    """What is known of the split that is evaluated."""

    dataset: str
    """``name@tag``, or the path of the data where no tag fits."""
    digest: str = ""
    split_digest: str = ""
    root: str = ""
    images: dict[str, str] = field(default_factory=dict)
    """Digest of each image by its path, relative to `root`."""

    def name_of(self, file: str) -> str:
        """Return the image's name in the manifest: relative to the root, with ``/``."""
        for root in (self.root, str(Path(self.root).resolve())):
            if self.root and file.startswith(root.rstrip("/") + "/"):
                return file[len(root.rstrip("/")) + 1 :]
        return file

    def digests_of(self, files: Sequence[str]) -> tuple[str, ...]:
        """Return the digests of these images; empty unless all are known."""
        found = tuple(self.images.get(self.name_of(file), "") for file in files)
        return found if all(found) else ()


def evaluated_data(folder: Folder, data: str, split: str) -> EvaluatedData:
    """Identify the data; what has not changed since the last scan is not read again.

    Never raises for the data's sake: data that Ultralytics can use and we cannot read goes by
    its path.
    """
    cache = cache_path(folder.datasets, data)
    try:
        found = scan(data, previous=ScanCache.load(cache))
    except EpochalError:
        return EvaluatedData(data, root=data if Path(data).is_dir() else "")
    try:
        found.cache.save(cache)
    except OSError:
        pass  # a read-only workspace: the next scan reads the files again
    manifest = found.manifest
    try:
        version = find_version(manifest.digest, tagged_versions(folder).values())
    except EpochalError:  # one tag with two versions: for people to settle, not for us
        version = None
    measured = manifest.splits.get(split)
    return EvaluatedData(
        dataset=f"{version.name}@{version.tag}" if version else found.data.file,
        digest=manifest.digest,
        split_digest=measured.digest if measured else "",
        root=found.data.root,
        images={entry.path: entry.image for entry in manifest.entries if entry.split == split},
    )
