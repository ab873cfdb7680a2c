"""However the process ends: the run that is open then says what is true, and no more."""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Literal

from epochal.run.run import Run

__all__ = ["watch_exit"]

_run: Run | None = None
_ending: tuple[Literal["finished", "failed", "killed"], str] = ("finished", "")
_watching = False
_child = 0
"""The child of `multiprocessing` that is watched: this process, or its parent after a fork."""
_GRACE = 10.0
"""Seconds that a process which ends waits for a `finish` that a signal has begun."""


def watch_exit(run: Run) -> None:
    """Arrange that however this process ends, the run does not say more than the truth.

    Hooks are chained, never replaced; a signal whose handler belongs to the script is left
    alone. What no hook sees (``kill -9``, a power cut) the reader derives.
    """
    global _run, _watching
    _run = run
    _watch_multiprocessing()
    if _watching:
        return
    _watching = True
    atexit.register(_finish_at_exit)
    sys.excepthook = _chain_excepthook(sys.excepthook)
    sys.exit = _chain_exit(sys.exit)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _on_signal)


def _watch_multiprocessing() -> None:
    """Children of `multiprocessing` end without `atexit` and without `sys.excepthook`."""
    global _child
    process = sys.modules.get("multiprocessing.process")
    if _child == os.getpid() or process is None or process.parent_process() is None:
        return
    _child = os.getpid()
    sys.modules["multiprocessing.util"].Finalize(None, _finish_child, exitpriority=100)


def _finish_child() -> None:
    kind, error, _ = sys.exc_info()  # what is ending the child, if anything is
    if (run := _open_run()) and run.is_owner:
        run.__exit__(kind, error, None)


def _open_run() -> Run | None:
    return _run if _run is not None and not _run.finished else None


def _finish_at_exit() -> None:
    if run := _open_run():
        run.finish(*_ending)
        run.wait_for_end(_GRACE)
        if _ending[1] == "KeyboardInterrupt":
            _remember_interrupt()


def _remember_interrupt() -> None:
    """Keep the exit status of Ctrl-C.

    CPython ends by SIGINT if the last text that it executed was interrupted; the import of a
    module that executes text (dataclasses, named tuples) makes it forget that.
    """
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        pass


def _chain_excepthook(
    before: Callable[[type[BaseException], BaseException, TracebackType | None], Any],
) -> Callable[[type[BaseException], BaseException, TracebackType | None], Any]:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        global _ending
        if issubclass(kind, KeyboardInterrupt):
            _ending = ("killed", "KeyboardInterrupt")
        else:
            _ending = ("failed", f"{kind.__name__}: {error}")
        return before(kind, error, trace)

    return hook


def _chain_exit(before: Callable[[Any], Any]) -> Callable[..., Any]:
    def exit(status: Any = None, /) -> Any:
        global _ending
        if status not in (None, 0) and threading.current_thread() is threading.main_thread():
            _ending = ("failed", f"sys.exit({status!r})"[:500])
        return before(status)

    return exit


def _on_signal(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    run = _open_run()
    if run is not None and run.is_owner:
        try:
            # Not here: the interrupted main thread may be inside log() and hold its lock, or
            # inside Thread.start() and hold that one's.
            _thread.start_new_thread(_finish_and_die, (run, number))
            return
        except RuntimeError:
            pass  # no thread can be started any more; readers will see that the process is gone
    os.kill(os.getpid(), number)


def _finish_and_die(run: Run, number: int) -> None:
    try:
        run.finish("killed", signal.Signals(number).name)
    finally:
        os.kill(os.getpid(), number)
