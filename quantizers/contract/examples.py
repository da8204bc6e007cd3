"""The tensors that quantizers are checked with."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from quantizers.formats import NumberFormat
from quantizers.layer_place import LayerPlace

BATCH = 4
"""Examples in a batch of inputs."""
POSITIONS = (7, 5)
"""The height and width of a convolution's inputs."""
PLANTED = (0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -2.5)
"""Values that quantizers treat apart: zeros, ties of whole codes, the ends of ±1."""

Shape = tuple[int, ...]
_ROWS, _WIDTH, _WINDOW = 6, 41, 3
_SMALL = 4096  # values that are checked in a few milliseconds


def default_shapes(role: str) -> tuple[Shape, ...]:
    """Return the shapes of a linear layer's and a convolution's tensors, for a quantizer of no layer in particular."""
    return ((_ROWS, 331), (_ROWS, 5, 3, 3)) if role == "weights" else ((_ROWS, 331), (_ROWS, 5, 7, 3))


def shape_at(place: LayerPlace) -> Shape:
    """Return the shape of the tensors that a quantizer meets at a place; of an input a batch of `BATCH` examples."""
    if place.role == "weights":
        return place.weight_shape
    return (BATCH, place.input_channels, *POSITIONS[: len(place.weight_shape) - 2])


def smaller_shapes(shape: Shape, role: str, format: NumberFormat) -> list[Shape]:
    """Return shapes to try in turn in place of `shape`: few rows, then all rows of few values, then `shape` itself.

    A large layer would take seconds; a quantizer with an entry for each channel, or weight, takes no fewer of these.
    """
    if prod(shape) <= _SMALL:
        return [shape]
    first = shape[0] if role == "activations" else min(shape[0], _ROWS)
    width = max(_WIDTH, 2 * (format.group_size or 0) + 9)
    rest = [min(size, width if place == 0 else _WINDOW) for place, size in enumerate(shape[1:])]
    if role == "activations":
        rest[1:] = shape[2:]
    return list(dict.fromkeys([(first, *rest), (shape[0], *rest), shape]))


def ordinary(shape: Shape, seed: int = 0) -> Tensor:
    """Return float32 values of a normal distribution, with `PLANTED` among them in fixed places."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    flat = x.view(-1)
    count = min(len(PLANTED), flat.numel() // 2)
    flat[torch.arange(count) * (flat.numel() // max(count, 1))] = torch.tensor(PLANTED[:count])
    return x


def ties(shape: Shape, step: float = 1.0) -> Tensor:
    """Return multiples of half a step, from -4 to 4 steps: half of them lie midway between two codes."""
    count = int(torch.tensor(shape).prod())
    return ((torch.arange(count) % 17 - 8) * (step / 2)).view(shape).float()


def every_kind(shape: Shape, step: float = 1.0) -> dict[str, Tensor]:
    """Return tensors by what they are: ordinary ones, ties, large and small magnitudes."""
    x = ordinary(shape)
    return {"ordinary values": x, "ties": ties(shape, step), "large values": x * 1e4, "small values": x * 1e-6}
