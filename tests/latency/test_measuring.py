"""Measuring: real processes, known answers."""

import sys

import pytest

from epochal.errors import InvalidInput
from epochal.latency import Protocol, Subject, measure
from epochal.latency.machine import Watch, hardware, power_mode
from epochal.latency.measuring import runner_of
from epochal.latency.process import MeasuredProcess

QUICK = Protocol(device="bench", launches=2, runs=60, warmup=3, batch=1, imgsz=64)


def test_what_is_measured_is_what_the_process_says(bare):
    # Three calls warm up and are not counted.
    command = bare([1000, 1000, 1000, *range(1, 61)])
    [found] = measure([Subject(name="model", command=command)], QUICK)
    assert [launch.samples for launch in found.launches] == [tuple(map(float, range(1, 61)))] * 2
    assert (found.summary.p50, found.summary.p95, found.summary.p95_upper) == (30, 57, 60)
    assert found.summary.n == 120
    assert (found.name, found.device, found.warmup) == ("model", "bench", 3)
    assert found.conditions["hardware"] == hardware()


def test_in_python(served):
    [found] = measure([Subject(name="model", command=served)], QUICK)
    assert found.conditions["runtime"] == "python"
    assert found.launches[0].stages == {"inference": 0.5}
    assert 0 <= found.summary.p50 < 1000
    assert found.throttled in (None, False, True)


def test_candidate_and_baseline_take_turns(program, tmp_path):
    text = """
import sys
for _ in sys.stdin:
    with open({log!r}, "a") as log:
        log.write({name!r})
    print("ms 1", flush=True)
"""
    log = tmp_path / "log"
    subjects = [
        Subject(name=name, command=program(text.format(log=str(log), name=name), f"{name}.py"))
        for name in "AB"
    ]
    a, b = measure(subjects, QUICK)
    warm, run = QUICK.warmup, QUICK.runs
    first = "A" * warm + "B" * warm + "AB" * run
    assert log.read_text() == first + first.translate({65: 66, 66: 65})  # then B begins
    assert a.session == b.session
    assert (a.peers, b.peers) == (("B",), ("A",))
    assert a.key == b.key


def test_progress_counts_every_call(bare):
    seen = []
    measure([Subject(name="m", command=bare([1.0]))], QUICK, progress=lambda *at: seen.append(at))
    assert seen == [(i, 126) for i in range(1, 127)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('no such layer')", "exit code 1: RuntimeError: no such layer"),
        ("import sys; sys.stdin.readline(); print('ms fast')", "answered 'fast'"),
        ("import sys; sys.stdin.readline(); print('ms -3')", "answered '-3'"),
        ("import sys; sys.stdin.readline(); print('ms nan')", "answered 'nan'"),
        ("print('info nothing')\nimport time; time.sleep(30)", "described itself with 'nothing'"),
        ("print('ms 1')", "ended with exit code 0"),
    ],
)
def test_a_process_that_fails_is_quoted(program, text, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        measure([Subject(name="v3", command=program(text))], QUICK)
    assert "v3" in str(caught.value)
    assert "pydoc epochal.latency.child" in str(caught.value)


def test_a_process_that_never_answers(program):
    command = program("import time; time.sleep(60)").split()
    with (
        MeasuredProcess("v3", command, first_answer=0.2) as process,
        pytest.raises(InvalidInput, match="no answer within"),
    ):
        process.time()


def test_no_such_program():
    with pytest.raises(InvalidInput, match="cannot be started"):
        measure([Subject(name="m", command="/no/such/program")], QUICK)


def test_no_such_model(tmp_path):
    with pytest.raises(InvalidInput, match="does not exist"):
        measure([Subject(name="m", model=tmp_path / "best.pt")], QUICK)


def test_too_few_runs_for_a_bound():
    with pytest.raises(InvalidInput, match="At least 59"):
        Protocol(runs=58)
    with pytest.raises(InvalidInput, match="launches is 0"):
        Protocol(launches=0)


def test_either_a_file_or_a_command(tmp_path):
    for given in ({}, {"model": tmp_path, "command": "x"}):
        with pytest.raises(InvalidInput, match="either"):
            Subject(name="m", **given)


def test_the_suffix_names_the_runner(tmp_path):
    names = {"a.onnx": "onnxruntime", "a.ts": "torchscript", "a.pt": "ultralytics"}
    for name, runner in (names | {"a.engine": "ultralytics"}).items():
        assert runner_of(tmp_path / name) == runner


def test_the_machine_describes_itself():
    watch = Watch()
    watch.glance()
    state, throttled = watch.describe()
    assert {"before", "after"} == set(state)
    assert throttled in (None, False, True)
    assert hardware()
    assert isinstance(power_mode(), str)


def test_a_measured_program_needs_only_the_standard_library():
    from epochal.latency import child

    code = f"import runpy, sys; runpy.run_path({child.__file__!r}); print(*sys.modules)"
    import subprocess

    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "torch", "msgspec", "epochal"} & set(found)


def test_onnx_runtime(tmp_path):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", kind, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", kind, None)],
    )
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    [found] = measure([Subject(name="m", model=path)], QUICK)
    assert found.conditions["runtime"] == "onnxruntime"
    assert (found.conditions["stage"], found.conditions["input"]) == ("infer", "random")
    assert len(found.artifact) == 64
    with pytest.raises(InvalidInput, match="no provider for cuda:0"):
        measure([Subject(name="m", model=path)], Protocol(launches=1, compute="cuda:0"))
