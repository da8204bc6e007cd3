"""A packed network's file: safetensors, with the network as JSON in its header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized
from torch import Tensor

from qbench.deploy.packed.network import PackedNetwork
from qbench.deploy.packed.spec import NetworkSpec, PackedModel
from qbench.errors import UserError, config_error
from qbench.io import replacing

FORMAT, VERSION = "qbench-packed", 1


class BadFileError(UserError):
    """A file that holds no packed network that this version can run."""


def save(model: PackedModel, path: str | Path) -> None:
    """Write a packed network; an existing file is replaced, in one step. One writer at a time.

    The file is `8 + header + model.nbytes` bytes: the length of the header, the header (a JSON object of tensor names,
    dtypes, shapes and offsets, and under `__metadata__` a JSON text: version, `NetworkSpec`, SHA-256; padded to a
    multiple of 8), the tensors without a gap.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    # One key: safetensors writes several in an arbitrary order, and equal networks are to make equal files.
    metadata = {FORMAT: header(json.loads(model.spec.model_dump_json(exclude_defaults=True)), model.tensors)}
    tensors = {name: tensor.contiguous().cpu() for name, tensor in model.tensors.items()}
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(serialized(tensors, metadata))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def read(path: str | Path) -> PackedModel:
    """Return the packed network of a file. Nothing in the file is executed.

    Raises:
        BadFileError: no file, a truncated or changed one, one of something else or of another version.
    """
    path = Path(path)
    try:
        with path.open("rb"):  # safetensors' own message for a missing file names no reason
            pass
        with safe_open(path, framework="pt") as file:
            found = _described(path, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise BadFileError(f"{path}: is damaged, or no safetensors file: {error}") from None
    network = found["network"]
    if found["sha256"] != _digest(network, tensors):
        raise BadFileError(f"{path}: is damaged: its contents do not have the checksum it was written with")
    try:
        model = PackedModel(NetworkSpec.model_validate_json(json.dumps(network)), tensors)
        model.check()
    except ValidationError as error:
        raise BadFileError(f"{path}: describes no network: {config_error(error, [])}") from None
    except ValueError as error:
        raise BadFileError(f"{path}: describes no network: {error}") from None
    return model


def load(path: str | Path, device: torch.device | str = "cpu") -> PackedNetwork:
    """Return the packed network of a file, ready to run on `device`.

    Raises:
        BadFileError: as `read`.
    """
    return PackedNetwork(read(path), device)


def header(network: Any, tensors: Mapping[str, Tensor]) -> str:
    """Return the text under `qbench-packed` in the header: the version, the network, and the checksum of all."""
    return _canonical({"version": VERSION, "sha256": _digest(network, tensors), "network": network})


def _described(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the header's description of the network, of a version that this code reads."""
    if FORMAT not in metadata:
        raise BadFileError(f"{path}: is no packed network: `qbench export` makes them")
    try:
        found = json.loads(metadata[FORMAT])
        version, _ = found["version"], (found["sha256"], found["network"])
    except (ValueError, KeyError, TypeError):
        raise BadFileError(f"{path}: is damaged: its header describes nothing") from None
    if version != VERSION:
        raise BadFileError(f"{path}: has format version {version}, this qbench reads {VERSION}")
    return found


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(network: Any, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the network as JSON and of each tensor with its name, dtype and shape."""
    hashed = hashlib.sha256(_canonical(network).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        hashed.update(f"\0{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
        hashed.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()
