"""What the training runs on, and how busy that is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types

import pytest

from epochal.capture import bounded_process, environment
from epochal.capture.environment import environment_state, installed_packages
from epochal.capture.gpus import Gpus
from epochal.capture.process_tree import process_tree
from epochal.capture.system_metrics import Sampler


def test_the_environment_is_described():
    state = environment_state(["train.py", "--lr", "0.1"])
    values = state.values
    assert values["python"]["executable"] == sys.executable
    assert values["argv"] == ["train.py", "--lr", "0.1"]
    assert values["cpu"]["usable"] >= 1
    assert 0 < values["memory"]["total_bytes"] <= values["memory"]["machine_bytes"]
    assert "msgspec==" in state.packages


def test_only_known_variables_are_taken(monkeypatch):
    """A62: an allow-list; anything else may be a secret."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("MY_PRIVATE_THING", "hunter2hunter2")
    monkeypatch.setenv("SLURM_JOB_NAME", "x" * 5000)
    variables = environment_state([]).values["variables"]
    assert variables["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert len(variables["SLURM_JOB_NAME"]) == 1000
    assert "MY_PRIVATE_THING" not in variables


def test_a_secret_on_the_command_line_is_redacted():
    secret = "hf_" + "a1B2" * 9
    state = environment_state(["train.py", "--token", secret])
    assert secret not in str(state.values)
    assert state.redacted == 1


def test_what_cannot_be_read_is_noted_and_the_rest_is_there(monkeypatch):
    monkeypatch.setattr(environment, "_host", lambda: 1 / 0)
    monkeypatch.setattr(environment, "installed_packages", lambda: 1 / 0)
    state = environment_state([])
    assert "host" not in state.values
    assert "python" in state.values
    assert len([n for n in state.notes if "ZeroDivisionError" in n]) == 2


def test_torch_is_described_only_when_it_is_there(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert "torch" not in environment_state([]).values
    torch = types.SimpleNamespace(__version__="2.13.0", version=types.SimpleNamespace(cuda="12.8"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert environment_state([]).values["torch"] == {"version": "2.13.0", "cuda": "12.8"}


def test_each_package_is_listed_once():
    names = [line.partition("==")[0].lower().replace("_", "-") for line in installed_packages()]
    assert len(names) == len(set(names))


# --- GPUs ----------------------------------------------------------------------------------------


def test_a_machine_without_the_package_is_an_ordinary_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpus = Gpus()
    assert (len(gpus), gpus.describe(), gpus.sample(), gpus.notes) == (0, {}, {}, [])


class Nvml(types.ModuleType):
    """Stands for pynvml on a machine with two devices, the second of them broken."""

    NVML_TEMPERATURE_GPU = 0

    def nvmlInit(self):
        pass

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return b"Tesla" if handle == 0 else "H200"

    def nvmlDeviceGetUUID(self, handle):
        return f"GPU-{handle}abc"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return types.SimpleNamespace(total=80 << 30, used=1 << 30)

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle == 1:
            raise RuntimeError("GPU is lost")
        return types.SimpleNamespace(gpu=37)

    def nvmlDeviceGetPowerUsage(self, handle):
        return 250_500

    def nvmlDeviceGetTemperature(self, handle, sensor):
        return 61

    def nvmlSystemGetDriverVersion(self):
        return "575.1"

    def nvmlSystemGetCudaDriverVersion(self):
        return 12090


@pytest.fixture
def nvml(monkeypatch):
    module = Nvml("pynvml")
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return module


def test_gpus_are_described_and_sampled(nvml):
    gpus = Gpus()
    described = gpus.describe()
    assert [gpu["name"] for gpu in described["gpus"]] == ["Tesla", "H200"]
    assert (described["driver"], described["cuda"]) == ("575.1", "12.9")
    values = gpus.sample()
    assert values["gpu0/util_percent"] == 37
    assert values["gpu0/power_w"] == 250.5
    assert "gpu1/util_percent" not in values
    assert values["gpu1/temperature_c"] == 61
    gpus.sample()
    assert gpus.notes == ["gpu1 utilisation cannot be read: RuntimeError: GPU is lost"]


@pytest.mark.parametrize(
    ("visible", "indices"),
    [("1", [1]), ("0,1", [0, 1]), ("", []), ("-1", []), ("1,7,0", [1]), ("GPU-1abc", [1]),
     ("MIG-x", [0, 1])],
)  # fmt: skip
def test_hidden_gpus_are_not_counted(nvml, monkeypatch, visible, indices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu["index"] for gpu in Gpus().describe().get("gpus", [])] == indices


def test_a_driver_that_is_not_loaded_is_no_trouble(nvml, monkeypatch):
    class NVMLError_LibraryNotFound(Exception):
        pass

    def init():
        raise NVMLError_LibraryNotFound

    monkeypatch.setattr(nvml, "nvmlInit", init, raising=False)
    gpus = Gpus()
    assert (len(gpus), gpus.notes) == (0, [])


# --- CPU and memory ------------------------------------------------------------------------------


def test_a_busy_process_is_seen():
    sampler = Sampler()
    begun = time.process_time()
    while time.process_time() - begun < 0.3:
        pass
    values = sampler.sample()
    assert 5 < values["cpu/process_percent"] < 250
    assert 0 <= values["cpu/percent"] <= 100
    assert values["memory/process_rss_bytes"] > 5e6
    assert 0 < values["memory/percent"] < 100
    assert sampler.notes == []


def test_children_count():
    child = subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(60 << 20); print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    tree = process_tree(os.getpid())
    assert child.pid in tree
    assert tree[child.pid].rss_bytes > 60 << 20
    child.communicate(b"\n")
    assert child.pid not in process_tree(os.getpid())


def test_without_psutil_what_remains_is_sampled(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    sampler = Sampler()
    sampler.sample()
    values = sampler.sample()
    assert values["memory/process_rss_bytes"] > 0
    assert any("psutil" in note for note in sampler.notes)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_samples_itself():
    sampler = Sampler()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            sampler.sample()
            code = 0 if sampler._pid == os.getpid() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- programs that are asked ---------------------------------------------------------------------


def run(tmp_path, *arguments, deadline=10.0, limit=1000):
    return bounded_process.run(
        arguments,
        folder=tmp_path,
        environment=os.environ,
        deadline=time.monotonic() + deadline,
        limit=limit,
    )


def test_a_program_that_ends(tmp_path):
    output = run(tmp_path, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (output.text, output.error, output.code, output.ok) == ("out\n", "err", 3, False)


def test_a_program_that_does_not_end_is_ended_with_its_children(tmp_path):
    begun = time.monotonic()
    output = run(tmp_path, "sh", "-c", "echo $$; sleep 60 & sleep 60", deadline=0.3)
    assert output.timed_out
    assert time.monotonic() - begun < 5
    group = int(output.text)
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("a child was left behind")


def test_a_program_that_prints_without_end_is_cut(tmp_path):
    output = run(tmp_path, "sh", "-c", "yes")
    assert output.truncated
    assert len(output.out) == 1000


def test_a_program_that_does_not_exist(tmp_path):
    with pytest.raises(OSError, match="no-such-program"):
        run(tmp_path, "no-such-program")
