"""Run: the object a training script holds."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from epochal.journal.folder import Folder
from epochal.records import (
    Alert,
    AnyBody,
    Artifact,
    Environment,
    Evaluated,
    Finished,
    ImageLogged,
    LessonWritten,
    Metrics,
    Number,
    Pinned,
    System,
)
from epochal.run.background import Background, stop_all
from epochal.run.mirror import ConfigMirror, SummaryMirror
from epochal.run.recorder import Recorder, strict
from epochal.run.values import metric_values, plain, portions, step_value

if TYPE_CHECKING:
    from epochal.evaluation import Boxes, Evaluation, ImageRecords
    from epochal.store.blobs import Blobs

__all__ = ["Run"]

_PATIENCE = 5.0
"""Seconds that `finish` waits for what runs beside the training."""
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1


class Run:
    """One training, recorded. Made by `epochal.init`.

    No method raises into the training, none waits for a network or another process; what a
    method returned from is in the journal and survives ``kill -9``. A method of a silent run
    (ranks other than 0, a disk that cannot be written) does nothing.

    Attributes
    ----------
    id
        32 hex digits.
    attempt
        1 for a new run, one more for each resume.
    folder
        Where the run's files lie; None for a silent run.
    """

    def __init__(
        self,
        *,
        id: str,
        name: str,
        project: str,
        attempt: int,
        workspace: Folder | None,
        folder: Path | None,
        owner: bool,
        rank: int = 0,
    ) -> None:
        self.id = id
        self.name = name
        self.project = project
        self.attempt = attempt
        self.workspace = workspace
        self.folder = folder
        self.rank = rank
        self.stop_requested = False
        """A person asked for the training to end at its next epoch."""
        self.finished = False
        self.ending = ""
        """The status that is being reported, once the run finishes."""
        self.on_finish: list[Callable[[], None]] = []
        """Called once when the run finishes, before its last record."""
        self.recorder = Recorder(
            folder,
            run=id,
            attempt=attempt,
            rank=rank,
            helper=not owner,
            on_helper=self._watch_helper,
        )
        self.config = ConfigMirror(self.recorder)
        self.summary = SummaryMirror(self.recorder)
        self._owner_pid = os.getpid() if owner else -1
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._next_step = 0
        self._background: list[Background] = []
        _runs.add(self)

    def __repr__(self) -> str:
        return f"<Run {self.project}/{self.name} {self.id[:8]} attempt {self.attempt}>"

    @property
    def silent(self) -> bool:
        """Whether this run records nothing."""
        return self.folder is None

    @property
    def is_owner(self) -> bool:
        """Whether this process opened the run, so that its end is the attempt's end."""
        return self._owner_pid == os.getpid()

    def record(self, body: AnyBody) -> bool:
        """Append one record; return whether it is in the journal."""
        return self.recorder.record(body)

    def sync(self) -> None:
        """Make what was recorded so far survive a power cut."""
        self.recorder.sync()

    def watch(self, background: list[Background]) -> None:
        """Start what runs beside the training."""
        self._background = background
        for one in background:
            one.start()

    def _watch_helper(self) -> None:
        from epochal.run.surroundings import background_of_helper

        self.watch(background_of_helper(self))

    def go_on_from(self, step: int) -> None:
        """Let the first `log` without a step have this one."""
        self._next_step = step

    # --- what a training says --------------------------------------------------------------------

    def log(
        self, values: Mapping[str, Any], step: int | None = None, epoch: int | None = None
    ) -> None:
        """Record numbers.

        Parameters
        ----------
        values
            Numbers by name; nested mappings are joined with ``/``. Anything that turns into a
            float is taken; what does not is reported once and left out.
        step
            Any integer; repeated and backward steps are kept. Omitted: the last one plus 1.
        epoch
            The epoch this belongs to, if the script knows.
        """
        if self.folder is None:
            return
        try:
            numbers: Mapping[str, Number] = values
            for key, value in values.items():
                # The common case costs nothing: finite Python floats go out as they are.
                if type(value) is not float or value - value != 0.0 or type(key) is not str:
                    numbers = metric_values(values, self._on_bad_value)
                    break
            if step is None:
                with self._lock:
                    step = self._next_step
                    self._next_step = step + 1 if step < _LAST else _LAST
            else:
                if type(step) is not int or not _FIRST <= step <= _LAST:
                    step = step_value(step, self._next_step, self._on_bad_value)
                self._next_step = step + 1 if step < _LAST else _LAST
            if epoch is not None and (type(epoch) is not int or not _FIRST <= epoch <= _LAST):
                epoch = step_value(epoch, None, self._on_bad_value)
            if numbers:
                self._log(numbers, step, epoch)
        except Exception as error:
            self.recorder.trouble("log", error)

    def _log(self, numbers: Mapping[str, Number], step: int, epoch: int | None) -> None:
        if self.finished:
            text = "log() after finish(): not recorded"
            self.recorder.warn_once("finished", "", text, record=False)
            return
        values = numbers if type(numbers) is dict else dict(numbers)
        self.recorder.record(Metrics(values=values, step=step, epoch=epoch), trusted=True)

    def _on_bad_value(self, code: str, key: str, text: str) -> None:
        if strict():
            raise ValueError(f"{key}: {text}")
        self.recorder.warn_once(code, key, f"{key}: {text}")

    def system(self, values: Mapping[str, float]) -> None:
        """Record numbers about the machine; they go by time, not by step."""
        try:
            numbers = metric_values(values, self._on_bad_value)
        except Exception as error:
            self.recorder.trouble("system", error)
            return
        if numbers:
            self.record(System(values=numbers))

    def environment(self, values: Mapping[str, Any]) -> None:
        """Record what the run runs on and from."""
        try:
            for part in portions(plain(values)):
                self.record(Environment(values=part))
        except Exception as error:
            self.recorder.trouble("environment", error)

    def pin(self, pinned: Pinned) -> None:
        """Record to which dataset version the run is bound, and what its check found."""
        self.record(pinned)

    def artifact(
        self,
        path: str | Path,
        key: str | None = None,
        role: str = "file",
        step: int | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Store a copy of a file.

        Returns
        -------
        str | None
            The BLAKE3 digest once the copy exists; None where it could not be stored (reported).
        """

        def store(blobs: Blobs) -> Artifact:
            from epochal.run.storing import store_file

            return store_file(blobs, path, key, role, step, meta)

        return self.record_stored("artifact", path, store)

    def image(
        self,
        key: str,
        image: Any,
        step: int | None = None,
        boxes: tuple[Mapping[str, Any], ...] | list[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> str | None:
        """Store an image with its boxes.

        Parameters
        ----------
        image
            The path of a PNG, JPEG, WebP or GIF; a PIL image; or an (H, W), (H, W, 3) or
            (H, W, 4) array of uint8 in RGB order.
        boxes
            Each ``{"box": [x0, y0, x1, y1], "class": str, "score": float, "truth": bool}`` in
            pixels of the image; score and truth may be left out.
        """

        def store(blobs: Blobs) -> ImageLogged:
            from epochal.run.storing import store_image

            last = max(self._next_step - 1, 0)
            at = last if step is None else step_value(step, last, self._on_bad_value)
            body = store_image(blobs, key, image, at, boxes, caption)
            if len(body.boxes) < len(boxes):
                text = f"{len(boxes)} boxes: the true and the surest {len(body.boxes)} are kept"
                self.recorder.warn_once("boxes", key, f"{key}: {text}")
            return body

        return self.record_stored("image", key, store)

    def evaluation(
        self,
        evaluation: Evaluation,
        records: ImageRecords | None = None,
        boxes: Boxes | None = None,
        look: str = "",
    ) -> str | None:
        """Record an evaluation with what it knows of each image, and its boxes.

        Returns
        -------
        str | None
            The digest of the evaluation document, which is its id.
        """

        def store(blobs: Blobs) -> Evaluated:
            from epochal.evaluation.storage import store_evaluation

            return store_evaluation(blobs, evaluation, records, boxes, look=look)

        return self.record_stored("evaluation on", getattr(evaluation, "split", "?"), store)

    def record_stored(
        self,
        kind: str,
        name: object,
        store: Callable[[Blobs], Artifact | ImageLogged | Evaluated],
    ) -> str | None:
        """Record what `store` puts into the blobs.

        Returns
        -------
        str | None
            The digest; None where it could not be stored or recorded (reported with `kind` and
            `name`).
        """
        if self.workspace is None:
            return None
        try:
            from epochal.store.blobs import Blobs

            body = store(Blobs(self.workspace.blobs))
        except Exception as error:
            self.recorder.trouble(f"{kind} {name}", error)
            return None
        return body.digest if self.record(body) else None

    def alert(
        self, title: str, text: str = "", level: Literal["info", "warning", "error"] = "info"
    ) -> None:
        """Record something people should see."""
        known: Any = level if level in ("info", "warning", "error") else "warning"
        self.record(Alert(title=str(title)[:250], text=str(text)[:10_000], level=known))

    def notice(self, code: str, text: str) -> None:
        """Record something that Epochal itself noticed."""
        self.recorder.notice(code, text)

    def note(self, text: str) -> None:
        """Write a paragraph for the run's lesson; the last one counts until a person edits it."""
        self.record(LessonWritten(text=str(text)[:15_000], rev=1))

    # --- the end ---------------------------------------------------------------------------------

    def finish(
        self, status: Literal["finished", "failed", "killed"] = "finished", reason: str = ""
    ) -> None:
        """End the attempt and make everything durable. Calling it again does nothing.

        Waits a few seconds at most for what runs beside the training.
        """
        with self._lock:
            if self.ending:
                return
            # A status that nobody knows is not taken for a success.
            self.ending = status if status in ("finished", "failed", "killed") else "failed"
        try:
            for task in (lambda: stop_all(self._background, _PATIENCE), *self.on_finish):
                try:
                    task()
                except Exception as error:
                    self.recorder.trouble("finish", error)
            if self.is_owner:
                end: Any = self.ending
                self.record(Finished(status=end, reason=str(reason)[:2000]))
            self.recorder.close()
        except Exception as error:
            self.recorder.trouble("finish", error)
        finally:
            self.finished = True
            self._ended.set()

    def wait_for_end(self, timeout: float) -> None:
        """Wait until a `finish` that has begun is done, at most `timeout` seconds."""
        if self.ending:
            self._ended.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or (kind is SystemExit and getattr(error, "code", None) in (None, 0)):
            self.finish()
        elif issubclass(kind, KeyboardInterrupt):
            self.finish("killed", "KeyboardInterrupt")
        else:
            self.finish("failed", f"{kind.__name__}: {error}")

    def __reduce__(self) -> tuple[Any, ...]:
        from epochal.run.opening import join

        root = None if self.workspace is None else str(self.workspace.root)
        return join, (root, self.id, self.name, self.project, self.attempt)

    def _after_fork(self) -> None:
        """Forget the parent's threads and locks: the child opens its own when it records."""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        if not self.finished:
            self.ending = ""
        self._background = []
        self.on_finish = []
        self.recorder.after_fork()


_runs: weakref.WeakSet[Run] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for run in list(_runs):
        run._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
