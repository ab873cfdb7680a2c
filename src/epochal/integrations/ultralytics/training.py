"""One training by a YOLO trainer, as one run."""

from __future__ import annotations

import importlib
import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from epochal.errors import Refused
from epochal.integrations.intent import Intent
from epochal.integrations.launches import numbered
from epochal.integrations.ultralytics.options import Options
from epochal.integrations.ultralytics.pins import data_of, is_settled, pin
from epochal.integrations.ultralytics.plots import wait_for_plots
from epochal.integrations.ultralytics.settings import effective, requested
from epochal.interop.ultralytics.layout import given_name, given_project, output_files
from epochal.interop.ultralytics.marker import Marker, read_marker, write_marker
from epochal.journal.folder import Folder
from epochal.run.opening import current, default_project, init
from epochal.run.run import Run

__all__ = ["Training"]

_CLASSES_SHOWN = 300
"""Per-class AP of more classes than this is kept in evaluations, not in every epoch's metrics."""

_hosts: weakref.WeakSet[Run] = weakref.WeakSet()
"""Runs that a training was recorded in: a second one in the same process is another run."""

_unfinished: list[Training] = []
"""Trainings whose teardown has not come, at most one: a constructor that raises gets none."""


class Training:
    """What is known between the first and the last callback of one trainer.

    The run is opened by `begin`, so that a dataset that cannot be found leaves a failed run; a
    resumed training's by `prepared`, so that a checkpoint with nothing left to train does not
    reopen a finished run. Data that the charter refuses leaves none: where the trainer has to look
    it up by its name, `prepared` asks and opens the run.

    Attributes
    ----------
    run
        None until it is opened, and where it could not be.
    """

    def __init__(self, trainer: Any, options: Options) -> None:
        self.options = options
        self.run: Run | None = None
        self.validated = False
        """A validation was completed since the last epoch was logged."""
        self.best = Path(trainer.best)
        self._asked = requested(trainer)
        self._resumes = bool(getattr(trainer, "resume", trainer.args.resume))
        self._started = time.time()
        self._is_ours = True
        self._is_complete = False
        self._batch = 0
        self._seen_batch_size: Any = None

    # --- the beginning -------------------------------------------------------------------------

    def begin(self, trainer: Any) -> None:
        """Handle on_pretrain_routine_start: arguments are merged, nothing is loaded."""
        for earlier in _unfinished[:]:
            earlier.give_up()
        _unfinished.append(self)
        if not self._resumes and self._may_begin(trainer, getattr(trainer.args, "data", "")):
            self._open(trainer)

    def _may_begin(self, trainer: Any, data: Any) -> bool:
        """Whether a training on `data` is allowed; False: the trainer has to find the data first.

        Raises
        ------
        Refused
            By the charter's policy ``require``: then there is to be no run.
        """
        opened = current()
        try:
            if opened is not None and opened not in _hosts:
                folder, project = opened.workspace, opened.project
            else:
                folder = self._workspace()
                project = self._arguments(trainer).get("project") or default_project(folder)
            task = str(trainer.args.task)
            return folder is None or is_settled(folder, project, str(data), self._dataset(), task)
        except Refused:
            raise
        except Exception:
            return True  # opening or pinning meets it again, and says so

    def prepared(self, trainer: Any) -> None:
        """Handle on_pretrain_routine_end: model, data and optimizer stand."""
        data = data_of(trainer.data, str(trainer.args.task))
        if self.run is None:
            if data:
                self._may_begin(trainer, data)
            self._open(trainer)
        run = self.run
        assert run is not None  # _open set it, or raised
        values = effective(trainer)
        if self._resumes:
            # Resuming rewrites both to the checkpoint; the first attempt said what was trained.
            values.pop("model", None)
            values.pop("resume", None)
        run.config.update(values, role="effective")
        self._seen_batch_size = trainer.batch_size
        run.summary.update(_model_size(trainer))
        folder = Path(trainer.save_dir)
        suffix = f"-{run.attempt}" if run.attempt > 1 else ""
        run.artifact(folder / "args.yaml", f"args{suffix}.yaml", role="config")
        if data:
            if Path(data).is_file():
                run.artifact(data, f"data{suffix}.yaml", role="config")
            pin(run, Path(data), self._dataset())

    def _open(self, trainer: Any) -> None:
        folder = Path(trainer.save_dir)
        opened = current()
        if opened is not None and opened not in _hosts:
            # The script opened a run for this training, and will finish it.
            self.run, self._is_ours = opened, False
            opened.config.update(self._asked)
        else:
            arguments = self._arguments(trainer)
            earlier = self._earlier_run(trainer)
            if earlier is not None:
                kept = {k: v for k, v in arguments.items() if k in ("workspace", "capture")}
                self.run = init(resume=earlier, **kept)
            else:
                self.run = init(config=self._asked, **arguments)
        _hosts.add(self.run)
        if self.run.workspace is not None:
            write_marker(folder, Marker(run=self.run.id, workspace=str(self.run.workspace.root)))

    def _arguments(self, trainer: Any) -> dict[str, Any]:
        name, project = (str(getattr(trainer.args, k, None) or "") for k in ("name", "project"))
        said = {"project": given_project(project), "name": given_name(name, project)}
        arguments = {key: value for key, value in said.items() if value}
        arguments |= self.options.init
        arguments |= Intent.from_environment().arguments()
        launch = os.environ.get("EPOCHAL_LAUNCH", "")
        if launch and "name" in arguments:
            arguments["name"] = numbered(self._workspace(), arguments["name"], launch)
        return arguments

    def _workspace(self) -> Folder:
        where = self.options.init.get("workspace")
        return Folder.for_recording(Path(where) if where else None)

    def _dataset(self) -> str:
        return Intent.from_environment().dataset or str(self.options.init.get("dataset") or "")

    def _earlier_run(self, trainer: Any) -> str | None:
        """Return the run that a resumed training goes on with, if it is in this workspace."""
        if not self._resumes:
            return None
        checkpoint = Path(str(trainer.args.resume))
        # 8.3.193 resumed into a new folder; the checkpoint's own is the first one's.
        for folder in (Path(trainer.save_dir), checkpoint.parent.parent):
            marker = read_marker(folder)
            if marker is None:
                continue
            if self._workspace().run_folder(marker.run) is not None:
                return marker.run
        return None

    # --- epochs --------------------------------------------------------------------------------

    def batch(self, trainer: Any) -> None:
        """Handle on_train_batch_end: the running losses, where they were asked for."""
        every = self.options.every_n_batches
        self._batch += 1
        if every and self._batch % every == 0 and self.run is not None:
            losses = {key.replace("train/", "batch/", 1): v for key, v in _train_losses(trainer)}
            self.run.log(losses, step=self._batch, epoch=trainer.epoch + 1)

    def epoch(self, trainer: Any) -> None:
        """Handle on_fit_epoch_end, except the last one, which is about the best weights."""
        run = self.run
        if run is None:
            return
        number = trainer.epoch + 1
        values = dict(_train_losses(trainer))
        values |= getattr(trainer, "lr", None) or {}
        if trainer.epoch_time is not None:
            values["epoch_time"] = trainer.epoch_time
        if self.validated:
            # The trainer's copy is rounded to five decimals, the validator's is not.
            values |= trainer.metrics | _unrounded(trainer.validator, trainer.metrics)
            if trainer.fitness is not None:
                values["fitness"] = trainer.fitness
        run.log(values, step=number, epoch=number)
        if self.validated and (per_class := dict(_class_ap(trainer.validator))):
            run.log(per_class, step=number, epoch=number)
        self.validated = False
        if trainer.batch_size != self._seen_batch_size:  # halved after running out of memory
            self._seen_batch_size = trainer.batch_size
            run.config.update({"batch": trainer.batch_size}, role="effective")
        if run.stop_requested:
            trainer.stop = True

    # --- the end -------------------------------------------------------------------------------

    def completed(self, trainer: Any) -> None:
        """Handle on_train_end, which a failed training does not get."""
        self._is_complete = True
        if self.run is not None:
            stopper = getattr(trainer, "stopper", None)
            found = {
                "epochs_done": trainer.epoch + 1,
                "best_epoch": getattr(stopper, "best_epoch", None),
                "best_fitness": trainer.best_fitness,
                "stopped_early": trainer.epoch + 1 < trainer.epochs,
            }
            self.run.summary.update({k: v for k, v in found.items() if v is not None})

    def end(self, trainer: Any, error: BaseException | None) -> None:
        """Handle teardown: keep the files, say how it went.

        Only now, because images are drawn by threads, and the optimizer's state is stripped from
        the weights at the very end, which changes their digests.
        """
        run = self._let_go()
        if run is None:
            return
        wait_for_plots()
        since = 0.0 if self._resumes else self._started - 2.0  # file times are coarser
        for key, path, role in output_files(Path(trainer.save_dir), since):
            digest = run.artifact(path, key, role=role)
            if key == "weights/best.pt" and digest:
                run.summary.update({"model_size": path.stat().st_size})
        if self._is_ours:
            run.finish(*_outcome(self._is_complete, error))
        elif not self._is_complete:
            run.notice("training", _outcome(False, error)[1])

    def give_up(self) -> None:
        """End the run of a training that never got to its teardown."""
        run = self._let_go()
        if run is not None and self._is_ours:
            run.finish("failed", "the training ended while it was being prepared")

    def _let_go(self) -> Run | None:
        if self in _unfinished:
            _unfinished.remove(self)
        run, self.run = self.run, None
        return run


def _outcome(
    complete: bool, error: BaseException | None
) -> tuple[Literal["finished", "failed", "killed"], str]:
    if complete and error is None:
        return "finished", ""
    if isinstance(error, KeyboardInterrupt):
        return "killed", "KeyboardInterrupt"
    if error is not None:
        return "failed", f"{type(error).__name__}: {error}"
    return "failed", "the training ended before its last epoch was evaluated"


def _train_losses(trainer: Any) -> Iterator[tuple[str, float]]:
    """Yield the epoch's mean losses under the names of results.csv, unrounded."""
    losses = trainer.tloss
    if losses is None:
        return
    if not isinstance(losses, dict):  # a tensor, before 8.4
        names = trainer.loss_names
        losses = dict(zip(names, losses if len(names) > 1 else [losses], strict=False))
    for name, value in losses.items():
        yield f"train/{name}", float(value)


def _unrounded(validator: Any, rounded: dict[str, Any]) -> dict[str, float]:
    results = getattr(validator.metrics, "results_dict", None) or {}
    return {key: float(value) for key, value in results.items() if key in rounded}


def _class_ap(validator: Any) -> Iterator[tuple[str, float]]:
    """Yield AP50-95 of every class that has labels in the split."""
    box = getattr(validator.metrics, "box", None)
    found = getattr(box, "all_ap", ())
    if box is not None and 0 < len(found) <= _CLASSES_SHOWN:
        for index, ap in zip(box.ap_class_index, found, strict=True):
            yield f"class/mAP50-95/{validator.names[int(index)]}", float(ap.mean())


def _model_size(trainer: Any) -> dict[str, float]:
    """Return the number of parameters, and GFLOPs at the image size where they can be had."""
    model = getattr(trainer.model, "module", trainer.model)  # unwrapped from DDP
    size: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    torch_utils = importlib.import_module("ultralytics.utils.torch_utils")
    gflops = torch_utils.get_flops(model, trainer.args.imgsz)
    if gflops:  # 0.0 where it could not be counted
        size["gflops"] = round(float(gflops), 3)
    return size
