"""Facts about this machine for a bug report. No secrets and no names: the home folder is written `~`."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import cuda_ext
from cuda_ext import build
from cuda_ext.runtime import ENVIRONMENT
from qbench.data.datasets import DATASETS
from qbench.data.folder import data_folder, statistics_folder
from qbench.errors import UserError
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_op.select import OPS, refusals, select_op
from qbench.sweep.wandb_service import wandb_mode
from quantizers import BINARY, FLOAT32, INT8, PIXEL8, TERNARY, UINT8, NumberFormat

_PACKAGES = (
    "qbench", "torch", "pytorch-lightning", "torchmetrics", "wandb", "numpy", "scipy", "scikit-learn", "safetensors",
    "pydantic", "optuna", "ray",
)  # fmt: skip
# The processor's features that the kernels' ISAs need, and those that they could use.
_FEATURES = (
    "avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vpopcntdq", "avx512_bitalg", "avx512vbmi",
    "avx512_vnni", "gfni", "amx_int8", "asimd", "asimddp", "sve",
)  # fmt: skip
_LAYERS = {
    "linear": LayerShape.without_window("linear", 512, 512, (512,), (512,)),
    "grouped conv2d": LayerShape("conv2d", 64, 64, (3, 3), (1, 1), (1, 1), (1, 1), 2, (64, 8, 8), (64, 8, 8)),
}
_PAIRS = (
    (BINARY, BINARY, "linear"),
    (BINARY, PIXEL8, "linear"),
    (BINARY, FLOAT32, "linear"),
    (INT8, INT8, "linear"),
    (INT8, UINT8, "linear"),
    (TERNARY, INT8, "linear"),
    (TERNARY, BINARY, "linear"),
    (INT8, FLOAT32, "linear"),
    (BINARY, BINARY, "grouped conv2d"),
)


def examine() -> dict[str, Any]:
    """Return every fact as plain values; `doctor_lines` shows them to people."""
    return {
        "versions": _versions(),
        "machine": _machine(),
        "kernels": {name: _backend(name) for name in cuda_ext.backends()},
        "cuda": _cuda(),
        "operations": [_operation(*pair) for pair in _PAIRS],
        "wandb": _wandb(),
        "data": _data(),
        "cache": _cache(),
    }


def machine_text() -> str:
    """Return processor, CPUs and GPU, but no name of the machine: `AMD EPYC 9B14, 2 CPUs, GPU NVIDIA H200`."""
    machine = _machine()
    text = f"{machine['processor']}, {machine['cpus']} CPUs"
    gpus = [device["name"] for device in _cuda()["devices"]]
    return f"{text}, GPU {gpus[0]}" if gpus else text


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _machine() -> dict[str, Any]:
    model, flags = platform.processor() or platform.machine(), set()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
    except OSError:  # not Linux: the kernels ask the processor themselves, and have a section of their own
        pass
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": model,
        "features": [name for name in _FEATURES if name in flags],
        "cpus": available,
        "torch_threads": torch.get_num_threads(),
    }


def _backend(name: str) -> dict[str, Any]:
    backend = cuda_ext.backends()[name]
    return {  # "paths" are ISAs: the name in the JSON since its start
        "available": backend.available,
        "selected": backend.selected,
        "paths": list(backend.isas),
        "built": list(backend.built),
        "library": None if backend.library is None else backend.library.name,
        "compiler": backend.compiler or _compiler(name),
        "reason": _without_home(backend.reason) or None,
        "forced": os.environ.get(ENVIRONMENT) or None if name == "cpu" else None,
    }


def _compiler(name: str) -> str | None:
    """Return the compiler that would build the kernels, where none are built; None without one."""
    try:
        return (build.cuda_toolchain() if name == "cuda" else build.cpu_toolchain()).version
    except build.BuildError:
        return None


def _cuda() -> dict[str, Any]:
    devices = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            devices.append(
                {"name": about.name, "capability": f"{about.major}.{about.minor}", "memory_bytes": about.total_memory}
            )
    return {"torch_built_for": torch.version.cuda, "available": torch.cuda.is_available(), "devices": devices}


def _operation(weight: NumberFormat, activation: NumberFormat, layer: str) -> dict[str, Any]:
    """Return which QuantOp runs a pair of formats, why each other one does not, and which packed ones come nearest."""
    layer_shape = _LAYERS[layer]
    op = select_op(weight, activation, layer_shape)
    return {
        "weights": weight.name,
        "inputs": activation.name,
        "layer": layer,
        "op": op.name,
        "packs": op.packs,
        "refusals": refusals(weight, activation, layer_shape),
        "nearest": _serving([activation], weight) or _serving([other for _, other, _ in _PAIRS], weight),
    }


def _serving(activations: list[NumberFormat], weight: NumberFormat) -> list[str]:
    """Return the packed ops that run a plain linear layer of these weights with any of the activations."""
    plain = _LAYERS["linear"]
    return [op.name for op in OPS if op.packs and any(op.supports(weight, each, plain)[0] for each in activations)]


def _wandb() -> dict[str, Any]:
    try:
        mode, problem = str(wandb_mode()), None
    except UserError as error:
        mode, problem = None, str(error)
    return {"mode": mode, "problem": problem, "api_key": bool(os.environ.get("WANDB_API_KEY"))}


def _data() -> dict[str, Any]:
    folder, files = data_folder(), {}
    computed = (build.cache_directory(), statistics_folder())  # by default in the same folder; they are no data
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and path not in computed:
                files[path.name] = _size(path)
    return {"known": list(DATASETS), "folder": _without_home(str(folder)), "exists": folder.is_dir(), "bytes": files}


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())


def _cache() -> dict[str, Any]:
    folder = build.cache_directory()
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return {
        "kernels": _without_home(str(folder)),
        "exists": folder.exists(),
        "writable": writable,
        "free_bytes": shutil.disk_usage(nearest).free,
        "working_folder_writable": os.access(Path.cwd(), os.W_OK | os.X_OK),
    }


def _without_home(text: str) -> str:
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
