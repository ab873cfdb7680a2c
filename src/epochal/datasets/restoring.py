"""Bringing a version back from its snapshot: every byte verified, nothing half-done.

Files are written into a folder beside the destination and the folder is renamed when the data in
it is the version again. An interrupted restore leaves that folder; the next one goes on in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import yaml
from blake3 import blake3

from epochal.datasets.cache import FileState, ImageKnown, ScanCache
from epochal.datasets.dimensions import UNKNOWN
from epochal.datasets.labels import LabelRules
from epochal.datasets.manifest import Manifest
from epochal.datasets.scanning import scan
from epochal.datasets.yolo import SPLITS
from epochal.errors import Damaged, InvalidInput, Refused
from epochal.store.blobs import reflink

if TYPE_CHECKING:
    from epochal.datasets.snapshots import KeptFile, Snapshot

__all__ = ["restore"]

_PIECE = 1 << 20


def restore(
    snapshot: Snapshot,
    manifest: Manifest,
    destination: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the version to `destination`, a folder that does not exist yet or is empty.

    Parameters
    ----------
    progress
        Called with (bytes written, bytes in all).

    Returns
    -------
    What a training is given: the data.yaml, the JSON or the folder.

    Raises
    ------
    Refused
        If there is something at the destination.
    NotFound, Damaged
        If content is missing, or not what was kept; the destination is not created.
    """
    target = Path(os.path.abspath(destination))  # noqa: PTH100 - .. is folded, links are not followed
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target} exists and is not empty", "name a folder that does not exist yet")
    work = target.with_name(f".{target.name}.restoring-{snapshot.header.digest[:12]}")
    # paths that lead out of the dataset's root stay inside the destination: the root lies deeper
    root = work.joinpath(*["root"] * _depth(snapshot))
    sizes = {entry.path: (entry.width, entry.height) for entry in manifest.entries}
    written: dict[str, ImageKnown] = {}
    done, total = 0, snapshot.header.size
    header = snapshot.header
    is_yolo = header.layout == "yolo"
    for file in snapshot.files:
        if is_yolo and file.path == header.source:
            continue  # written below, so that it names what lies here
        place = Path(os.path.normpath(root / file.path))
        if not place.is_relative_to(work):
            raise Damaged(f"{file.path[:200]!r} leads out of the dataset", "make a new snapshot")
        state = _write(snapshot, file, place)
        size = sizes.get(file.path, UNKNOWN)
        written[str(place)] = ImageKnown(state, file.digest, *size)
        done += file.size
        if progress is not None:
            progress(done, total)
    source = Path(os.path.normpath(root / header.source))
    if is_yolo:
        source = root / source.name
        _write_yaml(source, snapshot, manifest)
    _check(source, snapshot, manifest, written)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rmdir()
    work.rename(target)
    return target / source.relative_to(work)


def _depth(snapshot: Snapshot) -> int:
    """Return how many folders up the dataset's own paths lead at most."""
    paths = [snapshot.header.source, *(file.path for file in snapshot.files)]
    return max(_up(path) for path in paths)


def _up(path: str) -> int:
    return sum(part == ".." for part in PurePosixPath(os.path.normpath(path)).parts)


def _write(snapshot: Snapshot, file: KeptFile, place: Path) -> FileState:
    """Write one file, verified; one that an earlier attempt wrote whole stays."""
    if place.is_file() and place.stat().st_size == file.size and _digest(place) == file.digest:
        return FileState.of(place.stat())
    place.parent.mkdir(parents=True, exist_ok=True)
    blob = snapshot.blob_path(file)
    temporary = place.with_name(f".{place.name[:200]}.part")
    if blob is None or not blob.is_file():
        temporary.write_bytes(snapshot.read(file))
    else:
        with blob.open("rb") as original, temporary.open("wb") as copy:
            if not reflink(original, copy):
                shutil.copyfileobj(original, copy, _PIECE)
        if _digest(temporary) != file.digest:
            temporary.unlink()
            raise Damaged(
                f"{file.path} in its snapshot is damaged ({file.digest[:12]})",
                "restore the blob from a backup, or tag the same data again with --snapshot",
            )
    temporary.chmod(0o644)
    temporary.replace(place)
    return FileState.of(place.stat())


def _digest(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            hasher.update(piece)
    return hasher.hexdigest()


def _write_yaml(file: Path, snapshot: Snapshot, manifest: Manifest) -> None:
    """Write the data.yaml into the root: the splits as they lie here, all else as it was."""
    kept = snapshot.find(snapshot.header.source)
    try:
        text = snapshot.read(kept).decode("utf-8-sig", errors="ignore") if kept else ""
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Damaged(f"{file}: the kept data.yaml cannot be read") from error
    if not isinstance(said, dict):
        raise Damaged(f"{file}: the kept data.yaml cannot be read", "make a new snapshot")
    for key in ("path", "validation", *SPLITS):
        said.pop(key, None)
    splits = {
        split: _split_value(manifest, split, file.parent) for split in manifest.header.splits
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_dump({**splits, **said}, sort_keys=False, allow_unicode=True)
    file.write_text(content, encoding="utf-8")


def _split_value(manifest: Manifest, split: str, root: Path) -> str:
    """Return a folder where the split is all that lies in one, else a list of its images."""
    own = [entry for entry in manifest.entries if entry.split == split]
    others = [entry for entry in manifest.entries if entry.split != split]
    folder = os.path.commonpath([os.path.dirname(entry.path) or "." for entry in own])  # noqa: PTH120
    whole = folder not in ("", ".") and not folder.startswith("..")
    if whole and all(entry.repeats == 1 for entry in own):
        inside = f"{folder}/"
        if not any(entry.path.startswith(inside) for entry in others):
            return folder
    listed = root / f"{split}.txt"
    lines = [f"./{entry.path}\n" for entry in own for _ in range(entry.repeats)]
    listed.write_text("".join(lines), encoding="utf-8")
    return listed.name


def _check(
    source: Path, snapshot: Snapshot, manifest: Manifest, written: dict[str, ImageKnown]
) -> None:
    """Scan what was written: it has to be the version again.

    Raises
    ------
    Damaged
        If it is not.
    """
    header = manifest.header
    known = ScanCache(rules=LabelRules(len(header.classes), header.keypoints), images=written)
    try:
        found = scan(source, previous=known, layout=snapshot.header.layout)
    except InvalidInput as error:
        raise Damaged(f"what was restored cannot be read: {error}") from error
    if found.manifest.digest != manifest.digest:
        raise Damaged(
            f"what was restored is version {found.manifest.digest[:12]}, not "
            f"{manifest.digest[:12]}; it lies in {source.parent}",
        )
