"""Dataset versions: tag what a training is given, see what changed, bring any version back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from epochal.cli.common import (
    folder_of,
    json_option,
    open_store,
    print_json,
    progress,
    workspace_option,
)
from epochal.cli.dataset_access import remembered_images, scan_data, version_content
from epochal.cli.dataset_content import (
    export_command,
    gc_command,
    leakage_command,
    restore_command,
    verify_command,
)
from epochal.cli.failures import EpochalGroup
from epochal.errors import EpochalError, InvalidInput, NotFound

if TYPE_CHECKING:
    from epochal.datasets import Difference, Manifest
    from epochal.datasets.layouts import Layout
    from epochal.journal.folder import Folder
    from epochal.records import DatasetTagged

__all__ = ["dataset_command"]

_LAYOUTS = ("yolo", "coco", "classify", "files")


@click.group("dataset", cls=EpochalGroup)
def dataset_command() -> None:
    """Tag dataset versions, see what changed between them, bring any of them back.

    \b
      epochal dataset tag data.yaml pallets@v1 -m "first 400 images"
      epochal dataset status
      epochal dataset diff pallets@v1 pallets@v2
    """


@dataset_command.command("tag")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("ref", metavar="NAME@TAG")
@click.option("-m", "--message", default="", help="What is new in this version.")
@click.option("--snapshot", is_flag=True, help="Keep the content too, so that it can be restored.")
@click.option(
    "--allow-label-errors", is_flag=True, help="Tag although trainers will ignore some images."
)
@click.option("--decode", is_flag=True, help="Decode every image, to find those that are broken.")
@click.option("--layout", type=click.Choice(_LAYOUTS), help="Default: looked at.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="Folder of the images of a COCO JSON."
)
@workspace_option
@json_option
def tag_command(
    path: Path,
    ref: str,
    message: str,
    *,
    snapshot: bool,
    allow_label_errors: bool,
    decode: bool,
    layout: Layout | None,
    images: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Give the data at PATH, as it is now, the name NAME@TAG.

    PATH is a data.yaml, a COCO JSON or a folder of them, a folder of classes, or any folder. A
    tag never changes: the same data again is fine, other data is refused.
    """
    import msgspec

    from epochal.cli import dataset_page
    from epochal.cli.dataset_problems_page import print_problems
    from epochal.datasets import (
        leakage,
        make_snapshot,
        parse_ref,
        save_manifest,
        tag,
        tagged_versions,
        undecodable,
    )
    from epochal.datasets.problems import refuse
    from epochal.journal.author import author

    parse_ref(ref)
    if not path.exists():
        raise InvalidInput(f"{path}: does not exist", "check the path of the dataset")
    store = open_store(workspace or _workspace())
    folder = store.folder
    images = images or remembered_images(folder, path)
    found = scan_data(folder, path, layout=layout, images=images)
    if decode:
        with progress("decoding images") as advance:
            broken = undecodable(found, progress=advance)
        found = msgspec.structs.replace(found, problems=(*found.problems, *broken))
    if not as_json:
        print_problems(found, stderr=True)
    refuse(found.problems, "fatal")
    ignored = sum(entry.malformed for entry in found.manifest.entries)
    if ignored and not allow_label_errors:
        refused = "1 image has" if ignored == 1 else f"{ignored} images have"
        raise InvalidInput(
            f"{refused} labels with errors: a trainer would ignore the image and say so once",
            "correct the labels, or tag the data as it is with --allow-label-errors",
        )
    done = tag(
        path,
        ref,
        message,
        existing=tagged_versions(folder),
        author=author(),
        allow_label_errors=allow_label_errors,
        scanned=found,
        images=images or "",
    )
    # Manifest and content first: what a record names is there.
    save_manifest(folder.datasets, done.manifest)
    kept = None
    if snapshot:
        with progress("keeping the content", unit="bytes") as advance:
            kept = make_snapshot(folder.datasets, store.blobs, found, progress=advance)
    if done.is_new:
        store.record(done.record)
    leaks = leakage(done.manifest)
    if as_json:
        print_json(
            {
                "version": done.record,
                "is_new": done.is_new,
                "problems": found.problems,
                "orphan_labels": found.orphan_labels,
                "leaks": leaks,
                "snapshot": kept,
            }
        )
        return
    dataset_page.print_tagged(done, leaks, kept)


def _workspace() -> Path:
    """Return the workspace from here; a first tag makes one, as a first training does."""
    from epochal.journal.folder import Folder

    folder, is_new = Folder.find_or_create()
    if is_new:
        click.echo(f"note: created the workspace {folder.root}", err=True)
    return folder.root


@dataset_command.command("list")
@workspace_option
@json_option
def list_command(*, workspace: Path | None, as_json: bool) -> None:
    """List all dataset versions, newest first."""
    store = open_store(workspace)
    records = store.governance("dataset")[::-1]
    if as_json:
        print_json([{"t": record.t, **_plain(record.body)} for record in records])
        return
    from epochal.cli.dataset_page import print_list

    print_list(store, records)


def _plain(struct: Any) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(struct))


@dataset_command.command("show")
@click.argument("ref", metavar="NAME@TAG")
@workspace_option
@json_option
def show_command(ref: str, *, workspace: Path | None, as_json: bool) -> None:
    """Show a version: splits, classes, object sizes, which runs used it."""
    from epochal.datasets.statistics import split_statistics

    store = open_store(workspace)
    version, content = version_content(store, ref)
    with progress("reading labels") as advance:
        numbers = split_statistics(content, progress=advance)
    runs = [d for d in store.runs() if d.pin is not None and d.pin.digest == version.digest]
    if as_json:
        print_json(
            {
                "version": version,
                "task": content.manifest.header.task,
                "snapshot": content.snapshot.header if content.snapshot else None,
                "statistics": numbers,
                "runs": [{"id": d.id, "name": d.name, "project": d.project} for d in runs],
            }
        )
        return
    from epochal.cli.dataset_page import print_version

    print_version(version, content, numbers, runs)


@dataset_command.command("status")
@click.argument("ref", metavar="[NAME@TAG | PATH]", default="")
@workspace_option
@json_option
def status_command(ref: str, *, workspace: Path | None, as_json: bool) -> None:
    """Tell whether the data is still what was tagged.

    Without an argument: the newest version of each dataset. Files that have not changed since
    the last look are not read.
    """
    from epochal.datasets import pin_of, tagged_versions
    from epochal.records import Pinned

    folder = folder_of(workspace)
    tagged = tagged_versions(folder)
    asked = [ref] if ref else [str(f"{r.name}@{r.tag}") for r in _newest(tagged)]
    if not asked:
        raise NotFound(
            f"no dataset is tagged in {folder.root}",
            'tag one: `epochal dataset tag data.yaml NAME@v1 -m "..."`',
        )
    found: list[Pinned] = []
    for one in asked:
        try:
            found.append(pin_of(folder, one))
        except EpochalError as error:
            if ref:
                raise
            found.append(Pinned(dataset=one, state="unchecked", detail=str(error)))
    if as_json:
        print_json(found)
        return
    from epochal.cli.dataset_page import print_status

    print_status(found, tagged, "" if ref in tagged else ref)


def _newest(tagged: dict[str, DatasetTagged]) -> list[DatasetTagged]:
    return list({record.name: record for record in tagged.values()}.values())


@dataset_command.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", default="")
@click.option("--files", is_flag=True, help="List every file.")
@workspace_option
@json_option
def diff_command(
    old: str, new: str, *, files: bool, workspace: Path | None, as_json: bool
) -> None:
    """Show what changed from version OLD to version NEW.

    Each is NAME@TAG, a name (its newest tag), a digest, or a path. Without NEW: the data as it
    is now where OLD was tagged.
    """
    folder = folder_of(workspace)
    difference = _difference(folder, old, new)
    if as_json:
        print_json(difference)
        return
    from epochal.cli.dataset_page import print_difference

    print_difference(difference, old, new or "now", files=files)


def _difference(folder: Folder, old: str, new: str) -> Difference:
    from epochal.datasets import tagged_versions, version_difference

    tagged = tagged_versions(folder)
    before = _side(folder, old, tagged)
    after = _side(folder, new, tagged) if new else _working(folder, before)
    return version_difference(folder.datasets, before, after)


def _side(folder: Folder, text: str, tagged: dict[str, DatasetTagged]) -> str | Manifest:
    """Return the digest of a tagged version, or the manifest of data at a path."""
    from epochal.datasets import resolve_version

    try:
        return resolve_version(text, tagged).digest
    except NotFound:
        if not Path(text).exists():
            raise
    return scan_data(folder, Path(text)).manifest


def _working(folder: Folder, version: str | Manifest) -> Manifest:
    from epochal.datasets import tagged_versions
    from epochal.datasets.versions import layout_in

    path = next(
        (r.path for r in reversed(tagged_versions(folder).values()) if r.digest == version), ""
    )
    if not path or not Path(path).exists():
        raise NotFound(
            f"where OLD was tagged there is nothing now: {path or 'a path'}", "name NEW as well"
        )
    assert isinstance(version, str)  # a version that has a path is a tagged one
    return scan_data(folder, Path(path), layout=layout_in(folder.datasets, version)).manifest


for _command in (verify_command, leakage_command, restore_command, export_command, gc_command):
    dataset_command.add_command(_command)
