"""``epochal latency``: how long a model takes for one call, on the device it is meant for."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from epochal.cli.common import (
    folder_of,
    in_force,
    json_option,
    open_store,
    print_json,
    project_option,
    run_name,
    workspace_option,
)
from epochal.errors import EpochalError, InvalidInput, NotFound

if TYPE_CHECKING:
    from epochal.decisions.charter import Charter
    from epochal.latency import LatencyDocument, Subject
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["latency_command"]

_COMPUTE = re.compile(r"cpu|mps|cuda(:\d+)?|\d+")
_MODULES = {"ultralytics": "ultralytics", "onnxruntime": "onnxruntime", "torchscript": "torch"}
_IMAGES = 100  # evenly taken from a folder with more


@click.command("latency")
@click.argument("target", metavar="RUN|MODEL")
@click.option("--baseline", metavar="RUN|MODEL", help="Measured in turns with it.")
@click.option("--device", default="", help="The target device as the charter names it, or cpu, 0.")
@click.option("--on", "compute", default="", help="Where to infer: cpu, cuda:0; default: the GPU.")
@click.option("--batch", default=1, show_default=True, help="Images per call.")
@click.option("--imgsz", type=int, help="Pixels; default: the run's own, else 640.")
@click.option("--images", type=click.Path(path_type=Path), help="Real images: folder, data.yaml.")
@click.option("--model", type=click.Path(path_type=Path), help="RUN's exported file (.onnx ...).")
@click.option("--command", help="A program that infers on request; see `epochal.latency.child`.")
@click.option("--baseline-command", help="The same for the baseline.")
@click.option("--runner", type=click.Choice(sorted(_MODULES)), help="Default: by the suffix.")
@click.option("--python", help="A Python with the model's framework.")
@click.option("--launches", default=5, show_default=True, help="Processes per model.")
@click.option("--runs", default=200, show_default=True, help="Timed calls per process.")
@click.option("--warmup", default=50, show_default=True, help="Calls before them.")
@click.option("--half", is_flag=True, help="Half precision.")
@click.option("--conf", default=0.25, show_default=True, help="Confidence floor, as deployed.")
@click.option("--max-det", default=300, show_default=True, help="Boxes kept, as deployed.")
@click.option("--threads", default=0, help="CPU threads; default: the runtime's choice.")
@click.option(
    "--from-json",
    type=click.Path(path_type=Path),
    help="Record what another machine measured (its --json).",
)
@project_option
@workspace_option
@json_option
def latency_command(
    target: str,
    baseline: str | None,
    device: str,
    compute: str,
    batch: int,
    imgsz: int | None,
    images: Path | None,
    model: Path | None,
    command: str | None,
    baseline_command: str | None,
    runner: str | None,
    python: str | None,
    launches: int,
    runs: int,
    warmup: int,
    half: bool,
    conf: float,
    max_det: int,
    threads: int,
    from_json: Path | None,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Measure how long RUN's weights, or the file MODEL, take for one call.

    Several processes are started, because medians differ more between launches than within one;
    candidate and baseline take turns. What counts is the upper bound of the 95th percentile in
    the worst launch. A run's latency is recorded; a file's is printed.

    \b
      epochal latency v3_pallets_added --device jetson-orin --imgsz 640
      epochal latency v3_pallets_added --baseline v2_imgsz_1024
      epochal latency best.onnx --imgsz 640 --json > there.json      on the device
      epochal latency v3_pallets_added --from-json there.json        back here
      epochal latency v3_pallets_added --command "python infer.py"   any framework
    """
    from epochal.cli.latency_drawing import Outcome, draw
    from epochal.latency import Protocol, measure, read_latency

    with ExitStack() as stack:
        sides = [_Side(target, workspace, project, stack, model=model, command=command)]
        if baseline is not None or baseline_command is not None:
            name = baseline or "baseline"
            sides.append(_Side(name, workspace, project, stack, command=baseline_command))
        candidate = sides[0]
        charter = candidate.charter()
        if from_json is not None:
            if candidate.run is None:
                raise InvalidInput(f"{target} is no run", "name the run that was measured there")
            documents = [_belonging(read_latency(from_json), candidate.run, from_json)]
            sides = sides[:1]
        else:
            name, where = _device(device, compute, charter)
            protocol = Protocol(
                device=name,
                compute=where,
                batch=batch,
                imgsz=imgsz or candidate.imgsz() or 640,
                launches=launches,
                runs=runs,
                warmup=warmup,
                images=_images(images, candidate),
                half=half,
                confidence=conf,
                max_det=max_det,
                threads=threads,
            )
            subjects = [side.subject(runner or "", python, imgsz) for side in sides]
            documents = measure(subjects, protocol, progress=_advance)
        recorded = tuple(
            side.record(document)
            for side, document in zip(sides, documents, strict=True)
            if side.run is not None
        )
        outcome = Outcome(
            candidate=documents[0],
            baseline=documents[1] if len(documents) > 1 else None,
            recorded=recorded,
            budget_ms=charter.latency_budget_ms if charter is not None else None,
        )
        if as_json:
            print_json(outcome)
        else:
            draw(outcome, charter)


def _advance(done: int, total: int) -> None:
    """Say how far it is, seldom: a bar that redraws itself would disturb what it measures."""
    if not sys.stderr.isatty():
        return
    if done == total:
        click.echo("\r\033[K", nl=False, err=True)
    elif done == 1 or done * 20 // total != (done - 1) * 20 // total:
        click.echo(f"\rmeasuring {done * 100 // total:3} %", nl=False, err=True)


class _Side:
    """What one name means: a run of the workspace, or a file."""

    def __init__(
        self,
        target: str,
        workspace: Path | None,
        project: str | None,
        stack: ExitStack,
        *,
        model: Path | None = None,
        command: str | None = None,
    ) -> None:
        self.target = target
        self.file = model
        self.command = command
        self.run: RunDocument | None = None
        self.store: Store | None = None
        self._stack = stack
        if Path(target).exists():
            self.file = Path(target)
            return
        try:
            folder_of(workspace)
        except NotFound as error:
            if command is not None:
                return  # a name for what the command runs, outside any workspace
            raise NotFound(
                f"{target} is no file here, and {error.message}",
                "name a model's file, or a run with --workspace",
            ) from error
        self.store = stack.enter_context(open_store(workspace))
        self.run = self.store.find_run(target, project)

    def charter(self) -> Charter | None:
        if self.store is None or self.run is None:
            return None
        return in_force(self.store, self.run.project)[0]

    def imgsz(self) -> int:
        """Return the run's image size; 0 where it has none."""
        if self.run is None:
            return 0
        for values in (self.run.effective, self.run.config):
            found = values.get("imgsz")
            if isinstance(found, list) and found:
                found = found[0]
            if isinstance(found, int) and found > 0:
                return found
        return 0

    def subject(self, runner: str, python: str | None, imgsz: int | None) -> Subject:
        """Return what is measured, its weights within reach under a name that runtimes know."""
        from epochal.latency import Subject
        from epochal.latency.measuring import runner_of

        name = self.run.name if self.run is not None else self.target
        pixels = imgsz or self.imgsz()
        if self.command is not None:
            return Subject(name=name, command=self.command, imgsz=pixels)
        weights = ""
        model = self.file
        if model is None:
            model, weights = self._weights()
        runner = runner or runner_of(model)
        return Subject(
            name=name,
            model=model.absolute(),
            runner=runner,
            python=self._python(runner, python),
            weights=weights,
            imgsz=pixels,
        )

    def record(self, document: LatencyDocument) -> str:
        from epochal.latency import store_latency

        assert self.store is not None
        assert self.run is not None
        self.store.record(store_latency(self.store.blobs, document), run=self.run.id)
        return self.run.id

    def _weights(self) -> tuple[Path, str]:
        from epochal.decisions.evidence import final_weights
        from epochal.records import Artifact

        assert self.store is not None
        assert self.run is not None
        digest = final_weights(self.run)
        if not digest:
            raise NotFound(
                f"{run_name(self.run)} recorded no weights",
                "name the file with --model, or a program with --command",
            )
        keys = [
            key
            for key, stamped in self.run.artifacts.items()
            if isinstance(stamped.body, Artifact) and stamped.body.digest == digest
        ]
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="epochal-")))
        file = folder / Path(keys[0]).name
        source = self.store.blobs.path(digest)
        if not source.is_file():
            raise NotFound(f"the weights of {run_name(self.run)} are not in this workspace")
        shutil.copyfile(
            source, file
        )  # a runtime may write beside or into it, the blob never changes
        return file, digest

    def _python(self, runner: str, given: str | None) -> str:
        module = _MODULES[runner]
        if given is not None:
            return given
        if find_spec(module) is not None:
            return sys.executable
        if self.run is not None:
            recorded = self.run.environment.get("python")
            trained = recorded.get("executable") if isinstance(recorded, dict) else None
            if isinstance(trained, str) and Path(trained).is_file():
                return trained
        raise InvalidInput(
            f"{module} is not installed in {sys.executable}",
            "name a Python that has it: --python .../bin/python",
        )


def _device(device: str, compute: str, charter: Charter | None) -> tuple[str, str]:
    """Return the device's name, empty for what the processor is called, and where to infer."""
    named = charter.latency_device if charter is not None else ""
    where = device.casefold()
    if device and _COMPUTE.fullmatch(where):
        compute = compute or (f"cuda:{where}" if where.isdigit() else where)
        device = device if named.casefold() == where else ""
    if not compute:
        from epochal.capture.gpus import Gpus

        compute = "cuda:0" if len(Gpus()) else "cpu"
    return device, compute


def _images(given: Path | None, candidate: _Side) -> tuple[str, ...]:
    """Return files of real images; none where nothing is known of them."""
    from epochal.datasets.listing import list_files
    from epochal.datasets.yolo import IMAGE_SUFFIXES, read_data_yaml

    path = given
    if path is None:
        data = (candidate.run.config if candidate.run is not None else {}).get("data")
        path = Path(data) if isinstance(data, str) else None
        if path is None or not path.is_file():
            return ()
    if not path.exists():
        raise NotFound(f"{path} does not exist", "name a folder of images, or a data.yaml")
    if path.is_dir():
        files = sorted(
            str(file.absolute())
            for file in path.rglob("*")
            if file.suffix[1:].lower() in IMAGE_SUFFIXES
        )
    else:
        try:
            listed = list_files(read_data_yaml(path)).images
        except EpochalError:
            if given is not None:
                raise
            return ()  # the run's data have gone: random images then, and the record says so
        files = sorted(image.file for image in listed if image.split == "val")
    if not files:
        raise InvalidInput(f"no images in {path}")
    step = max(1, len(files) // _IMAGES)
    return tuple(files[::step][:_IMAGES])


def _belonging(document: LatencyDocument, run: RunDocument, source: Path) -> LatencyDocument:
    """Return the document as one of `run`, whose weights it may not contradict."""
    from epochal.decisions.evidence import final_weights

    weights = final_weights(run)
    measured = document.weights or document.artifact
    if measured and measured == weights:
        return msgspec.structs.replace(document, weights=weights)
    if document.weights and weights:
        raise InvalidInput(
            f"{source} was measured with weights {document.weights[:12]}, "
            f"{run.name} left {weights[:12]}",
            "name the run that those weights are of",
        )
    return document
