"""``epochal evaluate``: measure a run's weights, or take in predictions made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from epochal.cli.common import (
    console,
    json_option,
    open_store,
    print_json,
    progress,
    project_option,
    workspace_option,
)
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from epochal.decisions.charter import Charter
    from epochal.decisions.decision import Decision
    from epochal.evaluation import Boxes, Evaluation, ImageRecords
    from epochal.records import Look
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["evaluate_command"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the command prints as JSON."""

    run: str | None
    name: str
    split: str
    evaluations: tuple[Any, ...]
    """The documents; empty where a losing challenger learns the verdict only."""
    look: str = ""
    purpose: str = ""
    revealed: str = ""
    verdict: str = ""
    gate: str = ""
    """Outcome of the gate that asks the deciding split."""


@click.command("evaluate")
@click.argument("run", required=False)
@click.option("--run", "run_option", hidden=True)
@click.option("--split", default="val", show_default=True, help="val, test or another split.")
@click.option("--data", help="data.yaml, folder of classes or name@tag; default: the run's own.")
@click.option("--device", help="As the trainer names it: cpu, 0, mps ...")
@click.option("--python", help="A Python with Ultralytics; default: the one that trained the run.")
@click.option("--reveal", is_flag=True, help="Show a losing challenger's numbers; it is recorded.")
@click.option(
    "--ground-truth",
    type=click.Path(path_type=Path),
    help="data.yaml, COCO .json, YOLO label folder, or .csv of classes.",
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="predictions.json, COCO results, YOLO label folder, or .csv of probabilities.",
)
@click.option("--images", type=click.Path(path_type=Path), help="Folder of the images, for files.")
@click.option("--groups", type=click.Path(path_type=Path), help="CSV image,group: clips or sites.")
@click.option("--group-of", default="", help="Or a pattern in the image's name, e.g. '^(.*)_'.")
@click.option(
    "--first-category",
    type=click.IntRange(0, 1),
    help="Category id of the first class in predictions.json, where it cannot be told.",
)
@project_option
@workspace_option
@json_option
def evaluate_command(
    run: str | None,
    run_option: str | None,
    split: str,
    data: str | None,
    device: str | None,
    python: str | None,
    reveal: bool,
    ground_truth: Path | None,
    predictions: Path | None,
    images: Path | None,
    groups: Path | None,
    group_of: str,
    first_category: int | None,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Measure RUN's best weights on a split, as its training validated.

    On the split that decides, the look is written into the ledger before the first image is
    evaluated, and a challenger that does not win learns the verdict, not the number.

    \b
      epochal evaluate v2_imgsz_160 --split test
      epochal evaluate v2_imgsz_160 --ground-truth truth.json --predictions found.json
    """
    named = run or run_option
    if (ground_truth is None) != (predictions is None):
        raise InvalidInput(
            "ground truth and predictions belong together",
            "give both --ground-truth and --predictions",
        )
    if ground_truth is not None and predictions is not None:
        reading: dict[str, Any] = {
            "data": data,
            "images": images,
            "groups": groups,
            "group_of": group_of,
            "first_category": first_category,
        }
        found = _from_files(named, split, ground_truth, predictions, reading, project, workspace)
    elif named is None:
        raise InvalidInput("no run is named", "`epochal evaluate RUN --split val`")
    else:
        with open_store(workspace) as store:
            document = store.find_run(named, project)
            found = _measured(store, document, split, data, device, python, reveal, not as_json)
    if as_json:
        print_json(found)
    else:
        _draw(found)


# --- the run's own weights -----------------------------------------------------------------------


def _measured(
    store: Store,
    run: RunDocument,
    split: str,
    data: str | None,
    device: str | None,
    python: str | None,
    reveal: bool,
    talk: bool,
) -> Outcome:
    from epochal.decisions.charter_file import find_toml
    from epochal.decisions.charter_in_force import charter_for_decision
    from epochal.evaluation import load_evaluation
    from epochal.integrations.ultralytics.measuring import measure
    from epochal.registry import get_baseline

    if split == "train":
        raise InvalidInput("numbers on train say nothing", "--split val or --split test")
    charter, version = charter_for_decision(store, run.project, find_toml(Path.cwd()))
    is_look = split == "test"
    baseline = get_baseline(store, run.project) if split == charter.split else None
    judged = baseline if baseline is not None and baseline.id != run.id else None
    purpose: Literal["gate", "explore"] = "explore"
    if judged is not None:
        decision = _decide(store, run, judged, charter, version)
        has_earned = all(gate.outcome == "pass" for gate in decision.gates[:2])
        purpose = "gate" if has_earned else "explore"
        if talk and not has_earned:
            missing = next(gate for gate in decision.gates[:2] if gate.outcome != "pass")
            click.echo(f"note: val has not earned this look: {missing.sentence}", err=True)
    with progress(f"evaluating {run.name} on {split}", unit="") as advance:
        recorded = measure(
            store,
            run,
            split,
            data=data,
            device=device,
            python=python,
            purpose=purpose,
            revealed="number" if not is_look or judged is None or reveal else "nothing",
            progress=advance,
        )
    evaluations = tuple(load_evaluation(store.blobs, body.digest) for body in recorded)
    if not is_look:
        return Outcome(run=run.id, name=run.name, split=split, evaluations=evaluations)
    look = next((body.look for body in recorded if body.look), "")
    verdict = gate = ""
    wins = judged is None
    if judged is not None:
        decision = _decide(store, store.run(run.id), judged, charter, version)
        verdict, gate = decision.verdict, decision.gates[2].outcome
        wins = gate == "pass"
        if not reveal:
            _tell_ledger(store, look, "number" if wins else "verdict")
    return Outcome(
        run=run.id,
        name=run.name,
        split=split,
        evaluations=evaluations if wins or reveal else (),
        look=look,
        purpose=purpose,
        revealed="number" if wins or reveal else "verdict",
        verdict=verdict,
        gate=gate,
    )


def _decide(
    store: Store, run: RunDocument, baseline: RunDocument, charter: Charter, version: int
) -> Decision:
    from epochal.decisions.deciding import decide

    return decide(store, run, baseline, charter=charter, version=version, record=False)


def _tell_ledger(store: Store, look: str, revealed: Literal["verdict", "number"]) -> None:
    """Write down how much of the look was shown, now that it is known."""
    from epochal.decisions.ledger import complete_look

    bodies: list[Look] = [governed.body for governed in store.governance("look")]
    record = next((body for body in reversed(bodies) if body.look == look), None)
    if record is not None:
        complete_look(store.folder, record, record.result, revealed)
        store.refresh()


# --- predictions made elsewhere ------------------------------------------------------------------


def _from_files(
    named: str | None,
    split: str,
    ground_truth: Path,
    predictions: Path,
    reading: dict[str, Any],
    project: str | None,
    workspace: Path | None,
) -> Outcome:
    from epochal.datasets import find_version
    from epochal.datasets.pins import tagged_versions
    from epochal.decisions.ledger import complete_look, open_look
    from epochal.evaluation.files import evaluate_files
    from epochal.evaluation.storage import store_evaluation
    from epochal.store.blobs import digest_of

    def evaluate() -> tuple[Evaluation, ImageRecords | None, Boxes | None]:
        with progress("reading files", unit="") as advance:
            return evaluate_files(
                ground_truth, predictions, split=split, progress=advance, **reading
            )

    if named is None:
        evaluation, *_ = evaluate()
        return Outcome(run=None, name="", split=split, evaluations=(evaluation,))
    with open_store(workspace) as store:
        run = store.find_run(named, project)
        evaluation, records, boxes = evaluate()
        version = find_version(evaluation.dataset_digest, tagged_versions(store.folder).values())
        if version is not None:
            ref = f"{version.name}@{version.tag}"
            evaluation = msgspec.structs.replace(evaluation, dataset=ref)
        look = ""
        if split == "test" and (measured := boxes or records) is not None:
            # Whoever made the predictions has used the images already; here it is written down.
            # Files without the images are told apart by the images' names.
            digests = boxes.digests if boxes is not None else ()
            digests = digests or tuple(digest_of(name.encode()) for name in measured.images)
            opened = open_look(
                store.folder,
                project=run.project,
                run=run.id,
                weights=evaluation.weights,
                dataset=evaluation.dataset,
                split=split,
                image_digests=digests,
            )
            shown = {"evaluator": evaluation.evaluator, **evaluation.metrics}
            complete_look(store.folder, opened, shown, "number")
            look = opened.look
        body = store_evaluation(store.blobs, evaluation, records, boxes, look=look)
        store.record(body, run=run.id)
    return Outcome(
        run=run.id,
        name=run.name,
        split=split,
        evaluations=(evaluation,),
        look=look,
        purpose="explore" if look else "",
        revealed="number" if look else "",
    )


# --- the terminal --------------------------------------------------------------------------------

_FIRST = {
    name: place
    for place, name in enumerate(("mAP50-95", "mAP50", "mAP75", "precision", "recall", "f1"))
}


def _draw(outcome: Outcome) -> None:
    out = console()
    if outcome.evaluations:
        first = outcome.evaluations[0]
        where = f"{outcome.split} of {first.dataset}" if first.dataset else outcome.split
        what = f"[bold]{outcome.name or 'the predictions'}[/]"
        out.print(f"{what} on {where}: {first.images} images")
        _draw_metrics(outcome.evaluations)
        _draw_classes(outcome.evaluations[-1])
    if outcome.look:
        out.print(f"look {outcome.look[:8]} ({outcome.purpose}), shown: {outcome.revealed}")
    if outcome.verdict:
        out.print(f"on {outcome.split}, gate 3: [bold]{outcome.gate}[/]; all: {outcome.verdict}")
    if outcome.look and not outcome.evaluations:
        out.print(
            "The numbers are kept, and not shown: a number that is tuned against is spent. "
            "`--reveal` shows them and says so in the ledger."
        )
        out.print(f"Next: `epochal decide {outcome.name}`")
    if not outcome.run and outcome.evaluations:
        out.print("Not recorded: name a run to keep it there.")


def _draw_metrics(evaluations: tuple[Evaluation, ...]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for evaluation in evaluations:
        table.add_column(evaluation.evaluator, justify="right")
    names = {name for evaluation in evaluations for name in evaluation.metrics}
    for name in sorted(names, key=lambda name: (_FIRST.get(name, len(_FIRST)), name)):
        values = [evaluation.metrics.get(name) for evaluation in evaluations]
        if any(value is not None for value in values):
            table.add_row(name, *("" if v is None else f"{v:.4f}" for v in values))
    console().print(table)


def _draw_classes(evaluation: Evaluation) -> None:
    from rich.table import Table

    if not evaluation.per_class:
        return
    table = Table(box=None, pad_edge=False)
    fields = {
        "images": "images",
        "objects": "instances",
        "AP50-95": "ap",
        "AP50": "ap50",
        "recall@P.95": "recall_at_precision",
    }
    if evaluation.task == "classify":
        fields = {name: name for name in ("images", "precision", "recall", "f1")}
    table.add_column("class")
    for title in fields:
        table.add_column(title, justify="right")
    for row in evaluation.per_class:
        table.add_row(row.name, *(_cell(getattr(row, field)) for field in fields.values()))
    console().print(table)


def _cell(value: int | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "–" if value is None else str(value)
