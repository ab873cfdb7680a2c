"""Run: the object a training script holds."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from epochal.errors import EpochalError
from epochal.journal.folder import Folder
from epochal.journal.writer import TooLong, Writer
from epochal.records import (
    Alert,
    AnyBody,
    Artifact,
    Config,
    Dropped,
    Environment,
    Evaluated,
    Finished,
    ImageLogged,
    LessonWritten,
    Metrics,
    Notice,
    Number,
    Pinned,
    Summary,
    System,
)
from epochal.run.background import Background
from epochal.run.mirror import Mirror, portions
from epochal.run.telling import say
from epochal.run.values import config_values, metric_values, plain, step_value

if TYPE_CHECKING:
    from epochal.evaluation import Boxes, Evaluation, MatchRecords

__all__ = ["Run", "strict"]


def strict() -> bool:
    """Tell whether errors of ours are raised (EPOCHAL_STRICT=1, for tests) or recorded."""
    return os.environ.get("EPOCHAL_STRICT", "") not in ("", "0")


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
        self.config = Mirror(self._config)
        self.summary = Mirror(self._summary)
        self.stop_requested = False
        """A person asked for the training to end at its next epoch."""
        self.finished = False
        self._owner_pid = os.getpid() if owner else -1
        self._lock = threading.Lock()
        self._next_step = 0
        self._dropped = 0
        self._drop_reason = ""
        self._warned: set[tuple[str, str]] = set()
        self._notes: list[str] = []
        self._writer: Writer | None = None
        self._written: set[str] = set()
        self._background: Background | None = None
        self.start_background: Callable[[Run], Background] | None = None
        self.on_finish: list[Callable[[], None]] = []
        """Called once when the run finishes, before its last record."""
        _runs.add(self)

    def __repr__(self) -> str:
        return f"<Run {self.project}/{self.name} {self.id[:8]} attempt {self.attempt}>"

    @property
    def silent(self) -> bool:
        """Whether this run records nothing."""
        return self.folder is None

    # --- the journal ---------------------------------------------------------------------------

    def _open_writer(self) -> Writer:
        """Return this process's writer; a forked child gets its own on its first record."""
        with self._lock:
            if self._writer is None:
                if self.folder is None:
                    raise RuntimeError("a silent run has no journal")
                self._writer = Writer(
                    self.folder / "journal", run=self.id, attempt=self.attempt, rank=self.rank
                )
                self._written.add(self._writer.id)
                if self.start_background is not None and self._background is None:
                    self._background = self.start_background(self)
                    self._background.start()
            return self._writer

    def record(self, body: AnyBody) -> bool:
        """Append one record; return whether it is in the journal."""
        if self.folder is None or self.finished:
            return False
        try:
            writer = self._writer or self._open_writer()
            if self._dropped:
                self._tell_dropped(writer)
            writer.append(body)
        except TooLong as error:
            if strict():
                raise
            self.notice("too-long", f"{error.message}; it was not recorded")
            return False
        except OSError as error:
            self._dropped += 1
            self._drop_reason = error.strerror or str(error)
            self._warn_once("disk", "", f"recording is paused: {self._drop_reason}", record=False)
            return False
        except Exception as error:
            self._trouble("record", error)
            return False
        return True

    def _tell_dropped(self, writer: Writer) -> None:
        with self._lock:
            count, self._dropped = self._dropped, 0
        if not count:
            return
        try:
            writer.append(Dropped(count=count, reason=self._drop_reason))
        except OSError:
            self._dropped += count
            raise
        self._warned.discard(("disk", ""))

    def _trouble(self, where: str, error: BaseException) -> None:
        """Deal with an error of ours or of the input: never the training's."""
        if strict():
            raise error
        self._warn_once("error", where, f"{where}: {type(error).__name__}: {error}")

    def _warn_once(self, code: str, key: str, text: str, *, record: bool = True) -> None:
        if (code, key) in self._warned:
            return
        self._warned.add((code, key))
        say(text)
        if record:
            self.record(Notice(code=code, text=text[:2000]))

    def sync(self) -> None:
        """Make what was recorded so far survive a power cut."""
        writer = self._writer
        if writer is None:
            return
        try:
            writer.sync()
        except OSError as error:
            # After a failed sync the file cannot be trusted again: go on in a new one.
            with self._lock:
                if self._writer is writer:
                    self._writer = None
            writer.abandon()
            self.notice(
                "sync-failed",
                f"the disk failed to sync ({error.strerror}); a second of records is at risk",
            )

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
                    self._next_step = step + 1
            else:
                if type(step) is not int or not -(1 << 63) <= step < 1 << 63:
                    step = step_value(step, self._next_step, self._on_bad_value)
                self._next_step = step + 1
            if epoch is not None and type(epoch) is not int:
                epoch = step_value(epoch, 0, self._on_bad_value)
            if numbers:
                self._log(numbers, step, epoch)
        except Exception as error:
            self._trouble("log", error)

    def _log(self, numbers: Mapping[str, Number], step: int, epoch: int | None) -> None:
        if self.finished:
            self._warn_once("finished", "", "log() after finish(): not recorded", record=False)
            return
        if len(numbers) <= 200:
            plain_dict = numbers if type(numbers) is dict else dict(numbers)
            self.record(Metrics(values=plain_dict, step=step, epoch=epoch))
            return
        # Very many keys may not fit into one line: several lines of the same step say the same.
        items = list(numbers.items())
        for at in range(0, len(items), 200):
            self.record(Metrics(values=dict(items[at : at + 200]), step=step, epoch=epoch))

    def _on_bad_value(self, code: str, key: str, text: str) -> None:
        if strict():
            raise ValueError(f"{key}: {text}")
        self._warn_once(code, key, f"{key}: {text}")

    def _config(
        self, values: Any, more: Mapping[str, Any], role: Literal["requested", "effective"]
    ) -> None:
        try:
            from epochal.capture.redaction import redact

            found = {**config_values(dict(values) if values == () else values), **plain(more)}
            clean, _ = redact(found)
            if role == "requested":
                self.config._values.update(clean)
            for part in portions(clean):
                self.record(Config(values=part, role=role))
        except Exception as error:
            self._trouble("config", error)

    def _summary(self, values: Any, more: Mapping[str, Any], _role: str) -> None:
        try:
            found = {**config_values(dict(values) if values == () else values), **plain(more)}
            self.summary._values.update(found)
            for part in portions(found):
                self.record(Summary(values=part))
        except Exception as error:
            self._trouble("summary", error)

    def system(self, values: Mapping[str, float]) -> None:
        """Record numbers about the machine; they go by time, not by step."""
        numbers = metric_values(values, self._on_bad_value)
        if numbers:
            self.record(System(values=numbers))

    def environment(self, values: Mapping[str, Any]) -> None:
        """Record what the run runs on and from."""
        for part in portions(plain(values)):
            self.record(Environment(values=part))

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
        if self.workspace is None:
            return None
        try:
            from epochal.store.blobs import Blobs, artifact_key

            source = Path(path)
            name = artifact_key(key or source.name)
            digest = Blobs(self.workspace.blobs).put_file(source)
            size = Blobs(self.workspace.blobs).path(digest).stat().st_size
            body = Artifact(
                key=name, digest=digest, size=size, role=role, step=step, meta=plain(meta or {})
            )
        except (OSError, EpochalError) as error:
            self._trouble(f"artifact {path}", error)
            return None
        return digest if self.record(body) else None

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
        if self.workspace is None:
            return None
        try:
            from epochal.run.media import image_bytes
            from epochal.store.blobs import Blobs

            digest = Blobs(self.workspace.blobs).put(image_bytes(image))
            at = self._next_step - 1 if step is None else step
            body = ImageLogged(
                key=key,
                digest=digest,
                step=max(at, 0),
                boxes=tuple(plain(box) for box in boxes),
                caption=caption,
            )
        except Exception as error:
            self._trouble(f"image {key}", error)
            return None
        return digest if self.record(body) else None

    def evaluation(
        self,
        evaluation: Evaluation,
        matches: MatchRecords | None = None,
        boxes: Boxes | None = None,
        look: str = "",
    ) -> str | None:
        """Record an evaluation with its match records and boxes.

        Returns
        -------
        str | None
            The digest of the evaluation document, which is its id.
        """
        if self.workspace is None:
            return None
        try:
            from epochal.evaluation.storage import store_evaluation
            from epochal.store.blobs import Blobs

            body: Evaluated = store_evaluation(
                Blobs(self.workspace.blobs), evaluation, matches, boxes, look=look
            )
        except Exception as error:
            self._trouble(f"evaluation on {evaluation.split}", error)
            return None
        return body.digest if self.record(body) else None

    def alert(
        self, title: str, text: str = "", level: Literal["info", "warning", "error"] = "info"
    ) -> None:
        """Record something people should see."""
        self.record(Alert(title=title[:250], text=text[:20_000], level=level))

    def notice(self, code: str, text: str) -> None:
        """Record something that Epochal itself noticed."""
        self.record(Notice(code=code, text=text[:2000]))

    def note(self, text: str) -> None:
        """Write a paragraph for the run's lesson; the last one counts until a person edits it."""
        self.record(LessonWritten(text=text[:50_000], rev=1))

    # --- the end ---------------------------------------------------------------------------------

    def finish(
        self, status: Literal["finished", "failed", "killed"] = "finished", reason: str = ""
    ) -> None:
        """End the attempt and make everything durable. Calling it again does nothing."""
        if self.finished or self.folder is None:
            self.finished = True
            return
        try:
            if self._background is not None:
                self._background.stop()
            for task in self.on_finish:
                try:
                    task()
                except Exception as error:
                    self._trouble("finish", error)
            if self._owner_pid == os.getpid():
                self.record(Finished(status=status, reason=reason[:2000]))
            if self._dropped:
                say(f"{self._dropped} records could not be written: {self._drop_reason}")
            if self._writer is not None:
                self._writer.close()
        except OSError as error:
            say(f"the journal could not be closed: {error}")
        finally:
            self.finished = True

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
        """Forget the parent's writer, thread and lock: the child opens its own when it records."""
        self._lock = threading.Lock()
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        self._background = None
        self.on_finish = []


_runs: weakref.WeakSet[Run] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for run in list(_runs):
        run._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
