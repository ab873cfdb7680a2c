"""Which evaluations speak for a run: those of its final weights, by the charter's evaluator."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from epochal.errors import EpochalError
from epochal.evaluation.document import Evaluation
from epochal.evaluation.storage import ImageRecords, load_evaluation, load_records
from epochal.records import Artifact, Evaluated
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["Measured", "Missing", "evaluate_command", "final_weights", "measured"]


@dataclass(frozen=True, eq=False)
class Measured:
    """One evaluation of a run's final weights."""

    run: RunDocument
    digest: str
    """Of the evaluation document."""
    look: str
    """Id of the ledger's look; empty where it was none."""
    evaluation: Evaluation
    records: ImageRecords | None
    tied: bool
    """Whether the evaluation names weights, and they are the run's."""


@dataclass(frozen=True)
class Missing:
    """Why no evaluation speaks, and what makes one: a command, nearly always."""

    run: RunDocument
    reason: str
    command: str


def evaluate_command(run: RunDocument, split: str) -> str:
    """Return the command that measures the run on `split`, as a shell takes it."""
    return f"epochal evaluate {shlex.quote(run.name)} --split {split}"


def final_weights(run: RunDocument) -> str:
    """Return the digest of the weights a run left; empty where it recorded none.

    ``weights/best.*`` where there is one, else what was recorded last.
    """
    weights = {
        key: stamped
        for key, stamped in run.artifacts.items()
        if isinstance(stamped.body, Artifact) and stamped.body.role == "weights"
    }
    if not weights:
        return ""
    best = [key for key in weights if key.rpartition("/")[2].split(".")[0] == "best"]
    key = min(best) if best else max(weights, key=lambda key: (weights[key].t, key))
    body = weights[key].body
    return body.digest if isinstance(body, Artifact) else ""


def measured(
    store: Store, run: RunDocument, split: str, evaluator: str, fingerprint: str = ""
) -> Measured | Missing:
    """Return the newest evaluation of the run's final weights on `split`.

    Parameters
    ----------
    fingerprint
        Prefer one with this fingerprint, where there is one.
    """
    command = evaluate_command(run, split)
    weights = final_weights(run)
    on_split = [
        stamped.body
        for stamped in run.evaluations
        if isinstance(stamped.body, Evaluated) and stamped.body.split == split
    ]
    if not on_split and store.status(run) == "running":
        return Missing(
            run,
            f"{run.name} is still training",
            "let it finish: its best weights are measured at the end",
        )
    if not on_split:
        return Missing(run, f"{run.name} was not evaluated on {split}", command)
    by_evaluator = [body for body in on_split if body.evaluator == evaluator]
    if not by_evaluator:
        others = ", ".join(sorted({body.evaluator for body in on_split}))
        return Missing(
            run,
            f"{run.name} was measured on {split} by {others} only; {evaluator} decides",
            command,
        )
    own = [body for body in by_evaluator if not (weights and body.weights)]
    own += [body for body in by_evaluator if weights and body.weights == weights]
    own.sort(key=by_evaluator.index)
    if not own:
        return Missing(
            run, f"the evaluations of {run.name} on {split} are of other weights", command
        )
    fitting = [body for body in own if fingerprint and body.fingerprint == fingerprint]
    chosen = (fitting or own)[-1]
    try:
        evaluation = load_evaluation(store.blobs, chosen.digest)
    except EpochalError as error:
        return Missing(run, f"the evaluation of {run.name} on {split}: {error.message}", command)
    try:
        records = load_records(store.blobs, evaluation)
    except EpochalError:
        records = None  # judged as numbers alone; `epochal doctor` tells what is damaged
    return Measured(
        run=run,
        digest=chosen.digest,
        look=chosen.look,
        evaluation=evaluation,
        records=records,
        tied=bool(weights) and chosen.weights == weights,
    )
