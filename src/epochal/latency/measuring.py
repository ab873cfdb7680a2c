"""Measuring: several launches, warm-up, candidate and baseline in turns."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.errors import InvalidInput
from epochal.latency import child
from epochal.latency.document import LatencyDocument, Launch, latency_key, summarize
from epochal.latency.machine import Watch, hardware, power_mode
from epochal.latency.order_statistics import smallest_sample
from epochal.latency.process import MeasuredProcess
from epochal.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Protocol", "Subject", "measure", "runner_of"]

_SMALLEST = smallest_sample(0.95)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_ANSWERS = "`python -m pydoc epochal.latency.child` describes what it has to answer"
_QUIET = {  # a measurement is no time for updates and downloads
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "MPLBACKEND": "Agg",
}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How is measured.

    Parameters
    ----------
    device
        The target device by the name that charters call it; empty: what the processor is called.
    compute
        Where to infer: ``cpu``, ``cuda:0``.
    batch, imgsz
        Images per call, and pixels of the square input.
    launches, runs, warmup
        Processes; timed calls in each, at least 59 so that p95 has a bound; calls before them.
    images
        Real images to infer on; none: random ones, on which non-maximum suppression has little
        to do.
    half, confidence, max_det, threads
        As the deployed model has them; threads 0 leaves it to the runtime.
    """

    device: str = ""
    compute: str = "cpu"
    batch: int = 1
    imgsz: int = 640
    launches: int = 5
    runs: int = 200
    warmup: int = 50
    images: tuple[str, ...] = ()
    half: bool = False
    confidence: float = 0.25
    max_det: int = 300
    threads: int = 0

    def __post_init__(self) -> None:
        if self.runs < _SMALLEST:
            raise InvalidInput(
                f"{self.runs} runs per launch bound no 95th percentile",
                f"At least {_SMALLEST} do",
            )
        for name in ("batch", "imgsz", "launches"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}, expected at least 1")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is measured.

    Parameters
    ----------
    name
        For people.
    model
        The model's file; it is loaded by `runner` in `python`.
    command
        Instead: a program that speaks the protocol of `epochal.latency.child`.
    runner
        ``ultralytics``, ``onnxruntime``, ``torchscript``; empty: by the file's suffix.
    weights
        Digest of the run's weights file, if it is that.
    imgsz
        Pixels of its input, where they are not the protocol's.
    """

    name: str
    model: Path | None = None
    command: str = ""
    runner: str = ""
    python: str = field(default=sys.executable)
    weights: str = ""
    imgsz: int = 0

    def __post_init__(self) -> None:
        if (self.model is None) == (not self.command):
            raise InvalidInput(f"{self.name}: name either a model's file or a command")

    def arguments(self, protocol: Protocol) -> list[str]:
        """Return the command line of one launch."""
        if self.model is None:
            return shlex.split(self.command)
        spec = {
            "model": str(self.model),
            "device": protocol.compute,
            "batch": protocol.batch,
            "imgsz": self.imgsz or protocol.imgsz,
            "images": list(protocol.images),
            "half": protocol.half,
            "conf": protocol.confidence,
            "max_det": protocol.max_det,
            "threads": protocol.threads,
        }
        runner = self.runner or runner_of(self.model)
        return [self.python, str(Path(child.__file__)), runner, json.dumps(spec)]


def runner_of(model: Path) -> str:
    """Return what loads a model file, by its suffix.

    Ultralytics loads everything that it exports, so it stands for the rest.
    """
    return {".onnx": "onnxruntime", ".ts": "torchscript"}.get(model.suffix.lower(), "ultralytics")


def measure(
    subjects: Sequence[Subject],
    protocol: Protocol,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[LatencyDocument]:
    """Measure one model, or several in turns, and return a document for each.

    Each launch starts one process per model, lets each warm up, and then asks them for one call
    after the other, A B A B, so that whatever the machine does meanwhile meets all of them. Who
    begins changes from launch to launch. No sample is left out.

    Raises
    ------
    InvalidInput
        A model's file is missing, or a process does not answer as it should.
    """
    for subject in subjects:
        if subject.model is not None and not subject.model.exists():
            raise InvalidInput(f"{subject.name}: {subject.model} does not exist")
    gpu = _gpu_index(protocol.compute)
    watch = Watch(gpu=gpu)
    calls = protocol.launches * len(subjects) * (protocol.warmup + protocol.runs)
    done = 0
    launches: list[list[Launch]] = [[] for _ in subjects]
    info: list[dict[str, Any]] = [{} for _ in subjects]
    for number in range(protocol.launches):
        order = list(range(len(subjects)))
        order = order[number % len(order) :] + order[: number % len(order)]
        with ExitStack() as stack:
            processes = {
                at: stack.enter_context(
                    MeasuredProcess(
                        subjects[at].name,
                        subjects[at].arguments(protocol),
                        _environment(protocol),
                        remedy=_ANSWERS if subjects[at].command else "",
                    )
                )
                for at in order
            }
            for at in order:
                for _ in range(protocol.warmup):
                    processes[at].time()
                    done += 1
                    if progress is not None:
                        progress(done, calls)
            samples: dict[int, list[float]] = {at: [] for at in order}
            stages: dict[int, list[dict[str, float]]] = {at: [] for at in order}
            for _ in range(protocol.runs):
                for at in order:
                    took, parts = processes[at].time()
                    samples[at].append(took)
                    stages[at].append(parts)
                    done += 1
                    if progress is not None:
                        progress(done, calls)
            watch.glance()
            for at in order:
                launches[at].append(Launch(samples=tuple(samples[at]), stages=_means(stages[at])))
                info[at] = processes[at].info
    state, throttled = watch.describe()
    session = secrets.token_hex(8)
    return [
        _document(
            subject,
            protocol,
            launches[at],
            info[at],
            machine=state,
            throttled=throttled,
            session=session,
            peers=tuple(other.name for other in subjects if other is not subject),
        )
        for at, subject in enumerate(subjects)
    ]


def _document(
    subject: Subject,
    protocol: Protocol,
    launches: list[Launch],
    info: dict[str, Any],
    *,
    machine: dict[str, Any],
    throttled: bool | None,
    session: str,
    peers: tuple[str, ...],
) -> LatencyDocument:
    accelerator = info.pop("accelerator", "") if info else ""
    processor = accelerator or hardware()
    device = protocol.device or processor
    conditions: dict[str, Any] = {
        "measure": "latency",
        "stage": "e2e",
        "batch": protocol.batch,
        "imgsz": subject.imgsz or protocol.imgsz,
        "format": subject.model.suffix[1:] if subject.model is not None else "command",
        "device": device,
        "hardware": processor,
        "compute": protocol.compute,
        "power_mode": power_mode(),
        "threads": protocol.threads or "library default",
        **info,
    }
    if subject.model is not None and conditions["stage"] == "e2e":
        conditions |= {"conf": protocol.confidence, "max_det": protocol.max_det}
    artifact = ""
    if subject.model is not None and subject.model.is_file():
        from epochal.store.blobs import digest_of_file

        artifact = digest_of_file(subject.model)
    return LatencyDocument(
        device=device,
        key=latency_key(conditions),
        summary=summarize(launches),
        launches=tuple(launches),
        conditions=conditions,
        machine=machine,
        throttled=throttled,
        warmup=protocol.warmup,
        name=subject.name,
        weights=subject.weights,
        artifact=artifact,
        session=session,
        peers=peers,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        created_by=f"epochal/{__version__}",
    )


def _environment(protocol: Protocol) -> dict[str, str]:
    found = dict(_QUIET)
    if protocol.threads:
        found |= dict.fromkeys(_THREADS, str(protocol.threads))
    return found


def _gpu_index(compute: str) -> int | None:
    if compute in ("cpu", "mps", ""):
        return None
    number = compute.rpartition(":")[2]
    return int(number) if number.isdigit() else 0


def _means(stages: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for parts in stages for name in parts)
    return {
        name: round(sum(parts.get(name, 0.0) for parts in stages) / len(stages), 4)
        for name in names
    }
