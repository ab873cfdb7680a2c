"""Dataset versions: what is in them, how they differ, who used which, their images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from epochal.datasets.content import Content
from epochal.datasets.differences import Change
from epochal.datasets.differences import difference as differ
from epochal.datasets.manifest import Manifest, ManifestEntry
from epochal.datasets.statistics import SplitStatistics as Shapes
from epochal.datasets.statistics import split_statistics
from epochal.errors import Damaged, NotFound
from epochal.records import DatasetTagged
from epochal.server.answering import Payload
from epochal.server.answers.files import image_payload
from epochal.server.context import Context
from epochal.server.schema.datasets import (
    ClassCount,
    DatasetDetail,
    DatasetDifference,
    DatasetEntries,
    DatasetEntriesQuery,
    DatasetEntry,
    Datasets,
    DatasetShapes,
    DatasetVersion,
    DifferenceQuery,
    EntryBox,
    EntryChange,
    ShapeStatistics,
    SplitStatistics,
)

__all__ = [
    "dataset",
    "dataset_difference",
    "dataset_entries",
    "dataset_image",
    "dataset_shapes",
    "datasets",
]

_SHOWN_RUNS = 200
_MAX_IMAGE = 64 << 20


def datasets(context: Context) -> Datasets:
    """Return all dataset versions, newest first."""
    change = context.change
    return Datasets(versions=_versions(context)[::-1], change=change)


def _versions(context: Context) -> list[DatasetVersion]:
    """Return every tag once, oldest first."""
    records = context.store.governance("dataset")
    digests: dict[str, set[str]] = {}
    for record in records:
        digests.setdefault(_ref(record.body), set()).add(record.body.digest)
    users = _users(context)
    found: dict[tuple[str, str], DatasetVersion] = {}
    for record in records:
        body = record.body
        runs = users.get(body.digest, [])
        found.setdefault(
            (_ref(body), body.digest),
            DatasetVersion(
                name=body.name,
                tag=body.tag,
                digest=body.digest,
                t=record.t,
                author=body.author,
                message=body.message,
                path=body.path,
                splits=body.splits,
                classes=list(body.classes),
                runs=[ref for id in runs[:_SHOWN_RUNS] if (ref := context.ref_of(id))],
                n_runs=len(runs),
                conflict=len(digests[_ref(body)]) > 1,
            ),
        )
    return list(found.values())


def _ref(body: DatasetTagged) -> str:
    return f"{body.name}@{body.tag}"


def _users(context: Context) -> dict[str, list[str]]:
    """Return digest -> ids of the runs that are pinned to that version, newest first."""
    table = context.table(None)
    ids = table.select("not pin is null").ids
    refs = {r.body.digest: _ref(r.body) for r in context.store.governance("dataset")}
    by_ref: dict[str, list[str]] = {}
    for id, name in zip(ids, table.values(ids, "dataset"), strict=True):
        by_ref.setdefault(name, []).append(id)
    return {digest: by_ref.get(ref, []) for digest, ref in refs.items()}


def dataset(context: Context, digest: str) -> DatasetDetail:
    """Return one version in numbers."""
    versions = _versions(context)
    own = [v for v in versions if v.digest == digest]
    if not own:
        raise NotFound(f"no dataset version {digest[:12]!r}", "`epochal dataset` lists them")
    names = {v.name for v in own}
    manifest: Manifest | None
    try:
        manifest = context.service.manifest(digest)
    except NotFound:
        manifest = None
    contents = list(_contents(context, digest)) if manifest else []
    return DatasetDetail(
        versions=own,
        digest=digest,
        task=manifest.header.task if manifest else "",
        classes=list(manifest.header.classes) if manifest else own[0].classes,
        statistics=_statistics(manifest) if manifest else [],
        available=manifest is not None,
        readable=any(c.root is not None or c.snapshot is not None for c in contents),
        others=[v for v in versions if v.name in names and v.digest != digest],
    )


def _statistics(manifest: Manifest) -> list[SplitStatistics]:
    found = []
    for split in manifest.header.splits:
        entries = [e for e in manifest.entries if e.split == split]
        images = [0] * len(manifest.header.classes)
        for entry in entries:
            for category, _ in entry.objects:
                images[category] += 1
        objects = manifest.balance(split)
        with_class = dict.fromkeys(objects, 0)
        for name, number in zip(manifest.header.classes, images, strict=True):
            with_class[name] += number
        found.append(
            SplitStatistics(
                split=split,
                images=len(entries),
                objects=sum(objects.values()),
                background=manifest.background(split),
                malformed=sum(e.malformed for e in entries),
                bytes=sum(e.size for e in entries),
                classes=[
                    ClassCount(name=name, objects=number, images=with_class[name])
                    for name, number in objects.items()
                ],
            )
        )
    return found


def dataset_entries(context: Context, query: DatasetEntriesQuery, digest: str) -> DatasetEntries:
    """Return a page of a version's images."""
    manifest = _manifest(context, digest)
    classes = manifest.header.classes
    wanted = {i for i, name in enumerate(classes) if name == query.label}
    fits = [
        entry
        for entry in manifest.entries
        if query.split in (None, entry.split)
        and (query.label is None or any(category in wanted for category, _ in entry.objects))
    ]
    page = fits[query.offset : query.offset + query.limit]
    contents = list(_contents(context, digest))
    entries = [_entry(e, classes, _boxes(contents, e)) for e in page]
    return DatasetEntries(entries=entries, total=len(fits))


def _manifest(context: Context, digest: str) -> Manifest:
    """Return the manifest of a version that was tagged here."""
    if not any(r.body.digest == digest for r in context.store.governance("dataset")):
        raise NotFound(f"no dataset version {digest[:12]!r}", "`epochal dataset` lists them")
    return context.service.manifest(digest)


def _entry(
    entry: ManifestEntry, classes: tuple[str, ...], boxes: list[EntryBox] | None = None
) -> DatasetEntry:
    objects: dict[str, int] = {}
    for category, number in entry.objects:
        objects[classes[category]] = objects.get(classes[category], 0) + number
    return DatasetEntry(
        split=entry.split,
        path=entry.path,
        image=entry.image,
        size=entry.size,
        objects=objects,
        malformed=entry.malformed,
        width=entry.width,
        height=entry.height,
        boxes=boxes,
    )


def dataset_difference(
    context: Context, query: DifferenceQuery, digest: str, other: str
) -> DatasetDifference:
    """Return what has to happen to version `digest` to make it `other`."""
    old, new = _manifest(context, digest), _manifest(context, other)
    found = differ(old, new)
    before, after = old.header.classes, new.header.classes
    versions = {v.digest: v for v in _versions(context)}
    older, newer = (list(_contents(context, d)) for d in (digest, other))

    def changes(pairs: tuple[Change, ...]) -> list[EntryChange]:
        return [
            EntryChange(
                before=_entry(pair.before, before, _boxes(older, pair.before)),
                after=_entry(pair.after, after, _boxes(newer, pair.after)),
                image_changed=pair.image,
                labels_changed=pair.labels,
            )
            for pair in pairs[: query.limit]
        ]

    return DatasetDifference(
        before=versions.get(digest),
        after=versions.get(other),
        summary=found.summary(),
        counts={
            "added": len(found.added),
            "removed": len(found.removed),
            "moved": len(found.moved),
            "renamed": len(found.renamed),
            "images changed": len(found.changed_images),
            "labels changed": len(found.changed_labels),
        },
        added=[_entry(e, after) for e in found.added[: query.limit]],
        removed=[_entry(e, before) for e in found.removed[: query.limit]],
        moved=changes(found.moved),
        renamed=changes(found.renamed),
        changed=changes(found.changed),
        balance=found.balance,
    )


def dataset_image(context: Context, digest: str, image: str) -> Payload:
    """Return an image of a version, after making sure that it still is that image.

    The request names a version and a content; where that lies, the manifest and the record of
    the tag say. Bytes that do not have the digest are not sent.
    """
    manifest = _manifest(context, digest)
    entry = next((e for e in manifest.entries if e.image == image), None)
    if entry is None:
        raise NotFound(f"dataset version {digest[:12]} has no image {image[:12]!r}")
    if entry.size > _MAX_IMAGE:
        raise NotFound(f"{entry.path} is too large to be shown")
    for content in _contents(context, digest):
        data = content.image(entry)
        if data is not None:
            return image_payload(data, entry.path)
        if content.root is not None and (content.root / entry.path).exists():
            raise Damaged(
                f"{entry.path} is not the image that was tagged",
                "the data has changed since; `epochal dataset status` tells what",
            )
    raise NotFound(
        f"{entry.path} is not on this machine as it was tagged",
        "open the UI where the data is, or restore the version",
    )


def _contents(context: Context, digest: str) -> Iterator[Content]:
    """Yield a version's content by each of its tags: one may know a place that others do not."""
    for record in context.store.governance("dataset"):
        if record.body.digest == digest:
            yield context.service.content(record.body)


def _boxes(contents: Sequence[Content], entry: ManifestEntry) -> list[EntryBox] | None:
    """Return an image's labels; None where none of the contents has them any more."""
    for content in contents:
        shapes = content.shapes(entry)
        if shapes is not None:
            classes = content.manifest.header.classes
            return [EntryBox(label=classes[s.category], box=s.box) for s in shapes]
    return None


def dataset_shapes(context: Context, digest: str) -> DatasetShapes:
    """Return how large a version's objects are; every label file is read."""
    _manifest(context, digest)
    found: list[Shapes] = []
    for content in _contents(context, digest):
        found = split_statistics(content)
        if not any(split.unknown for split in found):
            break
    return DatasetShapes(
        splits=[
            ShapeStatistics(
                split=split.split,
                side=split.side,
                pixels=split.pixels,
                aspect=split.aspect,
                per_image=split.per_image,
                small=split.small,
                medium=split.medium,
                large=split.large,
                resolutions=list(split.resolutions),
                unknown=split.unknown,
            )
            for split in found
        ]
    )
