"""Console capture: what the training prints, line by line, while the user sees it unchanged.

A progress bar rewrites its line ten times a second. Kept as printed, a night's console is
hundreds of megabytes of bars; here a carriage return starts the line over, so that each line is
kept as it stood when it was left. Colours and other escape sequences are not kept.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from epochal.capture.redaction import StreamRedactor

__all__ = ["ConsoleCapture", "LineAssembler"]

_LINE = 8_192
"""Characters kept of a line."""
_BATCH = 30_000
"""Bytes in one emitted text: escaped in JSON at most twice as many, which still fits a record."""
_HELD = 4 << 20
"""Characters held between two flushes; what is beyond is counted, not kept."""

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LineAssembler:
    """Turns the pieces that a program writes into finished lines, however they were cut."""

    def __init__(self) -> None:
        self._open = ""

    def feed(self, text: str) -> list[str]:
        """Take a piece; return the lines that it finished."""
        *whole, self._open = (self._open + text).split("\n")
        if len(self._open) > 2 * _LINE:
            # Only what stands behind the last carriage return can still be seen.
            _, cr, shown = self._open.rpartition("\r")
            if cr and shown:
                self._open = shown
            if len(self._open) > 16 * _LINE:
                self._open = self._open[: 16 * _LINE]
        return [_shown(line) for line in whole]

    def finish(self) -> list[str]:
        """Return the line that was never ended, if it shows anything."""
        rest, self._open = _shown(self._open), ""
        return [rest] if rest else []


def _shown(line: str) -> str:
    # A bar that ends in "\r" leaves its last state standing.
    states = [state for state in line.split("\r") if _ESCAPE.sub("", state).strip()]
    text = _CONTROL.sub("", _ESCAPE.sub("", states[-1] if states else "")).rstrip()
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()  # half a surrogate is no text
    if len(text) > _LINE:
        return f"{text[:_LINE]} ... [{len(text) - _LINE} more characters]"
    return text


class _Tee:
    """A stream that writes through and lets the capture listen; all else is the original's."""

    def __init__(self, original: Any, name: str, capture: ConsoleCapture) -> None:
        self._original = original
        self._name = name
        self._capture = capture

    def write(self, text: str) -> int:
        written = self._original.write(text)
        try:
            self._capture._heard(self._name, text)
        except Exception:
            pass  # nothing of ours may stop a program from printing
        return int(written) if written is not None else len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class ConsoleCapture:
    """Listens to ``sys.stdout`` and ``sys.stderr``.

    Parameters
    ----------
    emit
        Called with (stream, text) from `flush`: several lines joined by newlines, redacted, at
        most 30,000 bytes.
    """

    def __init__(self, emit: Callable[[str, str], None]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._lines: list[tuple[str, str]] = []
        self._held = 0
        self._lost = 0
        self._assemblers = {"stdout": LineAssembler(), "stderr": LineAssembler()}
        self._redactors = {"stdout": StreamRedactor(), "stderr": StreamRedactor()}
        self._tees: dict[str, _Tee] = {}
        self._emitting = threading.local()
        self._pid = os.getpid()

    def install(self) -> None:
        """Put the listeners in front of both streams."""
        for name in ("stdout", "stderr"):
            original = getattr(sys, name)
            if original is not None and name not in self._tees:
                self._tees[name] = _Tee(original, name, self)
                setattr(sys, name, self._tees[name])
                _redirect_logging(original, self._tees[name])

    def uninstall(self) -> None:
        """Flush, and take the listeners away; one that somebody wrapped stays, deaf."""
        for name, tee in self._tees.items():
            _redirect_logging(tee, tee._original)
            if getattr(sys, name) is tee:
                setattr(sys, name, tee._original)
        self._tees.clear()
        with self._lock:
            for name, assembler in self._assemblers.items():
                self._keep(name, assembler.finish())
        self.flush()

    def _heard(self, name: str, text: str) -> None:
        # Not in a forked child (its lines belong to nobody's flush), nor what emitting prints.
        if name not in self._tees or os.getpid() != self._pid:
            return
        if getattr(self._emitting, "on", False) or not isinstance(text, str):
            return
        with self._lock:
            self._keep(name, self._assemblers[name].feed(text))

    def _keep(self, name: str, lines: list[str]) -> None:
        for line in lines:
            if self._held + len(line) > _HELD:
                self._lost += 1
            else:
                self._held += len(line) + 1
                self._lines.append((name, line))

    def flush(self) -> None:
        """Emit what was heard since the last call."""
        with self._lock:
            lines, self._lines = self._lines, []
            lost, self._lost, self._held = self._lost, 0, 0
        if lost:
            lines.append(("stderr", f"[{lost} lines were printed faster than they are kept]"))
        self._emitting.on = True
        try:
            for stream, text in _batches(lines):
                self._emit(stream, self._redactors[stream](text))
        finally:
            self._emitting.on = False


def _redirect_logging(before: Any, after: Any) -> None:
    """Let the log handlers that write to one stream write to the other.

    A handler keeps the stream it was made with, and most are made before the run is opened.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    known = list(logging.Logger.manager.loggerDict.values())
    for logger in (logging.getLogger(), *known):
        for handler in getattr(logger, "handlers", ()):  # a placeholder in the tree has none
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(after)


def _batches(lines: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    stream, size = "", 0
    held: list[str] = []
    for name, line in lines:
        length = len(line.encode()) + 1
        if held and (name != stream or size + length > _BATCH):
            yield stream, "\n".join(held)
            held, size = [], 0
        stream = name
        held.append(line)
        size += length
    if held:
        yield stream, "\n".join(held)
