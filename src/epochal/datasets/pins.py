"""Which tagged version a training's data is, found from the workspace's folder alone."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec

from epochal.datasets.cache import ScanCache, cache_path
from epochal.datasets.scanning import Scan, scan
from epochal.datasets.versions import check_pin, find_version, save_manifest, tag
from epochal.errors import EpochalError, InvalidInput, NotFound, Refused
from epochal.journal.author import author
from epochal.journal.folder import Folder
from epochal.journal.governance import declare, read_governance
from epochal.records import DatasetTagged, Pinned

__all__ = ["digest_now", "pin_of", "tag_automatically", "tagged_versions"]


def tagged_versions(folder: Folder) -> dict[str, DatasetTagged]:
    """Return all tagged versions of the workspace by ``name@tag``, oldest first.

    Raises
    ------
    Refused
        If one tag names two versions, as after merging two workspaces.
    """
    found: dict[str, DatasetTagged] = {}
    for record in read_governance(folder).records:
        body = record.body
        if isinstance(body, DatasetTagged):
            ref = f"{body.name}@{body.tag}"
            there = found.setdefault(ref, body)
            if there.digest != body.digest:
                raise Refused(
                    f"{ref} names two versions, {there.digest[:12]} and {body.digest[:12]}",
                    "tag one of them anew under another tag and use that",
                )
    return found


def pin_of(folder: Folder, dataset: str) -> Pinned:
    """Return the pin of `dataset`, checked against the data as it is now.

    Parameters
    ----------
    dataset
        ``name@tag``, or the path of a data.yaml.

    Raises
    ------
    NotFound
        If ``name@tag`` was never tagged.
    InvalidInput
        If the data.yaml cannot be used.
    """
    tagged = tagged_versions(folder)
    if dataset in tagged:
        return _check(folder, tagged[dataset], tagged[dataset].path)[0]
    path = Path(dataset).expanduser()
    if "@" in dataset and not path.exists():
        known = ", ".join(tagged) or "none"
        raise NotFound(
            f"no dataset version {dataset!r}; there are: {known}",
            f'`epochal dataset tag DATA.yaml {dataset} -m "..."` creates it',
        )
    if not path.exists():
        raise InvalidInput(f"no data.yaml at {dataset}", "give its path, or name@tag")
    here = str(path.resolve())
    # The newest version that was tagged from this file is what a changed folder has drifted from.
    for version in reversed(tagged.values()):
        if version.path == here:
            checked, found = _check(folder, version, here)
            # Another version than the newest may be what lies there now.
            same = find_version(found.manifest.digest, tagged.values()) if found else None
            return _verified(same) if same is not None else checked
    found = _scan(folder, here)
    same = find_version(found.manifest.digest, tagged.values())
    if same is not None:
        return _verified(same)
    return Pinned(
        dataset=here,
        state="untagged",
        detail=f'`epochal dataset tag {shlex.quote(dataset)} NAME@v1 -m "..."` tags it',
    )


def digest_now(folder: Folder, dataset: str) -> str:
    """Return the digest of the files of `dataset` as they are; empty where they cannot be read.

    Files that did not change since the last look are not read again.
    """
    try:
        version = tagged_versions(folder).get(dataset)
        if version is None:
            return _scan(folder, dataset).manifest.digest
        return _scan(folder, version.path, version.images).manifest.digest
    except (EpochalError, OSError):
        return ""


def changed_meanwhile(folder: Folder, pinned: Pinned, data: str = "") -> Pinned | None:
    """Return the new pin of a run whose data changed while it trained; None where it did not.

    For the end of a training: compares the data with the version it was verified against at the
    start. Files that are as they were are not read again, so this takes no longer than looking
    at them.

    Parameters
    ----------
    pinned
        As found at the start. Data that was not verified then says nothing now.
    data
        Path that the training was given; default: where the version was tagged.
    """
    if pinned.state != "verified" or not pinned.digest:
        return None
    version = tagged_versions(folder).get(pinned.dataset)
    if version is None or version.digest != pinned.digest:
        return None
    now, _ = _check(folder, version, data or version.path)
    if now.state != "drifted":
        return None
    detail = f"changed during the training: {now.detail}"
    return msgspec.structs.replace(now, detail=detail[:2000])


def tag_automatically(folder: Folder, data_yaml: str) -> Pinned:
    """Tag the data as it is now under a name made from its folder and digest."""
    found = _scan(folder, data_yaml)
    name = Path(data_yaml).resolve().parent.name or "data"
    ref = f"{_plain(name)}@auto-{found.manifest.digest[:8]}"
    done = tag(
        data_yaml,
        ref,
        "tagged when a training started on it",
        existing=tagged_versions(folder),
        author=author(),
        previous=found.cache,
    )
    save_manifest(folder.datasets, done.manifest)
    if done.is_new:
        declare(folder, done.record)
    return Pinned(dataset=ref, digest=done.manifest.digest, state="verified", detail="tagged now")


def _check(folder: Folder, version: DatasetTagged, data_yaml: str) -> tuple[Pinned, Scan | None]:
    """Return the pin, and the scan it comes from; None where the data could not be read."""
    ref = _ref(version)
    if not data_yaml or not Path(data_yaml).exists():
        detail = f"{data_yaml or 'the data'} is not on this machine"
        return Pinned(dataset=ref, digest=version.digest, detail=detail), None
    cache = cache_path(folder.datasets, data_yaml)
    checked = check_pin(
        data_yaml,
        folder.datasets,
        version.digest,
        ScanCache.load(cache),
        images=version.images,
    )
    if checked.scan is not None:
        _keep(checked.scan.cache, cache)
    detail = checked.detail[:2000]
    pinned = Pinned(dataset=ref, digest=version.digest, state=checked.state, detail=detail)
    return pinned, checked.scan


def _verified(version: DatasetTagged) -> Pinned:
    return Pinned(dataset=_ref(version), digest=version.digest, state="verified")


def _scan(folder: Folder, data_yaml: str, images: str = "") -> Scan:
    cache = cache_path(folder.datasets, data_yaml)
    found = scan(data_yaml, previous=ScanCache.load(cache), images=images)
    _keep(found.cache, cache)
    return found


def _keep(cache: ScanCache, path: Path) -> None:
    try:
        cache.save(path)
    except OSError:
        pass  # a read-only workspace: the next check reads the files again


def _ref(version: DatasetTagged) -> str:
    return f"{version.name}@{version.tag}"


def _plain(name: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return kept.strip("_-") or "data"
