"""How dataset versions look in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from epochal.cli.common import age, console
from epochal.datasets.leaks import summarize_leaks
from epochal.datasets.problems import printable

if TYPE_CHECKING:
    from epochal.datasets import Content, Difference, Leak, ManifestEntry, SplitStatistics
    from epochal.datasets.snapshots import SnapshotHeader
    from epochal.datasets.statistics import Histogram
    from epochal.datasets.versions import Tagging
    from epochal.records import DatasetTagged, Pinned, Split
    from epochal.store.documents import RunDocument
    from epochal.store.index_reader import Governed
    from epochal.store.store import Store

__all__ = [
    "print_difference",
    "print_list",
    "print_status",
    "print_tagged",
    "print_verified",
    "print_version",
    "size_text",
]

_ROWS = 20
_AREAS = ("below 32² pixels", "to 96²", "larger")
_BARS = " ▁▂▃▄▅▆▇█"
_STATES = {"verified": "green", "drifted": "bold red", "untagged": "yellow", "unchecked": "yellow"}


def size_text(size: int) -> str:
    """Return a number of bytes as people write it."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _table(*titles: str, right: Iterable[int] = ()) -> Table:
    numbers = set(right)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if i in numbers else "left", overflow="fold")
    return table


def print_tagged(done: Tagging, leaks: Sequence[Leak], snapshot: SnapshotHeader | None) -> None:
    """Print what was tagged."""
    out = console()
    record = done.record
    word = "tagged" if done.is_new else "was tagged already, with the same content"
    out.print(
        Text.assemble(
            (f"{record.name}@{record.tag}", "bold"),
            f" {word}",
            (f"  {record.digest[:12]}  {done.manifest.header.task}", "dim"),
        )
    )
    out.print(_splits(record.splits, {s: done.manifest.background(s) for s in record.splits}))
    if leaks:
        out.print(
            Text(
                f"LEAKAGE: {summarize_leaks(leaks)}; `epochal dataset leakage "
                f"{record.name}@{record.tag}` lists them",
                style="bold red",
            )
        )
    if snapshot is not None:
        said = f"kept {snapshot.files} files, {size_text(snapshot.size)}"
        out.print(Text(f"{said}: `epochal dataset restore` brings them back"))


def _splits(splits: dict[str, Split], background: dict[str, int]) -> Table:
    table = _table("split", "images", "objects", "background", "digest", right=(1, 2, 3))
    for name, split in splits.items():
        table.add_row(
            name,
            str(split.images),
            str(split.objects),
            str(background.get(name, "")),
            Text(split.digest[:12], style="dim"),
        )
    return table


def print_list(store: Store, records: Sequence[Governed]) -> None:
    """Print all versions, newest first, with how many runs used each."""
    out = console()
    if not records:
        out.print("no dataset is tagged yet; `epochal dataset tag data.yaml NAME@v1 -m ...` does")
        return
    users = Counter(d.pin.digest for d in store.runs() if d.pin is not None and d.pin.digest)
    from epochal.datasets.snapshots import snapshot_path

    tags: dict[str, set[str]] = {}
    for record in records:
        ref = f"{record.body.name}@{record.body.tag}"
        tags.setdefault(ref, set()).add(record.body.digest)
    table = _table(
        "version", "images", "objects", "runs", "kept", "tagged", "message", right=(1, 2, 3)
    )
    for record in records:
        body = record.body
        ref = f"{body.name}@{body.tag}"
        conflict = len(tags[ref]) > 1
        table.add_row(
            Text(ref, style="bold red" if conflict else "bold"),
            " + ".join(str(split.images) for split in body.splits.values()),
            str(sum(split.objects for split in body.splits.values())),
            str(users[body.digest] or ""),
            "yes" if snapshot_path(store.folder.datasets, body.digest).exists() else "",
            age(record.t),
            Text("two versions have this tag" if conflict else body.message),
        )
    out.print(table)


def print_version(
    version: DatasetTagged,
    content: Content,
    numbers: Sequence[SplitStatistics],
    runs: Sequence[RunDocument],
) -> None:
    """Print a version in numbers."""
    out = console()
    task = content.manifest.header.task
    out.print(
        Text.assemble(
            (f"{version.name}@{version.tag}", "bold"), (f"  {version.digest[:12]}  {task}", "dim")
        )
    )
    if version.message:
        out.print(Text(version.message))
    kept = "its content is kept" if content.snapshot else "its content is not kept (no snapshot)"
    out.print(Text(f"tagged by {version.author or 'somebody'} from {version.path}; {kept}", "dim"))
    out.print(_splits(version.splits, {s.split: s.background for s in numbers}))
    out.print()
    out.print(_balance(numbers))
    sizes = _table(
        "objects", "side, share of the image, 0 to 1", "aspect, 1:16 to 16:1", "per image"
    )
    areas = _table("objects by area", *_AREAS, "images", right=(1, 2, 3))
    for split in numbers:
        if split.side is not None and split.aspect is not None:
            per_image = _bars(split.per_image)
            sizes.add_row(split.split, _bars(split.side), _bars(split.aspect), per_image)
        if split.resolutions:
            counted = (split.small, split.medium, split.large)
            areas.add_row(split.split, *map(str, counted), _resolutions(split))
    for table in sizes, areas:
        if table.row_count:
            out.print()
            out.print(table)
    if unknown := sum(split.unknown for split in numbers):
        said = f"labels of {unknown} images are no longer what was tagged: sizes leave them out"
        out.print(Text(said, style="yellow"))
    if runs:
        shown = ", ".join(d.name for d in runs[-_ROWS:])
        out.print(Text(f"used by {len(runs)} run{'' if len(runs) == 1 else 's'}: {shown}"))


def _resolutions(split: SplitStatistics) -> str:
    shown = [f"{r.images} of {r.width} x {r.height}" for r in split.resolutions[:3]]
    return ", ".join(shown) + (" ..." if len(split.resolutions) > len(shown) else "")


def _balance(numbers: Sequence[SplitStatistics]) -> Table:
    table = _table("class", *(s.split for s in numbers), right=range(1, len(numbers) + 1))
    counts = [{c.name: c for c in split.classes} for split in numbers]
    names = list(dict.fromkeys(c.name for split in numbers for c in split.classes))
    names.sort(key=lambda name: -sum(found[name].objects for found in counts))
    for name in names[: 2 * _ROWS]:
        cells = [f"{found[name].objects} in {found[name].images}" for found in counts]
        table.add_row(name, *cells)
    if len(names) > 2 * _ROWS:
        table.add_row(Text(f"and {len(names) - 2 * _ROWS} more: --json", style="dim"))
    return table


def _bars(histogram: Histogram) -> str:
    most = max(histogram.counts, default=0) or 1
    return "".join(_BARS[-(-c * (len(_BARS) - 1) // most)] for c in histogram.counts)


def print_status(
    found: Sequence[Pinned], tagged: dict[str, DatasetTagged], place: str = ""
) -> None:
    """Print whether the data is what was tagged: at `place`, by default where that was."""
    out = console()
    table = _table("dataset", "state", "")
    for pin in found:
        version = tagged.get(pin.dataset)
        detail = pin.detail or place or (version.path if version else "")
        table.add_row(
            Text(pin.dataset, style="bold"),
            Text(pin.state, style=_STATES[pin.state]),
            Text(detail),
        )
    out.print(table)
    if any(pin.state == "drifted" for pin in found):
        out.print(Text("`epochal dataset diff NAME@TAG` shows the files", style="dim"))


def print_difference(difference: Difference, old: str, new: str, *, files: bool) -> None:
    """Print what changed: by split, by class, and the files on request."""
    out = console()
    out.print(Text.assemble((f"{old} -> {new}: ", "bold"), difference.summary()))
    if difference.is_empty:
        return
    table = _table(
        "split", "added", "removed", "moved in", "renamed", "image", "labels", right=range(1, 7)
    )
    counts = {
        "added": Counter(e.split for e in difference.added),
        "removed": Counter(e.split for e in difference.removed),
        "moved": Counter(c.after.split for c in difference.moved),
        "renamed": Counter(c.after.split for c in difference.renamed),
        "image": Counter(c.after.split for c in difference.changed_images),
        "labels": Counter(c.after.split for c in difference.changed_labels),
    }
    splits = dict.fromkeys((*difference.before.splits, *difference.after.splits))
    for split in splits:
        cells = [str(found[split] or "") for found in counts.values()]
        if any(cells):
            table.add_row(split, *cells)
    if table.row_count:
        out.print()
        out.print(table)
    _print_balance(difference)
    _print_files(difference, all_of_them=files)


def _print_balance(difference: Difference) -> None:
    if not difference.balance:
        return
    out = console()
    table = _table("objects", "class", "before", "after", "", right=(2, 3, 4))
    for split, classes in difference.balance.items():
        ranked = sorted(classes.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
        for name, (before, after) in ranked[:_ROWS]:
            style = "green" if after > before else "red"
            sign = Text(f"{after - before:+d}", style=style)
            table.add_row(split, Text(name), str(before), str(after), sign)
        if len(ranked) > _ROWS:
            table.add_row(split, Text(f"and {len(ranked) - _ROWS} more: --json", style="dim"))
    out.print()
    out.print(table)


def _print_files(difference: Difference, *, all_of_them: bool) -> None:
    """Print the files one a line, as version control does: + - > R I L."""
    out = console()
    lines: list[Text] = [
        *(_file_line("+", "green", e) for e in difference.added),
        *(_file_line("-", "red", e) for e in difference.removed),
        *(_pair_line(">", c.before, c.after) for c in difference.moved),
        *(_pair_line("R", c.before, c.after) for c in difference.renamed),
        *(_file_line("I", "yellow", c.after) for c in difference.changed_images),
        *(_file_line("L", "yellow", c.after) for c in difference.changed_labels),
    ]
    if not lines:
        return
    out.print()
    for line in lines if all_of_them else lines[:_ROWS]:
        out.print(line)
    if len(lines) > _ROWS and not all_of_them:
        out.print(Text(f"and {len(lines) - _ROWS} more: --files", style="dim"))
    out.print(
        Text("+ added  - removed  > moved  R renamed  I other image  L other labels", style="dim")
    )


def _file_line(mark: str, style: str, entry: ManifestEntry) -> Text:
    return Text.assemble((f"{mark} ", style), (f"{entry.split:<6}", "dim"), printable(entry.path))


def _pair_line(mark: str, before: ManifestEntry, after: ManifestEntry) -> Text:
    return Text.assemble(
        (f"{mark} ", "cyan"),
        (f"{after.split:<6}", "dim"),
        f"{printable(before.path)} -> {printable(after.path)}",
    )


def print_verified(
    version: DatasetTagged,
    place: Path,
    state: str,
    detail: str,
    damaged: Sequence[str],
    *,
    has_snapshot: bool,
) -> None:
    """Print what reading every byte again has shown."""
    out = console()
    style = _STATES[state]
    out.print(
        Text.assemble(
            (f"{version.name}@{version.tag}", "bold"),
            " data: ",
            (state, style),
            f"  {detail or place}",
        )
    )
    if not has_snapshot:
        out.print(Text("snapshot: none", style="dim"))
        return
    word = (
        Text(f"{len(damaged)} files damaged", "bold red") if damaged else Text("intact", "green")
    )
    out.print(Text.assemble("snapshot: ", word))
    for line in damaged[:_ROWS]:
        out.print(Text(f"  {line}"))
