"""A module's state on disk: safetensors, never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qbench.files import replacing

_NESTED = "::"  # between a state_dict key and the key of a mapping stored under it (extra states)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors; a reader sees the old file or the new one, never half of one. One writer at a time."""
    with replacing(path) as temporary:
        save_file({key: tensor.detach().contiguous().cpu() for key, tensor in tensors.items()}, temporary)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    return load_file(path)


def flat_state(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """A state_dict as one level of tensors."""
    flat: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}{_NESTED}{inner}": tensor for inner, tensor in value.items()})
        else:
            flat[key] = value
    return flat


def load_state(module: nn.Module, flat: Mapping[str, Tensor]) -> None:
    """Load what `flat_state` made; every key must match."""
    state: dict[str, Any] = {}
    for key, tensor in flat.items():
        outer, nested, inner = key.partition(_NESTED)
        if nested:
            state.setdefault(outer, {})[inner] = tensor
        else:
            state[key] = tensor
    module.load_state_dict(state)
