"""One evaluation of weights: at the end of a training, or with ``yolo val`` on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from epochal.decisions.ledger import complete_look, open_look
from epochal.errors import NotFound
from epochal.integrations.intent import Intent
from epochal.integrations.ultralytics.capture import Capture
from epochal.integrations.ultralytics.links import Weights, find_origin
from epochal.integrations.ultralytics.options import Options
from epochal.integrations.ultralytics.pins import EvaluatedData, data_of, evaluated_data
from epochal.integrations.ultralytics.rankings import Order, Rankings
from epochal.integrations.ultralytics.results import (
    Measured,
    Result,
    evaluations,
    ultralytics_version,
)
from epochal.journal.folder import Folder
from epochal.journal.governance import read_governance
from epochal.records import CharterChanged, Look
from epochal.run.opening import current, init, join
from epochal.run.run import Run
from epochal.store.blobs import digest_of_file

__all__ = ["Validation", "order_of"]

_ORDER = "_epochal_order"


class Validation:
    """What is known between ``on_val_start`` and ``on_val_end`` of one validator.

    Parameters
    ----------
    run, best
        The training that this validation ends, and its best weights; None for one on its own.
    """

    def __init__(self, options: Options, run: Run | None = None, best: Path | None = None) -> None:
        self.options = options
        self.run = run
        self._is_final = run is not None
        self._weights = Weights.of(best) if best is not None and best.is_file() else None
        self._opened_here = False
        self._data = EvaluatedData("")
        self._look: Look | None = None
        self._capture = Capture()

    def begin(self, validator: Any) -> None:
        """Listen in; and once the model is known, say whose weights these are."""
        if validator.args.task == "classify":
            self._capture = Rankings(order_of(validator))
        else:
            self._capture = Capture(single_cls=bool(validator.args.single_cls))
        self._capture.watch(validator, self._identify)

    def _identify(self, validator: Any, model: Any) -> None:
        """Called with the loaded model, before the first image is evaluated."""
        weights = self._weights or _weights_of(validator, model)
        self._weights = weights
        run = self.run = self.run or self._host(validator, weights)
        if run.workspace is None:
            return
        split = str(validator.args.split)
        source = data_of(validator.data, str(validator.args.task)) or str(validator.args.data)
        self._data = evaluated_data(run.workspace, source, split)
        if split == "test":
            files = _image_files(validator.dataloader.dataset)
            self._look = open_look(
                run.workspace,
                project=run.project,
                run=run.id,
                weights=weights.digest if weights else "",
                dataset=self._data.dataset,
                split=split,
                image_digests=self._data.digests_of(files)
                or [digest_of_file(Path(file)) for file in files],
                purpose=self.options.purpose,
                charter=_charter_version(run.workspace, run.project),
            )

    def _host(self, validator: Any, weights: Weights | None) -> Run:
        """Return the run that these weights belong to; a new one where none is known."""
        said = self.options.init | Intent.from_environment().arguments()
        where = said.get("workspace")
        folder = Folder.for_recording(Path(where) if where else None)
        origin = find_origin(folder, weights) if weights else None
        opened = current()
        if opened is not None and (origin is None or origin.run == opened.id):
            return opened
        if origin is not None:
            return join(str(folder.root), origin.run, origin.name, origin.project, origin.attempt)
        self._opened_here = True
        asked = {key: getattr(validator.args, key) for key in ("model", "data", "split", "imgsz")}
        arguments = {key: said[key] for key in ("project", "group", "capture") if key in said}
        name = said.get("name") or (weights.name if weights else Path(str(asked["model"])).stem)
        run = init(
            name=name, config=asked, tags=("evaluation",), workspace=folder.root, **arguments
        )
        if weights and weights.digest:
            run.artifact(weights.path, f"weights/{weights.path.name}", role="weights")
        return run

    def end(self, validator: Any) -> None:
        """Record the evaluations."""
        self._capture.release(validator)
        run, self.run = self.run, None
        if run is None:
            raise NotFound("the weights of this validation were not identified")
        try:
            self._record(run, validator)
        finally:
            if (not self._is_final and run is not current()) or self._opened_here:
                run.finish()

    def _record(self, run: Run, validator: Any) -> None:
        kind = "final validation" if self._is_final else "validation"
        measured = Measured(
            data=self._data,
            weights=self._weights.digest if self._weights else "",
            weights_name=self._weights.path.name if self._weights else "",
            source=f"ultralytics/{ultralytics_version()} {kind}",
        )
        results = evaluations(validator, self._capture, measured)
        for result in results:
            if result.problem:
                run.notice("evaluation", result.problem)
            self._keep(run, result)
        if self._look is not None and run.workspace is not None:
            seen = results[-1].evaluation
            shown = {"evaluator": seen.evaluator, **seen.metrics}
            complete_look(run.workspace, self._look, shown, self.options.revealed)

    def _keep(self, run: Run, result: Result) -> None:
        look = self._look.look if self._look else ""
        run.evaluation(result.evaluation, result.records, result.boxes, look=look)


def order_of(validator: Any) -> Order | None:
    """Return what the validator's loader draws, and begin a pass; None where it does not say.

    To be called before every pass: a trainer's validator has many over one loader.
    """
    order: Order | None = getattr(validator, _ORDER, None)
    if order is None or order.loader is not validator.dataloader:
        try:
            order = Order(validator.dataloader)
        except TypeError:
            return None
        setattr(validator, _ORDER, order)
    order.begin()
    return order


def _image_files(dataset: Any) -> list[str]:
    files = getattr(dataset, "im_files", None)
    if files is None:  # classification: (file, class, ...) each
        files = [sample[0] for sample in dataset.samples]
    return [str(file) for file in files]


def _charter_version(folder: Folder, project: str) -> int:
    bodies = (record.body for record in read_governance(folder).records)
    charters = (b for b in bodies if isinstance(b, CharterChanged) and b.project == project)
    return max((charter.version for charter in charters), default=0)


def _weights_of(validator: Any, model: Any) -> Weights | None:
    """Return the file that the evaluated model was loaded from.

    The model knows it best: after ``model.train()`` older releases still hold the name of the
    weights it started from in their arguments.
    """
    owners = (getattr(model, "model", None), model)
    named = [getattr(owner, "pt_path", None) for owner in owners]
    for candidate in (*named, validator.args.model):
        if not isinstance(candidate, str | Path) or not str(candidate):
            continue
        path = Path(candidate)
        if path.exists() and path.suffix not in (".yaml", ".yml"):
            return Weights.of(path.absolute())
    return None
