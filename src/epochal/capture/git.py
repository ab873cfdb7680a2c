"""The state of the user's code: commit, branch, and what differs from the commit.

The repository is the one around the training script, else around the working directory; never one
that merely contains an installed package (``site-packages`` inside somebody's checkout). Nothing
is written: no lock is taken, no index refreshed, no object fetched, no external diff program run.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epochal.capture import bounded_process
from epochal.capture.redaction import redact

__all__ = ["DIFF_LIMIT", "GitState", "git_state", "user_folders"]

DIFF_LIMIT = 2_000_000
"""Bytes of diff that are kept."""

_LIST_LIMIT = 4_000_000
_UNTRACKED_NAMES = 1_000
_UNTRACKED_SIZE = 256 * 1024
_REDIRECTIONS = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_LITERAL_PATHSPECS",
)
_USER_INFO = re.compile(r"(?<=://)[^/]*@")


@dataclass(frozen=True)
class GitState:
    """What was found. Empty texts and None stand for what is unknown; `notes` say why."""

    root: str = ""
    """Top folder of the repository's working tree; empty: no repository."""
    superproject: str = ""
    """Top folder of the repository of which `root` is a submodule."""
    commit: str = ""
    """Full hash; empty before the first commit."""
    branch: str = ""
    """Empty on a detached HEAD."""
    describe: str = ""
    """``git describe --tags --always --dirty``."""
    remote: str = ""
    """URL of ``origin``, else of the first remote, without user-info."""
    dirty: bool | None = None
    """Tracked files differ from the commit (staged or not, submodules included)."""
    diff: str = ""
    """`dirty` as a patch against the commit, redacted."""
    diff_truncated: bool = False
    """`diff` ends before its end."""
    untracked: tuple[str, ...] = ()
    """Small untracked text files that are not ignored, and folders of which nothing is tracked."""
    redacted: int = 0
    """Secrets taken out of `diff` and `remote`."""
    notes: tuple[str, ...] = field(default=())

    def values(self) -> dict[str, Any]:
        """Return all but the diff and the notes for the environment record; unknowns left out."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in ("root", "superproject", "commit", "branch", "describe", "remote", "dirty",
                         "diff_truncated", "untracked")
            if (value := getattr(self, name)) not in ("", None, ())
        }  # fmt: skip


def user_folders() -> list[Path]:
    """Return where the user's code may lie: the script's folder, then the working directory.

    Folders of installed packages and commands (``.venv/bin/yolo``) are not among them.
    """
    found: list[Path] = []
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None) or (sys.argv[0] if sys.argv else "")
    try:
        if script and Path(script).is_file():
            found.append(Path(script).resolve().parent)
        found.append(Path.cwd())
    except OSError:
        pass  # the working directory was deleted: nothing relative to it can be found either
    return [folder for folder in dict.fromkeys(found) if not _is_installed(folder)]


def _is_installed(folder: Path) -> bool:
    if not {"site-packages", "dist-packages"}.isdisjoint(folder.parts):
        return True
    paths = sysconfig.get_paths()
    for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts"):
        installed = Path(paths[name])
        for place in (installed, installed.resolve()):
            if folder == place or place in folder.parents:
                return True
    return False


def git_state(
    folder: Path | None = None, *, timeout: float = 10.0, diff_limit: int = DIFF_LIMIT
) -> GitState:
    """Return the state of the repository around `folder`. Never raises.

    Parameters
    ----------
    folder
        Where to look; None: the first of `user_folders` that lies in a repository.
    timeout
        Seconds for everything together. What was found until then is returned; the commit and
        the branch come first, the diff last.
    diff_limit
        Bytes of diff to keep.
    """
    git = _Git(time.monotonic() + timeout)
    try:
        folders = user_folders() if folder is None else [folder]
        if not folders:
            git.note("the working directory is not the user's: no git repository looked for")
        for start in folders:
            if found := git.find(start):
                return _read(git, *found, diff_limit)
    except Exception as error:
        git.note(f"git state is incomplete: {type(error).__name__}: {error}")
    return GitState(notes=tuple(git.notes))


def _read(git: _Git, root: str, superproject: str, diff_limit: int) -> GitState:
    state: dict[str, Any] = {"root": root, "superproject": superproject}
    at = Path(root)
    commit = git.ask(at, "rev-parse", "--verify", "--quiet", "HEAD", quiet=True)
    state["commit"] = commit.strip() if commit else ""
    branch = git.ask(at, "symbolic-ref", "--short", "--quiet", "HEAD", quiet=True)
    state["branch"] = branch.strip() if branch else ""
    state["remote"], state["redacted"] = _remote(git, at)
    if state["commit"]:
        described = git.ask(at, "describe", "--tags", "--always")
        state["describe"] = described.strip() if described else ""
    else:
        git.note("the repository has no commit yet")

    status = git.ask(at, "status", "--porcelain", "--untracked-files=no", "-z", cut=True)
    if status is not None:
        state["dirty"] = bool(status)
        if state["dirty"] and state["describe"]:
            state["describe"] += "-dirty"
    state["untracked"] = _untracked(git, at)
    if state["dirty"]:
        state |= _diff(git, at, bool(state["commit"]), diff_limit, state["redacted"])
    return GitState(**state, notes=tuple(git.notes))


def _remote(git: _Git, at: Path) -> tuple[str, int]:
    listed = git.ask(at, "config", "--get-regexp", r"^remote\..*\.url$", quiet=True) or ""
    urls = dict(line.partition(" ")[::2] for line in reversed(listed.splitlines()))
    url = urls.get("remote.origin.url") or next(reversed(urls.values()), "")
    clean, stripped = _USER_INFO.subn("", url)
    if clean != url and url.startswith("ssh://git@"):
        return url.replace(_USER_INFO.search(url)[0], "git@", 1), 0  # type: ignore[index]
    clean, redacted = redact(clean)
    return clean, stripped + redacted


def _untracked(git: _Git, at: Path) -> tuple[str, ...]:
    # --directory names a wholly untracked folder once: a data set is not listed image by image.
    listed = git.ask(at, "ls-files", "--others", "--exclude-standard", "--directory",
                     "--no-empty-directory", "-z", cut=True)  # fmt: skip
    names = [name for name in (listed or "").split("\0") if name]
    if len(names) > _UNTRACKED_NAMES:
        git.note(f"{len(names):,} untracked names, of which {_UNTRACKED_NAMES:,} are considered")
    kept = [
        name
        for name in names[:_UNTRACKED_NAMES]
        if name.endswith("/") or _is_small_text(at / name)
    ]
    return tuple(redact(kept)[0])


def _is_small_text(file: Path) -> bool:
    try:
        if not file.is_file() or file.stat().st_size > _UNTRACKED_SIZE:
            return False
        with file.open("rb") as opened:
            return b"\0" not in opened.read(1024)
    except OSError:  # gone or unreadable: not something to name
        return False


def _diff(git: _Git, at: Path, born: bool, limit: int, redacted: int) -> dict[str, Any]:
    against = ["HEAD"] if born else ["--cached"]
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--submodule=diff")
    prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
    output = git.run(at, "diff", *against, *options, *prefixes, limit=limit)
    if output is None:
        return {}
    if output.truncated:
        git.note(f"the diff is larger than {limit:,} bytes and was cut")
    elif output.timed_out:
        git.note("the diff was cut: git took too long")
    elif not output.ok:
        git.note(f"git diff failed: {output.error.partition(chr(10))[0]}")
    text = output.text
    if output.truncated or output.timed_out:
        text = text[: text.rfind("\n") + 1]  # no half line, and no half secret
    text, count = redact(text)
    cut = output.truncated or output.timed_out
    return {"diff": text, "diff_truncated": cut, "redacted": redacted + count}


class _Git:
    """Runs git commands that only read, until a deadline; collects what went wrong."""

    def __init__(self, deadline: float) -> None:
        self.notes: list[str] = []
        self._deadline = deadline
        for name in ("GIT_DIR", "GIT_WORK_TREE"):
            if name in os.environ:
                self.note(f"{name} is set and was not followed: the folder of the code decides")
        self._environment = {
            name: value for name, value in os.environ.items() if name not in _REDIRECTIONS
        } | {
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",  # a partial clone must not reach for the network
            "GIT_PAGER": "cat",
            "LC_ALL": "C",
        }

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def find(self, folder: Path) -> tuple[str, str] | None:
        """Return the top folders of the repository around `folder` and of its superproject."""
        output = self.run(
            folder, "rev-parse", "--show-toplevel", "--show-superproject-working-tree"
        )
        if output is None or output.timed_out:
            return None
        if output.ok and (lines := output.text.splitlines()):
            return lines[0], lines[1] if len(lines) > 1 else ""
        if "dubious ownership" in output.error or "unsafe repository" in output.error:
            self.note(
                f"git refuses the repository around {folder}: it belongs to another user; "
                f"allow it with: git config --global --add safe.directory {folder}"
            )
        elif "not a git repository" in output.error:
            self.note(f"no git repository around {folder}")
        elif "work tree" in output.error:
            self.note(f"the repository around {folder} has no working tree")
        else:
            self.note(f"git failed in {folder}: {output.error.partition(chr(10))[0]}")
        return None

    def ask(
        self, folder: Path, *arguments: str, quiet: bool = False, cut: bool = False
    ) -> str | None:
        """Return what a command printed, None where it failed.

        `quiet`: that is an ordinary answer and no note; `cut`: as much as was printed in time is
        an answer when the output is too large.
        """
        output = self.run(folder, *arguments)
        if output is None:
            return None
        if output.ok or (cut and output.truncated):
            return output.text
        if output.timed_out:
            self.note(f"git {arguments[0]} took too long")
        elif not quiet:
            self.note(f"git {arguments[0]} failed: {output.error.partition(chr(10))[0]}")
        return None

    def run(
        self, folder: Path, *arguments: str, limit: int = _LIST_LIMIT
    ) -> bounded_process.Output | None:
        """Run a command; None where git itself cannot be started."""
        # fsmonitor would start a daemon or a hook of the repository.
        command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments]
        try:
            return bounded_process.run(
                command,
                folder=folder,
                environment=self._environment,
                deadline=self._deadline,
                limit=limit,
            )
        except OSError as error:
            missing = isinstance(error, FileNotFoundError) and folder.is_dir()
            self.note("git is not installed" if missing else f"git cannot be started: {error}")
            return None
