"""Run a program with a deadline and a cap on its output."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Output", "run"]

_ERRORS_KEPT = 8 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Output:
    """What a program printed and how it ended."""

    code: int | None
    """Exit status; None when it was ended because of the deadline or the cap."""
    out: bytes
    error: str
    timed_out: bool = False
    truncated: bool = False
    """`out` reached the cap and the program was ended."""

    @property
    def text(self) -> str:
        """The output as text; bytes that are not UTF-8 become U+FFFD."""
        return self.out.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """Whether it ended by itself and successfully."""
        return self.code == 0


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    deadline: float,
    limit: int,
) -> Output:
    """Run `arguments` in `folder` and return its output.

    Parameters
    ----------
    deadline
        On the clock of `time.monotonic`; the program and its children are killed then.
    limit
        Bytes of output to keep; at more than that the program is killed, so that neither memory
        nor time is spent on what would be thrown away.

    Raises
    ------
    OSError
        The program does not exist or could not be started.
    """
    with subprocess.Popen(
        arguments,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,  # so that filters and helpers that it starts end with it
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise OSError("the program was started without pipes")
        out, error = bytearray(), bytearray()
        timed_out = truncated = False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, out)
            selector.register(process.stderr, selectors.EVENT_READ, error)
            while selector.get_map() and not truncated:
                ready = selector.select(max(deadline - time.monotonic(), 0))
                if not ready and time.monotonic() >= deadline:
                    timed_out = True
                    break
                for key, _ in ready:
                    if not (chunk := os.read(key.fd, _CHUNK)):
                        selector.unregister(key.fileobj)
                    elif key.data is out:
                        out += chunk
                        truncated = len(out) > limit
                    else:
                        error += chunk[: _ERRORS_KEPT - len(error)]
        if not (timed_out or truncated):
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:  # it closed its output and lives on
                timed_out = True
        if timed_out or truncated:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
    return Output(
        code=None if timed_out or truncated else process.returncode,
        out=bytes(out[:limit]),
        error=error.decode("utf-8", "replace").strip(),
        timed_out=timed_out,
        truncated=truncated,
    )
