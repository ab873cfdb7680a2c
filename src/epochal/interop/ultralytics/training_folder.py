"""What a training's folder says, whatever state a crash or a stranger left it in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from epochal.capture.redaction import redact
from epochal.interop.ultralytics.checkpoint import checkpoint_facts
from epochal.interop.ultralytics.results_table import Row, Table, read_table
from epochal.run.values import plain

__all__ = ["TrainingFolder", "first_line"]

_STILL_WRITTEN = 3600.0
"""Seconds since the last write after which an unfinished training is taken for dead."""
_MOST_YAML = 1 << 20


class TrainingFolder:
    """A folder with ``results.csv`` and ``args.yaml``, read.

    Attributes
    ----------
    name
        Of the folder, as text: a name on disk need not be.
    args
        The arguments, secrets taken out; empty where they cannot be read.
    epochs
        How many were asked for; None where that is unknown.
    version
        Of Ultralytics, from a checkpoint; empty where none can be read.
    problems
        What is damaged or missing, with its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.name = str(plain(self.path.name))
        self.problems: list[str] = []
        self.args = self._read_args()
        asked = self.args.get("epochs")
        self.epochs = asked if isinstance(asked, int) else None
        self.table = self._read_table()
        self._checkpoint = self._read_checkpoint()
        self.version = str(self._checkpoint.get("version", ""))

    def _read_args(self) -> dict[str, Any]:
        path = self.path / "args.yaml"
        try:
            with path.open("rb") as file:
                found = yaml.safe_load(file.read(_MOST_YAML))
        except FileNotFoundError:
            self.problems.append(f"{path}: not there; what was asked for is unknown")
            return {}
        except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
            self.problems.append(f"{path}: {first_line(error)}")
            return {}
        if not isinstance(found, dict):
            self.problems.append(f"{path}: holds no arguments")
            return {}
        # Arguments are flat. What is not is none, and a few aliases can stand for gigabytes.
        odd = [str(key)[:40] for key, value in found.items() if not _is_argument(value)]
        self.problems += [f"{path}: {key!r} holds no argument" for key in odd[:10]]
        flat = {str(key): plain(value) for key, value in found.items() if _is_argument(value)}
        clean, _ = redact(flat)
        return dict(clean)

    def _read_table(self) -> Table:
        path = self.path / "results.csv"
        try:
            table = read_table(path, self.epochs)
        except FileNotFoundError:
            return Table()
        except OSError as error:
            self.problems.append(f"{path}: {error.strerror}")
            return Table()
        self.problems += table.problems
        return table

    def _read_checkpoint(self) -> dict[str, str | int | float]:
        for name in ("last.pt", "best.pt"):
            path = self.path / "weights" / name
            if path.is_file():
                facts = checkpoint_facts(path)
                if facts:
                    return facts
                self.problems.append(f"{path}: no checkpoint that can be read; kept as it is")
        return {}

    def text(self, argument: str) -> str:
        """Return an argument as text; empty where it was not given."""
        return str(self.args.get(argument) or "")

    @property
    def is_training(self) -> bool:
        """Whether anything in the folder is a training's."""
        return bool(self.args) or (self.path / "results.csv").exists()

    @property
    def predictions(self) -> Path | None:
        """Where the predictions of a validation lie, if they were kept."""
        places = (self.path / "predictions.json", self.path / "labels")
        return next((place for place in places if place.exists()), None)

    def attempts(self) -> Iterator[tuple[list[Row], int]]:
        """Yield the rows of each start and when it was, in microseconds since the Unix epoch.

        The table says how long each took; only its last write tells when that was.
        """
        end = (self.path / "results.csv").stat().st_mtime
        begun: list[float] = []
        for rows in reversed(self.table.attempts):
            last = rows[-1].time
            end -= last if math.isfinite(last) else 0.0
            begun.append(end)
        for rows, seconds in zip(self.table.attempts, reversed(begun), strict=True):
            yield rows, int(seconds * 1e6)

    def outcome(self) -> tuple[Literal["finished", "killed"], str] | None:
        """Return how the last start ended; None while it may still be trained."""
        is_stripped = self._checkpoint.get("epoch") == -1
        is_drawn = (self.path / "results.png").is_file()
        done = self.table.epochs
        if is_stripped or is_drawn or (self.epochs is not None and done >= self.epochs):
            return "finished", ""
        written = (self.path / "results.csv").stat().st_mtime
        if time.time() - written < _STILL_WRITTEN:
            return None
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(written))
        of = f" of {self.epochs}" if self.epochs is not None else ""
        return "killed", f"epoch {done}{of} was the last; nothing was written since {when} UTC"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).partition("\n")[0] or type(error).__name__


def _is_argument(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, list | dict | set | tuple) for item in items)
