"""Run one command as if nobody stood in between: its terminal, its signals, its exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence

__all__ = ["run_child"]

# USR1 and USR2 are how batch systems announce that time is up.
_FORWARDED = {
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
_WATCHED = _FORWARDED | {signal.SIGCHLD}
_SI_KERNEL = 128  # the terminal sent it, to the whole foreground group: the child has it already


def run_child(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run `argv` with the environment `env` and wait for its end.

    Standard input, output and the terminal are inherited. Signals sent to this process go on to
    the child, once: what the terminal sends to both is not repeated.

    Returns
    -------
    int
        The exit code; 128 + n where signal n ended the child.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such command, or it cannot be executed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, waiting would not work
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        # Python ignores these two for itself; a command expects them as the shell leaves them.
        child = os.posix_spawnp(
            argv[0],
            list(argv),
            dict(env),
            setsigmask=before,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
        return _wait(child)
    finally:
        while signal.sigtimedwait(_WATCHED, 0):
            pass  # meant for a child that is gone
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(child: int) -> int:
    while True:
        # The timeout covers a SIGCHLD that another thread of this process received.
        got = signal.sigtimedwait(_WATCHED, 1.0)
        if got and got.si_signo != signal.SIGCHLD:
            if got.si_code != _SI_KERNEL:
                os.kill(child, got.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code
