"""Where MLflow keeps runs: a database file, an ``mlruns`` folder, a server; read alike.

Nothing is unpickled, no artifact is opened; YAML is read by the safe loader. What cannot be read
is left out and named.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from epochal.errors import InvalidInput, NotFound
from epochal.interop.mlflow.recording import Point
from epochal.records import to_wire

__all__ = ["Database", "Folder", "FoundRun", "Server", "Source", "open_source"]

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_MOST_TEXT = 1 << 20


@dataclass(slots=True)
class FoundRun:
    """One run of a source."""

    id: str
    experiment: str
    name: str
    status: str
    user: str = ""
    started: int = 0
    """Milliseconds since the Unix epoch; so is `ended`."""
    ended: int | None = None
    active: bool = True
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    """Key -> a file of this machine."""


class Source(Protocol):
    """Something that holds runs."""

    problems: list[str]
    left_out: list[str]

    def count(self) -> int:
        """Return how many runs there are."""

    def runs(self) -> Iterator[FoundRun]:
        """Yield them, oldest first."""


def open_source(text: str) -> Source:
    """Return the source that a person named: a ``.db`` file, a folder, or an address.

    Raises
    ------
    NotFound, InvalidInput
        If there is nothing, or nothing of MLflow's.
    """
    if text.startswith(("http://", "https://")):
        return Server(text)
    path = Path(text.removeprefix("sqlite:///").removeprefix("file://")).expanduser()
    if path.is_file():
        return Database(path)
    if path.is_dir():
        inside = [path, path / "mlruns"]
        for place in inside:
            if next(place.glob("*/meta.yaml"), None) is not None:
                return Folder(place)
        if (path / "mlflow.db").is_file():
            return Database(path / "mlflow.db")
        raise InvalidInput(
            f"{path} is no MLflow store: no mlflow.db and no <experiment>/meta.yaml in it",
            "name mlflow.db, the mlruns folder, or http://server:port",
        )
    raise NotFound(f"no file or folder {path}", "name mlflow.db, an mlruns folder, or an address")


class Database:
    """An MLflow database in one SQLite file, opened for reading only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self.left_out: list[str] = []
        try:
            self._db = sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)
            self._db.row_factory = sqlite3.Row
            self._db.text_factory = lambda data: data.decode("utf-8", "replace")
            self._rows("SELECT run_uuid, experiment_id FROM runs LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise InvalidInput(
                f"{path} is no MLflow database: {error}", "name the mlflow.db of a tracking store"
            ) from None

    def _rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        return self._db.execute(sql, parameters).fetchall()

    def count(self) -> int:
        """Return how many runs there are."""
        return int(self._rows("SELECT COUNT(*) FROM runs")[0][0])

    def runs(self) -> Iterator[FoundRun]:
        """Yield them, oldest first."""
        names = {r["experiment_id"]: r["name"] for r in self._rows("SELECT * FROM experiments")}
        for row in self._rows("SELECT * FROM runs ORDER BY start_time, run_uuid"):
            try:
                yield self._run(row, str(names.get(row["experiment_id"], "Default")))
            except sqlite3.DatabaseError as error:
                self.problems.append(f"{self.path}: run {row['run_uuid']}: {error}")

    def _run(self, row: sqlite3.Row, experiment: str) -> FoundRun:
        id = row["run_uuid"]
        pairs = {
            table: {r["key"]: r["value"] or "" for r in self._of(table, id)}
            for table in ("params", "tags")
        }
        found = FoundRun(
            id=id,
            experiment=experiment,
            name=row["name"] or pairs["tags"].get("mlflow.runName") or f"run-{id[:8]}",
            status=row["status"] or "RUNNING",
            user=row["user_id"] or "",
            started=row["start_time"] or 0,
            ended=row["end_time"],
            active=row["lifecycle_stage"] != "deleted",
            params=pairs["params"],
            tags=pairs["tags"],
        )
        for m in self._rows(
            "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ?"
            " ORDER BY timestamp, step, rowid",
            id,
        ):
            value = to_wire(float("nan") if m["is_nan"] else float(m["value"]))
            found.points.append(Point(m["key"], m["step"], m["timestamp"], value))
        found.datasets = self._datasets(id)
        found.artifacts = _files(row["artifact_uri"] or "", self.path.parent)
        if row["artifact_uri"] and not found.artifacts:
            self.left_out.append(f"artifacts of {found.name} at {row['artifact_uri']}: not here")
        return found

    def _of(self, table: str, run: str) -> list[sqlite3.Row]:
        return self._rows(f"SELECT key, value FROM {table} WHERE run_uuid = ? ORDER BY key", run)

    def _datasets(self, run: str) -> list[dict[str, Any]]:
        try:
            rows = self._rows(
                "SELECT d.name, d.digest, d.dataset_source_type, d.dataset_source, i.input_uuid"
                " FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id"
                " WHERE i.destination_id = ? ORDER BY d.name",
                run,
            )
            return [
                {
                    "dataset": {
                        "name": r[0],
                        "digest": r[1],
                        "source_type": r[2],
                        "source": r[3],
                    },
                    "tags": [
                        {"key": t["name"], "value": t["value"]}
                        for t in self._rows("SELECT * FROM input_tags WHERE input_uuid = ?", r[4])
                    ],
                }
                for r in rows
            ]
        except sqlite3.OperationalError:
            return []  # a database of before datasets were tracked


class Folder:
    """An ``mlruns`` folder: ``<experiment>/<run>/{meta.yaml,metrics,params,tags,artifacts}``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self.left_out: list[str] = []

    def count(self) -> int:
        """Return how many runs there are."""
        return sum(1 for _ in self._places())

    def _places(self) -> Iterator[tuple[str, Path, bool]]:
        for root, active in ((self.path, True), (self.path / ".trash", False)):
            for meta in sorted(root.glob("*/meta.yaml")):
                name = str(self._yaml(meta).get("name") or meta.parent.name)
                for run in sorted(meta.parent.glob("*/meta.yaml")):
                    if len(run.parent.name) == 32:
                        yield name, run.parent, active

    def runs(self) -> Iterator[FoundRun]:
        """Yield them by experiment."""
        for experiment, place, active in self._places():
            meta = self._yaml(place / "meta.yaml")
            if meta:
                yield self._run(experiment, place, meta, active)

    def _run(self, experiment: str, place: Path, meta: dict[str, Any], active: bool) -> FoundRun:
        tags = self._texts(place / "tags")
        name = meta.get("run_name") or tags.get("mlflow.runName") or f"run-{place.name[:8]}"
        status = meta.get("status")
        return FoundRun(
            id=str(meta.get("run_id") or meta.get("run_uuid") or place.name),
            experiment=experiment,
            name=str(name),
            status=_STATUS.get(status, "RUNNING") if isinstance(status, int) else str(status),
            user=str(meta.get("user_id") or ""),
            started=_milliseconds(meta.get("start_time")) or 0,
            ended=_milliseconds(meta.get("end_time")),
            active=active and meta.get("lifecycle_stage") != "deleted",
            params=self._texts(place / "params"),
            tags=tags,
            points=list(self._points(place / "metrics")),
            artifacts=_files(str(place / "artifacts"), place),
        )

    def _yaml(self, path: Path) -> dict[str, Any]:
        import yaml

        try:
            with path.open("rb") as file:
                found = yaml.safe_load(file.read(_MOST_TEXT))
        except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
            self.problems.append(f"{path}: {str(error).partition(chr(10))[0]}")
            return {}
        return found if isinstance(found, dict) else {}

    def _texts(self, folder: Path) -> dict[str, str]:
        found = {}
        for file in _regular(folder):
            with file.open("rb") as opened:
                text = opened.read(_MOST_TEXT).decode("utf-8", "replace")
            found[file.relative_to(folder).as_posix()] = text.rstrip("\n")
        return found

    def _points(self, folder: Path) -> Iterator[Point]:
        for file in _regular(folder):
            key, bad = file.relative_to(folder).as_posix(), 0
            with file.open("rb") as lines:
                for line in lines:
                    try:
                        timestamp, value, *step = line.split()
                        point = Point(
                            key, int(step[0]) if step else 0, int(timestamp), to_wire(float(value))
                        )
                    except (ValueError, IndexError):
                        bad += bool(line.strip())
                        continue
                    yield point
            if bad:
                self.problems.append(f"{file}: {bad} damaged line{'s' * (bad != 1)} left out")


class Server:
    """An MLflow server, read through MLflow's own client."""

    def __init__(self, address: str) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ModuleNotFoundError:
            raise InvalidInput(
                "reading an MLflow server needs its client",
                "install it: pip install mlflow-skinny; a database or folder needs nothing",
            ) from None
        self.problems: list[str] = []
        self.left_out: list[str] = []
        self._client: Any = MlflowClient(tracking_uri=address)
        self._address = address
        self._experiments = list(_all(self._client.search_experiments))

    def count(self) -> int:
        """Return how many runs there are."""
        return sum(1 for _ in self._runs())

    def _runs(self) -> Iterator[tuple[str, Any]]:
        for experiment in self._experiments:
            for run in _all(self._client.search_runs, [experiment.experiment_id], run_view_type=3):
                yield experiment.name, run

    def runs(self) -> Iterator[FoundRun]:
        """Yield them by experiment."""
        for experiment, run in self._runs():
            info, data = run.info, run.data
            found = FoundRun(
                id=info.run_id,
                experiment=experiment,
                name=info.run_name or f"run-{info.run_id[:8]}",
                status=info.status,
                user=info.user_id or "",
                started=info.start_time or 0,
                ended=info.end_time,
                active=info.lifecycle_stage != "deleted",
                params=dict(data.params),
                tags=dict(data.tags),
            )
            for key in sorted(data.metrics):
                found.points += [
                    Point(key, m.step, m.timestamp, to_wire(m.value))
                    for m in self._client.get_metric_history(info.run_id, key)
                ]
            for one in getattr(run.inputs, "dataset_inputs", ()):
                found.datasets.append(json.loads(json.dumps(one.to_dictionary())))
            self.left_out.append(f"artifacts of {found.name}: they stay on {self._address}")
            yield found


def _all(search: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
    """Yield what all pages of a search hold."""
    token = None
    while True:
        page = search(*arguments, page_token=token, **options)
        yield from page
        token = page.token
        if not token:
            return


def _files(address: str, base: Path) -> dict[str, Path]:
    """Return the files below an artifact address that is a folder of this machine."""
    plain = address.removeprefix("file://")
    if "://" in plain or plain.startswith("mlflow-artifacts:"):
        return {}
    folder = Path(plain) if plain.startswith("/") else base / plain
    return {file.relative_to(folder).as_posix(): file for file in _regular(folder)}


def _regular(folder: Path) -> Iterable[Path]:
    """Return the plain files below a folder, sorted; links and pipes are passed over."""
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


def _milliseconds(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value else None
