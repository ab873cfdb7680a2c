"""What an Ultralytics that reports to its Platform says, as records. Pure functions.

Epochs are counted from 0 there and from 1 here. Arguments arrive as text.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from epochal.capture.console import LineAssembler
from epochal.capture.redaction import redact
from epochal.errors import InvalidInput
from epochal.evaluation import (
    BACKGROUND,
    ClassResult,
    ConfusionMatrix,
    CurvePoints,
    Evaluation,
    ultralytics_evaluator,
)
from epochal.interop.ultralytics.arguments import asked_for
from epochal.interop.ultralytics.layout import given_name, given_project
from epochal.records import (
    Config,
    Console,
    Environment,
    Finished,
    Metrics,
    Summary,
    System,
    to_wire,
)
from epochal.run.values import plain
from epochal.version import __version__

__all__ = [
    "arguments",
    "configs",
    "console",
    "environment",
    "epoch",
    "evaluation",
    "failed",
    "identity",
    "summary",
    "system",
]

_MEGA = 1e6
_NARROW = 30_000
"""Characters of one console record, so that its line keeps its limit in any encoding."""


def arguments(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``trainArgs`` with the types that their text had."""
    found = data.get("trainArgs")
    if not isinstance(found, dict):
        return {}
    clean, _ = redact({str(key): _value(value) for key, value in found.items()})
    return {key: value for key, value in clean.items() if value is not None}


def configs(data: Mapping[str, Any]) -> Iterator[Config]:
    """Yield what was asked for, as far as it can be told from the defaults; then all."""
    known = arguments(data)
    yield Config(values=asked_for(known))
    yield Config(values=known | {"device": str(data.get("device", ""))}, role="effective")


def identity(data: Mapping[str, Any], project: str, name: str) -> tuple[str, str]:
    """Return project and name as a person gave them; empty where nobody did.

    Parameters
    ----------
    project, name
        As the client sends them: reduced to what may stand in its links (``v2_imgsz_160`` is
        ``v2imgsz160`` there). The arguments have them whole.
    """
    known = arguments(data)
    whole_project = str(known.get("project") or project)
    whole_name = str(known.get("name") or name)
    return given_project(whole_project) or "", given_name(whole_name, whole_project) or ""


def environment(data: Mapping[str, Any]) -> Environment:
    """Return machine, packages and the repository; of the package, not of the user, they say."""
    found = data.get("environment")
    said: dict[str, Any] = found if isinstance(found, dict) else {}
    command, _ = redact(str(said.get("command", "")))
    git = {
        key: said[name]
        for key, name in (
            ("origin", "gitRepository"),
            ("branch", "gitBranch"),
            ("commit", "gitCommit"),
        )
        if said.get(name)
    }
    values: dict[str, Any] = {
        "host": said.get("hostname"),
        "os": said.get("os"),
        "container": said.get("environment"),
        "command": command,
        "python": {
            "version": said.get("pythonVersion"),
            "executable": said.get("pythonExecutable"),
        },
        "cpu": {"model": said.get("cpu"), "logical": said.get("cpuCount")},
        "ultralytics": {"version": said.get("ultralyticsVersion")},
        "git_of_ultralytics": git,
        "gpu": {"model": said.get("gpuType"), "count": said.get("gpuCount")},
    }
    for key in ("python", "cpu", "ultralytics", "gpu"):
        values[key] = {name: value for name, value in values[key].items() if value is not None}
    return Environment(values={k: plain(v) for k, v in values.items() if v not in (None, "", {})})


def epoch(data: Mapping[str, Any], epochs: int | None) -> Metrics | None:
    """Return the numbers of an epoch; None for the final evaluation, which is none.

    Raises
    ------
    InvalidInput
        If it has no number.
    """
    number = data.get("epoch")
    if not isinstance(number, int) or not 0 <= number < 1 << 53:
        raise InvalidInput(f"an epoch_end of epoch {number!r}")
    found = _numbers(data.get("metrics"))
    # The evaluation of the best weights comes as one epoch more (as the last one again, up to
    # 8.4.40), without the losses that a validation within an epoch has.
    has_validation = any(key.startswith("val/") for key in found)
    was_evaluated = any(key.startswith("metrics/") for key in found)
    if (epochs is not None and number >= epochs) or (was_evaluated and not has_validation):
        return None
    fitness = data.get("fitness")
    if isinstance(fitness, int | float) and math.isfinite(fitness):
        found["fitness"] = float(fitness)
    # One learning rate of several is sent; live recordings call it so.
    if "lr" in found:
        found["lr/pg0"] = found.pop("lr")
    values = {key: to_wire(value) for key, value in found.items()}
    return Metrics(values=values, step=number + 1, epoch=number + 1)


def system(data: Any) -> System | None:
    """Return the machine's load, under the names and in the units of our own sampling."""
    if not isinstance(data, dict):
        return None
    values: dict[str, Any] = {"cpu/percent": data.get("cpu"), "memory/percent": data.get("ram")}
    for name, group, key in (
        ("disk/read_bytes_per_s", "disk_io", "read_mbs"),
        ("disk/write_bytes_per_s", "disk_io", "write_mbs"),
        ("network/received_bytes_per_s", "network", "recv_mbs"),
        ("network/sent_bytes_per_s", "network", "sent_mbs"),
    ):
        rate = data.get(group)
        if isinstance(rate, dict) and isinstance(rate.get(key), int | float):
            values[name] = rate[key] * _MEGA
    gpus = data.get("gpus")
    for index, gpu in gpus.items() if isinstance(gpus, dict) else ():
        if isinstance(gpu, dict):
            values[f"gpu{index}/util_percent"] = gpu.get("usage")
            values[f"gpu{index}/memory_percent"] = gpu.get("memory")
            values[f"gpu{index}/temperature_c"] = gpu.get("temp")
            values[f"gpu{index}/power_w"] = gpu.get("power")
    found = _numbers(values)
    return System(values={k: to_wire(v) for k, v in found.items()}) if found else None


def summary(data: Mapping[str, Any]) -> Summary | None:
    """Return the model's size, which comes with the first epoch."""
    said = data.get("modelInfo")
    said = said if isinstance(said, dict) else {}
    found = _numbers({key: said.get(key) for key in ("parameters", "gflops")})
    return Summary(values=found) if found else None


def console(data: Mapping[str, Any]) -> Iterator[Console]:
    """Yield the lines of a console message, secrets taken out."""
    lines = LineAssembler().feed(str(data.get("content", "")) + "\n")  # without colours
    text, _ = redact("\n".join(lines))
    for start in range(0, len(text), _NARROW):
        yield Console(stream="stdout", text=text[start : start + _NARROW])


def failed(data: Mapping[str, Any]) -> Finished:
    """Return the end of a training that failed."""
    error = str(data.get("error") or data.get("code") or "failed")
    return Finished(status="failed", reason=error[:2000])


# --- the final evaluation ------------------------------------------------------------------------


def evaluation(
    data: Mapping[str, Any], version: str, known: Mapping[str, Any], weights: str
) -> Evaluation:
    """Return the evaluation of the best weights that ``training_complete`` carries.

    Parameters
    ----------
    version
        Of Ultralytics, whose definitions the numbers follow.
    known
        The training's arguments.
    weights
        Digest of the weights that were uploaded.
    """
    results = data.get("results")
    results = results if isinstance(results, dict) else {}
    plots = {str(p.get("type")): p for p in _list(data.get("plots")) if isinstance(p, dict)}
    names = tuple(str(name) for name in _list(data.get("classNames")))
    metrics = _numbers(results.get("metrics"))
    validation = results.get("validation")
    population = validation.get("population") if isinstance(validation, dict) else 0
    confusion = _confusion(plots.get("confusion_matrix"), names, version)
    return Evaluation(
        task=str(known.get("task") or "detect"),
        split="val",
        dataset=str(known.get("data") or ""),
        images=population if isinstance(population, int) else 0,
        weights=weights,
        weights_name="best.pt",
        evaluator=ultralytics_evaluator(version or "unknown"),
        iou_thresholds=tuple(round(0.5 + 0.05 * i, 2) for i in range(10)),
        protocol={key: known[key] for key in ("imgsz", "batch", "iou", "max_det") if key in known},
        classes=names,
        metrics={
            key.removeprefix("metrics/").removesuffix("(B)"): value
            for key, value in metrics.items()
        },
        per_class=_per_class(plots.get("pr_curve"), names, confusion),
        curves=_curves(plots, names),
        confusion=confusion,
        source=f"ultralytics/{version} final validation, by way of its Platform protocol",
        created_by=f"epochal/{__version__}",
    )


def _rows(plot: Any, key: str, names: Sequence[str]) -> dict[int, list[Any]]:
    """Return a plot's rows by class: classes without labels in the split have none."""
    rows = plot.get(key) if isinstance(plot, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return {}
    classes = plot.get("classes")
    if not isinstance(classes, list) or len(classes) != len(rows):
        classes = list(range(len(rows)))
    return {
        index: row
        for index, row in zip(classes, rows, strict=True)
        if isinstance(index, int) and 0 <= index < len(names)
    }


def _per_class(
    plot: Any, names: Sequence[str], confusion: ConfusionMatrix | None
) -> tuple[ClassResult, ...]:
    ap = {i: [_share(v) for v in row] for i, row in _rows(plot, "ap", names).items()}
    found = []
    for index, name in enumerate(names):
        row = ap.get(index, [])
        values = [value for value in row if value is not None]
        is_whole = len(row) == 10 == len(values)
        found.append(
            ClassResult(
                id=index,
                name=name,
                images=0,
                instances=sum(r[index] for r in confusion.matrix) if confusion else 0,
                ap=sum(values) / 10 if is_whole else None,
                ap50=values[0] if is_whole else None,
                ap75=values[5] if is_whole else None,
                precision=None,
                recall=None,
                f1=None,
                recall_at_precision=None,
                threshold_at_precision=None,
            )
        )
    return tuple(found) if ap else ()


def _confusion(plot: Any, names: Sequence[str], version: str) -> ConfusionMatrix | None:
    matrix = plot.get("matrix") if isinstance(plot, dict) else None
    size = len(names) + 1
    if not isinstance(matrix, list) or len(matrix) != size:
        return None
    if not all(isinstance(row, list) and len(row) == size for row in matrix):
        return None
    counts = tuple(tuple(int(_share(cell) or 0) for cell in row) for row in matrix)
    return ConfusionMatrix(
        confidence=0.25 if _older(version, (8, 4, 100)) else 0.001,
        iou=0.45,
        labels=(*names, BACKGROUND),
        matrix=counts,
    )


def _older(version: str, than: tuple[int, int, int]) -> bool:
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return False
    return tuple(int(part) for part in parts) < than


def _curves(plots: Mapping[str, Any], names: Sequence[str]) -> CurvePoints | None:
    of = ("pr_curve", "precision_curve", "recall_curve", "f1_curve")
    grids = [_grid(plots.get(name)) for name in of]
    if not all(grids) or len({len(grid) for grid in grids[1:]}) != 1:
        return None

    def rows(name: str, length: int) -> tuple[tuple[float | None, ...], ...]:
        found = _rows(plots.get(name), "y", names)
        empty = (None,) * length
        return tuple(
            tuple(_share(v) for v in found[i]) if len(found.get(i, ())) == length else empty
            for i in range(len(names))
        )

    n = len(grids[1])
    return CurvePoints(
        iou=0.5,
        recall=grids[0],
        precision_at_recall=rows("pr_curve", len(grids[0])),
        confidence=grids[1],
        precision=rows("precision_curve", n),
        recall_at_confidence=rows("recall_curve", n),
        f1=rows("f1_curve", n),
    )


def _grid(plot: Any) -> tuple[float, ...]:
    x = plot.get("x") if isinstance(plot, dict) else None
    if not isinstance(x, list) or not all(isinstance(value, int | float) for value in x):
        return ()
    return tuple(float(value) for value in x)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _share(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _numbers(values: Any) -> dict[str, float]:
    """Return what is a number; the client sends null for NaN."""
    if not isinstance(values, dict):
        return {}
    return {str(k): n for k, v in values.items() if (n := _share(v)) is not None}


def _value(text: Any) -> Any:
    """Return the value whose ``str()`` was sent: numbers, booleans, None, lists; else the text."""
    if not isinstance(text, str) or len(text) > 4096:
        return text if isinstance(text, int | float | bool) else str(text)[:4096]
    if text in ("None", "True", "False") or text[:1] in "[-+.0123456789":
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
        return plain(value) if isinstance(value, int | float | list | None) else text
    return text
