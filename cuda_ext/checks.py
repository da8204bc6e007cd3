"""Argument checks of the public wrappers: TypeError or ValueError naming the argument, what was expected, what came."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from cuda_ext.layout import packed_words

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
MAX_ELEMENTS = 2**31 - 1


def shape_of(tensor: Tensor) -> str:
    """Format a shape for a message: `[3, 16]`."""
    return "[" + ", ".join(str(n) for n in tensor.shape) + "]"


def tensor(name: str, value: object, dtypes: Sequence[torch.dtype], dim: int | None = None) -> Tensor:
    """Return `value` as a contiguous tensor of one of `dtypes` with `dim` dimensions (None: at least one)."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")
    if value.dtype not in dtypes:
        expected = " or ".join(str(d).removeprefix("torch.") for d in dtypes)
        raise TypeError(f"{name}: expected dtype {expected}, got {str(value.dtype).removeprefix('torch.')}")
    if value.layout != torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got layout {value.layout}")
    dimensions = value.dim()
    if dim is not None and dimensions != dim:
        raise ValueError(f"{name}: expected {dim} dimensions, got shape {shape_of(value)}")
    if dimensions < 1:
        raise ValueError(f"{name}: expected at least 1 dimension, got a scalar")
    elements(name, value.numel())
    return value.contiguous()


def elements(name: str, count: int) -> None:
    """Raise ValueError for a tensor of more than 2^31 - 1 elements: the kernels count in 32 bits."""
    if count > MAX_ELEMENTS:
        raise ValueError(f"{name}: expected at most 2^31 - 1 elements, got {count}")


def length(name: str, value: Any, largest: int = MAX_ELEMENTS) -> int:
    """Return `value` as the true length of a row, in 1..largest."""
    if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    if value < 1 or value > largest:
        raise ValueError(f"{name}: expected 1 to {largest}, got {value}")
    return cast(int, value)


def packed(name: str, value: object, k: int, dim: int | None = None, k_name: str = "k") -> Tensor:
    """Return `value` as packed rows of `k` signs: int32 [..., 16·⌈k/512⌉], contiguous."""
    bits = tensor(name, value, (torch.int32,), dim)
    if bits.shape[-1] != packed_words(k):
        raise ValueError(
            f"{name}: expected last dimension {packed_words(k)} (= 16·⌈{k_name}/512⌉ for {k_name} = {k}), "
            f"got shape {shape_of(bits)}"
        )
    return bits


def same_device(**tensors: Tensor) -> None:
    """Raise ValueError, naming the first two that differ, where the tensors are not on one device."""
    first = device = None
    for name, value in tensors.items():
        if device is None:
            first, device = name, value.device
        elif value.device != device:
            raise ValueError(f"{name}: expected device {device} as {first}, got {value.device}")


def pair(name: str, value: int | Sequence[int], smallest: int) -> list[int]:
    """Return an int, or (vertical, horizontal), as a list of two ints of at least `smallest`."""
    if type(value) is int and value >= smallest:  # the usual argument: the rest takes longer than a thread to wake up
        return [value, value]
    numbers: list[Any] = list(value) if isinstance(value, (tuple, list)) else [value, value]
    if any(isinstance(n, bool) or not isinstance(n, (int, torch.SymInt)) for n in numbers):
        raise TypeError(f"{name}: expected an int or two ints, got {value!r}")
    if len(numbers) != 2 or any(n < smallest for n in numbers):
        raise ValueError(f"{name}: expected an int or two ints of at least {smallest}, got {value!r}")
    return numbers
