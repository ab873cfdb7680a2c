"""The workspace folder: where it is found, what lies in it, which format it has.

.epochal/
  format                     the version of this layout
  runs/<date>-<name>-<id8>/journal/<writer>.jsonl
  journal/<writer>.jsonl     charter, dataset versions, looks, decisions, aliases
  datasets/                  manifests by digest
  blobs/                     files by digest
  index-<n>.sqlite           rebuilt from the journals whenever it is missing
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from epochal.errors import Ambiguous, InvalidInput, NewerFormat, NotFound
from epochal.journal.reader import read_journal
from epochal.records import FORMAT, MAX_LINE

__all__ = ["FOLDER_NAME", "Folder", "JournalFile", "make_directory", "slug", "sync_directory"]

FOLDER_NAME = ".epochal"


class JournalFile(NamedTuple):
    """One journal file and where it stands."""

    path: Path
    run_folder: Path | None
    """None for a journal of the workspace."""


class Folder:
    """A workspace on disk.

    Parameters
    ----------
    root
        The ``.epochal`` folder itself. It must exist and have a readable format.

    Raises
    ------
    NotFound
        If there is no workspace at `root`.
    NewerFormat
        If a newer version wrote it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            text = (root / "format").read_bytes().strip()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"no workspace at {root}", "`epochal init` in your project creates one"
            ) from None
        except OSError as error:
            raise InvalidInput(f"cannot read the workspace at {root}: {error.strerror}") from None
        found = int(text) if text.isdigit() else None
        if found is None:
            raise InvalidInput(
                f"{root / 'format'} does not hold a number",
                f"if this is an Epochal workspace, write {FORMAT} into it",
            )
        if found > FORMAT:
            raise NewerFormat(
                f"the workspace {root} has format {found}; this version reads up to {FORMAT}",
                "upgrade epochal; nothing was changed",
            )
        self.runs = root / "runs"
        self.journal = root / "journal"
        self.datasets = root / "datasets"
        self.blobs = root / "blobs"

    def __repr__(self) -> str:
        return f"Folder({str(self.root)!r})"

    @classmethod
    def find(cls, start: Path | None = None) -> Folder | None:
        """Return the workspace named by EPOCHAL_WORKSPACE, or the nearest one upwards.

        Raises
        ------
        NotFound
            If EPOCHAL_WORKSPACE names a place without a workspace.
        """
        named = os.environ.get("EPOCHAL_WORKSPACE")
        if start is None and named:
            return cls.at(Path(named))
        here = (start or Path.cwd()).absolute()
        for place in (here, *here.parents):
            if (place / FOLDER_NAME / "format").is_file():
                return cls(place / FOLDER_NAME)
        return None

    @classmethod
    def at(cls, path: Path) -> Folder:
        """Return the workspace at `path`: the ``.epochal`` folder, or the one that holds it."""
        path = path.expanduser().absolute()
        if (path / FOLDER_NAME / "format").is_file():
            path = path / FOLDER_NAME
        return cls(path)

    @classmethod
    def create(cls, parent: Path) -> Folder:
        """Create the workspace in `parent`, or return the one that is there."""
        root = parent.absolute() if parent.name == FOLDER_NAME else parent.absolute() / FOLDER_NAME
        for part in ("runs", "journal", "datasets", "blobs"):
            make_directory(root / part)
        _write_once(root / ".gitignore", "*\n")
        _write_once(root / "format", f"{FORMAT}\n")  # last: with it the workspace exists
        return cls(root)

    @classmethod
    def find_or_create(cls, start: Path | None = None) -> tuple[Folder, bool]:
        """Return the workspace from here and whether it was created just now.

        A new one is made at the top of the git repository, else in the current folder; where
        EPOCHAL_WORKSPACE names a place, it is made there.
        """
        named = os.environ.get("EPOCHAL_WORKSPACE")
        if start is None and named:
            place = Path(named).expanduser().absolute()
            try:
                return cls.at(place), False
            except NotFound:
                return cls.create(place), True
        found = cls.find(start)
        if found:
            return found, False
        return cls.create(_git_top(start or Path.cwd()) or start or Path.cwd()), True

    @classmethod
    def for_recording(cls, named: Path | None = None) -> Folder:
        """Return the workspace at `named`, else the one from here, created where missing."""
        return cls.at(named) if named else cls.find_or_create()[0]

    def run_folders(self) -> Iterator[Path]:
        """Yield the folders of all runs, in no particular order."""
        try:
            with os.scandir(self.runs) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield Path(entry.path)
        except FileNotFoundError:
            return

    def run_folder(self, run: str) -> Path | None:
        """Return the folder of the run with id `run`, if it is here."""
        # Among 100,000 runs two whose ids begin alike are to be expected: the headers decide.
        matches = sorted(self.runs.glob(f"*-{run[:8]}"))
        return next((folder for folder in matches if _may_hold(folder, run)), None)

    def resolve_run(self, prefix: str) -> Path:
        """Return the folder of the one run whose id begins with `prefix` (up to 8 digits count).

        Raises
        ------
        NotFound, Ambiguous
            If no run, or more than one, fits.
        """
        short = prefix[:8].lower()
        if not re.fullmatch(r"[0-9a-f]{1,8}", short):
            raise NotFound(f"{prefix!r} is not a run id", "`epochal runs` lists the ids")
        matches = [
            folder
            for folder in self.run_folders()
            if folder.name.rpartition("-")[2].startswith(short)
        ]
        if not matches:
            raise NotFound(
                f"no run with an id that begins with {prefix!r}", "`epochal runs` lists the ids"
            )
        if len(matches) > 1:
            raise Ambiguous(f"{len(matches)} runs have an id that begins with {prefix!r}")
        return matches[0]

    def new_run_folder(self, run: str, name: str) -> Path:
        """Create the folder of a new run and make its name durable."""
        day = time.strftime("%Y%m%d", time.gmtime())
        folder = self.runs / f"{day}-{slug(name)}-{run[:8]}"
        make_directory(folder / "journal")
        return folder

    def journals(self) -> Iterator[JournalFile]:
        """Yield every journal file: the workspace's first, then the runs'."""
        for path in _journal_files(self.journal):
            yield JournalFile(path, None)
        for folder in self.run_folders():
            for path in _journal_files(folder / "journal"):
                yield JournalFile(path, folder)


def _may_hold(folder: Path, run: str) -> bool:
    """Tell whether a journal in `folder` is of `run`, or none says whose it is."""
    paths = _journal_files(folder / "journal")
    headers = [read_journal(path, limit=MAX_LINE).header for path in paths]
    runs = {header.run for header in headers if header is not None}
    return run in runs or not runs


def make_directory(path: Path) -> None:
    """Create `path` with its parents; a new name survives a power cut once this returns."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for part in reversed(missing):
        part.mkdir(exist_ok=True)
        sync_directory(part.parent)


def sync_directory(path: Path) -> None:
    """Return once the names in the directory `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError:
        pass  # some network file systems cannot sync a directory; the files still are
    finally:
        os.close(fd)


def _journal_files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                Path(e.path) for e in entries if e.name.endswith(".jsonl") and not e.is_symlink()
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _write_once(path: Path, text: str) -> None:
    try:
        with path.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return
    sync_directory(path.parent)


def slug(name: str) -> str:
    """Return `name` as part of a folder name: readable, portable, at most 60 characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")[:60] or "run"


def _git_top(start: Path) -> Path | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--show-toplevel"],
            cwd=start,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return Path(found.stdout.strip()) if found.stdout.strip() else None
