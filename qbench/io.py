"""Files that appear whole or not at all, values that JSON can hold, and tensors: safetensors, never a pickle."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, whose file replaces `path` at the end: a reader sees the old file or the new one.

    The contents are on disk before the name is, in case of a power cut. An error leaves the old file and no other; a
    kill leaves `.<name>.tmp` beside it, which the next writing replaces. One writer at a time.

    A link stays, and what it leads to is replaced. A device or a pipe (/dev/null, /dev/stdout) stays and is written to.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _synchronize(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _synchronize(path.parent)


def _synchronize(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def finite(value: Any) -> Any:
    """Return `value`, plain and at any depth, with None for each infinite number and NaN, which JSON cannot hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value


_NESTED = "::"  # joins a state_dict's key and the key of a mapping stored under it (an extra state)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file, as `replacing` does."""
    from safetensors.torch import save_file  # loads torch, which writers of text do not need

    with replacing(path) as temporary:
        save_file({key: tensor.detach().contiguous().cpu() for key, tensor in tensors.items()}, temporary)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Raises:
        SafetensorError: a file of another format, or a damaged one.
    """
    from safetensors.torch import load_file

    return load_file(path)


def flat_state(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a state_dict as one level of tensors; a mapping under a key becomes keys `key::inner`."""
    flat: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}{_NESTED}{inner}": tensor for inner, tensor in value.items()})
        else:
            flat[key] = value
    return flat


def load_state(module: nn.Module, flat: Mapping[str, Tensor]) -> None:
    """Load a state that `flat_state` made.

    Raises:
        RuntimeError: keys or shapes that are not the module's.
    """
    state: dict[str, Any] = {}
    for key, tensor in flat.items():
        outer, nested, inner = key.partition(_NESTED)
        if nested:
            state.setdefault(outer, {})[inner] = tensor
        else:
            state[key] = tensor
    module.load_state_dict(state)
