"""The data behind a data.yaml: pinned for a training, identified for an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from epochal.datasets import ScanCache, cache_path, find_version, scan
from epochal.datasets.pins import tagged_versions
from epochal.errors import EpochalError
from epochal.journal.folder import Folder
from epochal.run.pinning import find_pin, pin_dataset, requires_tags
from epochal.run.run import Run

__all__ = ["EvaluatedData", "evaluated_data", "is_settled", "pin"]


def pin(run: Run, data_yaml: Path, given: str) -> None:
    """Bind the run to the version that `data_yaml` is.

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
    if run.workspace is None or _is_same(run.workspace, given, data_yaml):
        return
    pin_dataset(run, str(data_yaml))


def is_settled(folder: Folder, project: str, data: str, given: str) -> bool:
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
    if not Path(data).is_file():
        return False
    if not _is_same(folder, given, Path(data)):
        find_pin(folder, project, data)
    return True


def _is_same(folder: Folder, given: str, data_yaml: Path) -> bool:
    if not given:
        return False
    version = tagged_versions(folder).get(given)
    return Path(version.path if version else given).resolve() == data_yaml.resolve()


@dataclass(frozen=True, slots=True)
class EvaluatedData:
    """What is known of the split that is evaluated."""

    dataset: str
    """``name@tag``, or the path of the data.yaml where no tag fits."""
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


def evaluated_data(folder: Folder, data_yaml: str, split: str) -> EvaluatedData:
    """Identify the data; what has not changed since the last scan is not read again.

    Never raises for the data's sake: data that Ultralytics can use and we cannot read goes by
    its path.
    """
    cache = cache_path(folder.datasets, data_yaml)
    try:
        found = scan(data_yaml, previous=ScanCache.load(cache))
    except EpochalError:
        return EvaluatedData(data_yaml)
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
