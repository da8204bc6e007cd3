"""The facts about this machine as text: what `qbench doctor` prints."""

from __future__ import annotations

from typing import Any

from cuda_ext.runtime import ENVIRONMENT
from qbench.report.commands.columns import aligned


def doctor_lines(found: dict[str, Any]) -> list[str]:
    """Return the facts of `examine` as lines of text, section by section."""
    rows = [*_version_rows(found["versions"]), *_machine_rows(found["machine"])]
    for name, backend in found["kernels"].items():
        rows += _backend_rows(name, backend)
    rows += _operation_rows(found["operations"])
    rows += _place_rows(found)
    return aligned(rows, left=2)


def _version_rows(versions: dict[str, str | None]) -> list[tuple[str, str]]:
    rows = [("versions", ", ".join(f"{name} {value}" for name, value in versions.items() if value))]
    absent = [name for name, value in versions.items() if value is None]
    if absent:
        rows.append(("", f"not installed: {', '.join(absent)}"))
    return rows


def _machine_rows(machine: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("machine", f"{machine['processor']}, {machine['cpus']} CPUs, {machine['torch_threads']} torch threads"),
        ("", f"{machine['system']} {machine['architecture']}; {', '.join(machine['features']) or 'features unknown'}"),
    ]


def _backend_rows(name: str, backend: dict[str, Any]) -> list[tuple[str, str]]:
    unused = "pure-torch references (exact, slow)" if name == "cpu" else "nothing"
    rows = [(f"{name} kernels", f"uses {backend['selected'] if backend['available'] else unused}")]
    if backend["reason"]:
        rows.append(("", f"because: {backend['reason']}"))
    if backend["built"]:
        rows.append(("", f"built {', '.join(backend['built'])}; runs here: {', '.join(backend['paths'])}"))
    if backend["compiler"]:
        rows.append(("", f"compiler: {backend['compiler']}"))
    if backend["forced"]:
        rows.append(("", f"{ENVIRONMENT}={backend['forced']}"))
    return rows


def _operation_rows(operations: list[dict[str, Any]]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for each in operations:
        pair = f"{each['weights']} × {each['inputs']}{'' if each['layer'] == 'linear' else ', ' + each['layer']}"
        text = f"{pair}: {each['op']}"
        if not each["packs"]:
            reasons = [f"{op} {why}" for op, why in each["refusals"].items() if op in each["nearest"]]
            text += f", nothing packed: {'; '.join(reasons)}"
        rows.append(("" if rows else "weights × inputs", text))
    return rows


def _place_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    cuda, wandb, data, cache = found["cuda"], found["wandb"], found["data"], found["cache"]
    devices = ", ".join(
        f"{d['name']} ({d['capability']}, {d['memory_bytes'] / 2**30:.0f} GiB)" for d in cuda["devices"]
    )
    built = f"torch built for CUDA {cuda['torch_built_for']}" if cuda["torch_built_for"] else "torch built without CUDA"
    files = ", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in data["bytes"].items())
    state = (files or "empty") if data["exists"] else "does not exist"
    free = f"{cache['free_bytes'] / 2**30:.1f} GiB free"
    key = "set" if wandb["api_key"] else "not set"
    return [
        ("CUDA", f"{built}; {devices or 'no device'}"),
        ("wandb", f"{wandb['problem'] or wandb['mode']}; WANDB_API_KEY {key}"),
        ("data", f"known: {', '.join(data['known'])}; {data['folder']}: {state}"),
        ("cache", f"{cache['kernels']}: {'writable' if cache['writable'] else 'NOT writable'}, {free}"),
    ]
