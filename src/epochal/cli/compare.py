"""`epochal compare`: runs side by side in the terminal, the verdict first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import (
    console,
    default_project,
    in_force,
    json_option,
    open_store,
    print_json,
    project_option,
    workspace_option,
)
from epochal.errors import EpochalError, InvalidInput, Refused
from epochal.records import Evaluated

if TYPE_CHECKING:
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["compare_command"]

_MANY = 2
"""With more runs than this, test numbers would choose between them."""


@click.command("compare")
@click.argument("runs", nargs=-1, required=True)
@click.option("--metric", help="Metric to compare on; default: the charter's.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    default=("val",),
    show_default=True,
    help="Whose evaluations to show; may be given several times.",
)
@click.option(
    "--test-anyway",
    metavar="REASON",
    help="Show test numbers of more than two runs; the look and the reason are recorded.",
)
@click.option("--classes", default=20, show_default=True, help="How many classes to list.")
@click.option("--width", type=click.IntRange(min=40), help="Columns; default: the terminal's.")
@project_option
@workspace_option
@json_option
def compare_command(
    runs: tuple[str, ...],
    metric: str | None,
    splits: tuple[str, ...],
    test_anyway: str | None,
    classes: int,
    width: int | None,
    *,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Compare RUNS on the project's metric; all are measured against the first.

    One run is compared with the project's baseline. Says who is ahead and what changed, draws
    the curves, and lists evaluations per class where they may be compared. Whether a difference
    is more than noise is for `epochal decide` to say.

    \b
      epochal compare v2_imgsz_160
      epochal compare v1_baseline v2_imgsz_160 v3_mosaic_off
    """
    from epochal.comparison import compare

    store = open_store(workspace)
    documents = [store.find_run(run, project) for run in runs]
    if len(documents) == 1:
        documents.insert(0, _baseline(store, documents[0]))
    in_project = default_project(store, project or documents[0].project)
    charter, version = in_force(store, in_project)
    registry = charter.registry()
    chosen = metric or charter.metric
    deciding = {charter.split, "test"}
    looked = [split for split in splits if split in deciding]
    if registry.resolve(chosen).name.partition("/")[0] in deciding:
        looked.append(charter.split)
    if looked and len(documents) > _MANY:
        _look_anyway(store, documents, looked[0], test_anyway, version)
    comparison = compare(
        store,
        documents,
        metric=chosen,
        registry=registry,
        evaluator=charter.evaluator,
        splits=tuple(dict.fromkeys(splits)),
        require_metric=metric is not None,
        keep_share=charter.keep_share,
    )
    if as_json:
        print_json(comparison)
        return
    from epochal.cli.comparison_page import print_comparison

    out = console()
    if width is not None:
        out.width = width
    print_comparison(out, comparison, registry.resolve(chosen), charter, classes=classes)


def _baseline(store: Store, document: RunDocument) -> RunDocument:
    from epochal.registry import get_baseline

    baseline = get_baseline(store, document.project)
    if baseline is None:
        raise InvalidInput(
            f"{document.name} has nothing to be compared with: {document.project} has no baseline",
            "name another run, or set one: `epochal baseline RUN -m REASON`",
        )
    if baseline.id == document.id:
        raise InvalidInput(f"{document.name} is the baseline itself", "name another run")
    return baseline


def _look_anyway(
    store: Store, documents: list[RunDocument], split: str, reason: str | None, version: int
) -> None:
    """Record a look at the test images for every run that has been measured on them.

    Raises
    ------
    Refused
        If no reason is given.
    """
    if not (reason or "").strip():
        raise Refused(
            f"choosing between {len(documents)} runs by their {split} numbers uses the {split} "
            "set up: the luckiest wins",
            f"compare them on val and let `epochal decide` look at {split}, or say why: "
            "--test-anyway REASON",
        )
    evaluations = [
        (document, stamped.body)
        for document in documents
        for stamped in document.evaluations[::-1]
        if isinstance(stamped.body, Evaluated) and stamped.body.split == split
    ]
    for document, evaluated in {d.id: (d, e) for d, e in reversed(evaluations)}.values():
        _record_look(store, document, evaluated, f"compared: {reason}", version)
    click.echo(f"note: looks at {split} are in the ledger, with your reason", err=True)


def _record_look(
    store: Store, document: RunDocument, evaluated: Evaluated, reason: str, version: int
) -> None:
    """Record that the numbers of an evaluation are shown.

    Raises
    ------
    Refused
        If it is not known which images it was measured on, so that the look cannot be recorded.
    """
    from epochal.datasets import load_manifest
    from epochal.decisions.ledger import complete_look, open_look
    from epochal.evaluation.storage import load_evaluation

    result = {**evaluated.metrics, "reason": reason}
    earlier = [g.body for g in store.governance("look") if g.body.look == evaluated.look]
    if evaluated.look and earlier:
        # the same weights on the same images are the same look, of which now more is shown
        complete_look(store.folder, earlier[0], result, "number")
        return
    try:
        evaluation = load_evaluation(store.blobs, evaluated.digest)
        manifest = load_manifest(store.folder.datasets, evaluation.dataset_digest)
    except EpochalError as error:
        raise Refused(
            f"which {evaluated.split} images {document.name} was measured on is not known, so "
            f"the look cannot be recorded ({error.message})",
            f"`epochal evaluate {document.name} --split {evaluated.split}` on a tagged dataset",
        ) from error
    look = open_look(
        store.folder,
        project=document.project,
        run=document.id,
        weights=evaluated.weights,
        dataset=evaluated.dataset,
        split=evaluated.split,
        image_digests=[e.image for e in manifest.entries if e.split == evaluated.split],
        purpose="explore",
        charter=version,
    )
    complete_look(store.folder, look, result, "number")
