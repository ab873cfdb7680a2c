"""What the training runs on: interpreter, packages, machine, GPUs, place in a cluster.

Variables of the environment are taken from an allow-list only: anything else may be a secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epochal.capture.cgroup import Cgroup
from epochal.capture.gpus import Gpus
from epochal.capture.redaction import redact

__all__ = ["VARIABLES", "EnvironmentState", "environment_state", "installed_packages"]

VARIABLES = frozenset(
    [
        "CUDA_VISIBLE_DEVICES",
        "CUDA_DEVICE_ORDER",
        "CUDA_LAUNCH_BLOCKING",
        "CUBLAS_WORKSPACE_CONFIG",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_TF32_OVERRIDE",
        "PYTORCH_CUDA_ALLOC_CONF",
        "PYTORCH_ALLOC_CONF",
        "TORCH_CUDNN_V8_API_ENABLED",
        "TORCH_COMPILE_DISABLE",
        "TF32_OVERRIDE",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "PYTHONHASHSEED",
        "PYTHONOPTIMIZE",
        "CONDA_DEFAULT_ENV",
        "VIRTUAL_ENV",
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "NODE_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "NCCL_DEBUG",
        "NCCL_P2P_DISABLE",
        "NCCL_IB_DISABLE",
        "NCCL_SOCKET_IFNAME",
        "SLURM_JOB_ID",
        "SLURM_JOB_NAME",
        "SLURM_ARRAY_JOB_ID",
        "SLURM_ARRAY_TASK_ID",
        "SLURM_PROCID",
        "SLURM_LOCALID",
        "SLURM_NTASKS",
        "SLURM_NNODES",
        "SLURM_NODELIST",
        "SLURM_JOB_PARTITION",
        "SLURM_CPUS_PER_TASK",
        "SLURM_GPUS_ON_NODE",
        "SLURM_RESTART_COUNT",
        "SLURM_SUBMIT_DIR",
        "SLURM_CLUSTER_NAME",
        "PBS_JOBID",
        "LSB_JOBID",
        "KUBERNETES_SERVICE_HOST",
    ]
)
"""Names whose values are recorded, each cut at 1,000 characters and redacted."""

_VALUE_LENGTH = 1_000


@dataclass(frozen=True)
class EnvironmentState:
    """What was found; what could not be read is left out and named in `notes`."""

    values: dict[str, Any]
    """For the environment record: sizes in bytes, texts redacted."""
    packages: str
    """``name==version``, one installed distribution a line, sorted."""
    redacted: int
    """Secrets taken out of `values`."""
    notes: tuple[str, ...]


def environment_state(
    argv: Sequence[str] | None = None, *, cgroup: Cgroup | None = None
) -> EnvironmentState:
    """Return what the process runs on. Never raises; takes some 0.1 s, more with GPUs.

    Parameters
    ----------
    argv
        The command line to record; None: `sys.argv`.
    cgroup
        The control group to ask; None: that of this process.
    """
    group = Cgroup() if cgroup is None else cgroup
    command = list(sys.argv if argv is None else argv)
    gpus = Gpus()
    facts: dict[str, Callable[[], Any]] = {
        "python": _python,
        "os": _os,
        "cpu": lambda: _cpu(group),
        "memory": lambda: _memory(group),
        "host": _host,
        "user": _user,
        "cwd": lambda: str(Path.cwd()),
        "argv": lambda: command,
        "variables": lambda: _variables(os.environ),
        "container": _container,
        "torch": _torch,
    }
    values: dict[str, Any] = {}
    notes: list[str] = []
    for name, read in facts.items():
        try:
            value = read()
        except Exception as error:
            notes.append(f"{name} cannot be read: {type(error).__name__}: {error}")
            continue
        if value or value == 0:
            values[name] = value
    values |= gpus.describe()
    try:
        packages = "\n".join(installed_packages())
    except Exception as error:
        packages = ""
        notes.append(f"packages cannot be listed: {type(error).__name__}: {error}")
    clean, redacted = redact(values)
    return EnvironmentState(clean, packages, redacted, (*notes, *gpus.notes))


def installed_packages() -> list[str]:
    """Return ``name==version`` of every installed distribution, sorted, each name once.

    Where two are installed under one name the first on `sys.path` counts, as it does for imports.
    A distribution with unreadable metadata is listed as ``name==?`` when it has a name.
    """
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for distribution in distributions():
        try:
            name, version = distribution.name, distribution.version
        except Exception:
            folder = getattr(distribution, "_path", None)
            name, version = Path(str(folder)).stem.partition("-")[0] if folder else "", "?"
        if name:
            found.setdefault(name.lower().replace("_", "-"), f"{name}=={version}")
    return [found[name] for name in sorted(found)]


def _python() -> dict[str, Any]:
    import platform

    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
    }


def _os() -> dict[str, Any]:
    import platform

    about = {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }
    try:
        about["distribution"] = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):  # not Linux, or an image without the file
        pass
    return about


def _cpu(group: Cgroup) -> dict[str, Any]:
    about: dict[str, Any] = {"model": _cpu_model(), "logical": os.cpu_count()}
    if hasattr(os, "sched_getaffinity"):
        about["usable"] = len(os.sched_getaffinity(0))
    if (limit := group.cpu_limit()) is not None:
        about["limit"] = limit
    try:
        import psutil

        about["physical"] = psutil.cpu_count(logical=False)
    except ImportError:
        pass  # the number of cores is the one fact here that needs the library
    return {name: value for name, value in about.items() if value}


def _cpu_model() -> str:
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "cpu model"):
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor()


def _memory(group: Cgroup) -> dict[str, int]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = group.memory_limit()
    about = {"machine_bytes": total, "total_bytes": min(total, limit or total)}
    if limit is not None:
        about["limit_bytes"] = limit
    return about


def _host() -> str:
    import socket

    return socket.gethostname()


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this uid, as in many containers
        return str(os.getuid())


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: environment[name][:_VALUE_LENGTH]
        for name in sorted(VARIABLES)
        if name in environment
    }


def _container() -> str:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if "APPTAINER_NAME" in os.environ or "SINGULARITY_NAME" in os.environ:
        return "apptainer"
    if Path("/run/.containerenv").exists():
        return "podman"
    if Path("/.dockerenv").exists():
        return "docker"
    return os.environ.get("container", "")  # noqa: SIM112 - systemd spells it so


def _torch() -> dict[str, Any]:
    """What the already imported torch was built for; it is never imported here."""
    torch = sys.modules.get("torch")
    version = getattr(torch, "version", None)
    if torch is None or version is None:
        return {}
    about = {
        "version": getattr(torch, "__version__", None),
        "cuda": getattr(version, "cuda", None),
    }
    return {name: str(value) for name, value in about.items() if value}
