"""A measured process as its measurer sees it: start, ask for one call, stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, NoReturn

from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MeasuredProcess"]

_FIRST_ANSWER, _ANSWER, _END = 600.0, 120.0, 5.0  # seconds; loading a model may compile it


class MeasuredProcess:
    """One launch of a program that speaks the protocol of `epochal.latency.child`.

    Raises
    ------
    InvalidInput
        The program cannot be started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        remedy: str = "",
        first_answer: float = _FIRST_ANSWER,
        answer: float = _ANSWER,
    ) -> None:
        self._name, self._remedy = name, remedy
        self._first, self._later = first_answer, answer
        self._answered = False
        self.info: dict[str, Any] = {}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        except OSError as error:
            self._said.close()
            raise InvalidInput(
                f"{name}: {command[0]} cannot be started ({error.strerror})",
                "Name the command as you would type it",
            ) from error
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> MeasuredProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def time(self) -> tuple[float, dict[str, float]]:
        """Let it infer once; return milliseconds, and those of each stage where it tells.

        Raises
        ------
        InvalidInput
            It ended, gave no answer in time, or one that is none.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except OSError:
            self._fail("ended")
        limit = self._later if self._answered else self._first
        while True:
            line = self._line(limit)
            word, _, rest = line.partition(" ")
            if word == "info":
                self.info = self._json(rest)
            elif word == "ms":
                self._answered = True
                number, _, stages = rest.partition(" ")
                return self._milliseconds(number), self._json(stages) if stages else {}

    def close(self) -> None:
        """End the process: by the end of its input, else by force."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass  # it has gone already
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._kill()
        self._reader.join(_END)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except OSError:
            pass  # it has gone meanwhile
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)

    def _line(self, limit: float) -> str:
        try:
            line = self._lines.get(timeout=limit)
        except Empty:
            self._fail(f"gave no answer within {limit:.0f} s")
        if line is None:
            self._fail("ended")
        return line

    def _milliseconds(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e9:
            self._fail(f"answered {text[:40]!r}, expected milliseconds")
        return value

    def _json(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._fail(f"described itself with {text[:80]!r}, expected a JSON object")
        return dict(found)

    def _fail(self, what: str) -> NoReturn:
        """Raise, with the last that the process said."""
        self._kill()
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        last = lines[-1].strip()[:300] if lines else ""
        code = self._process.returncode
        how = f" with exit code {code}" if what == "ended" else ""
        raise InvalidInput(
            f"{self._name}: the measured process {what}{how}" + (f": {last}" if last else ""),
            self._remedy,
        )
