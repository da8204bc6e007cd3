"""Repeated 2-D filters: how many k×k binary filters of a layer are distinct.

A result can be reused only for the same input map, so filters are compared per input map. A filter and its inverse
([-1, 1, -1] and [1, -1, 1]) give results of opposite sign and count as one.

Source: BinaryNet (arXiv 1602.02830), on filter repetition: its CIFAR-10 net keeps 42 % and saves "about 3×".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from qbench.nn.graph.example import example_batch
from qbench.nn.layer_calls import layer_calls
from quantizers import BINARY


@dataclass(frozen=True)
class FilterRepetition:
    """The repetition of one convolution layer's 2-D filters.

    Attributes:
        filters: M_l, how many are applied to each input map.
        input_maps: M_(l-1), of one group.
        size: k·k, the binary weights in a filter.
        positions: the places each filter is applied at.
        distinct: Σ over input maps of the distinct filters, a filter and its inverse counted once.
        distinct_signed: the same, a filter and its inverse counted as two.
    """

    filters: int
    input_maps: int
    size: int
    positions: int
    distinct: int
    distinct_signed: int

    @property
    def unique_fraction(self) -> float:
        """Mean over input maps of distinct / M_l, inverses counted once."""
        return self.distinct / (self.filters * self.input_maps)

    @property
    def unique_fraction_signed(self) -> float:
        """Mean over input maps of distinct / M_l, inverses counted as two."""
        return self.distinct_signed / (self.filters * self.input_maps)

    @property
    def bound(self) -> int:
        """2^(k·k): the distinct k×k binary filters there can be."""
        return 2**self.size

    @property
    def random_fraction(self) -> float:
        """Expected unique_fraction of random weights: V·(1 - (1 - 1/V)^M) / M, V = 2^(k·k - 1) filters up to sign."""
        return _expected_distinct(self.bound // 2, self.filters) / self.filters

    @property
    def random_fraction_signed(self) -> float:
        """Expected unique_fraction_signed of random weights, V = 2^(k·k)."""
        return _expected_distinct(self.bound, self.filters) / self.filters


def _expected_distinct(values: int, draws: int) -> float:
    """Return how many distinct values `draws` uniform draws out of `values` are expected to give."""
    return values * (1 - (1 - 1 / values) ** draws)


def filter_repetition(weight: Tensor, positions: int) -> FilterRepetition:
    """Count the distinct 2-D filters of a binary convolution weight.

    Args:
        weight: [M_l, M_(l-1), k, k] of -1 and +1 (any dtype).
        positions: output positions of the layer.

    Raises:
        ValueError: another shape, values other than ±1, or k·k above 62 (a filter must fit a 64-bit word).
    """
    codes = filter_codes(weight)
    filters, maps = codes.shape
    size = prod(weight.shape[2:])
    canonical = torch.minimum(codes, (2**size - 1) - codes)
    return FilterRepetition(
        filters, maps, size, positions, distinct=_distinct(canonical), distinct_signed=_distinct(codes)
    )


def filter_codes(weight: Tensor) -> Tensor:
    """Return each 2-D filter as a number, int64 [M, C]: bit i is 1 where weight i (row by row) is +1.

    Raises:
        ValueError: as `filter_repetition`.
    """
    if weight.dim() != 4:
        raise ValueError(f"weight must be [M, C, k, k], got shape {list(weight.shape)}")
    if not bool((weight.abs() == 1).all()):
        raise ValueError("weight must hold only -1 and +1: quantize the latent weights first")
    size = prod(weight.shape[2:])
    if size > 62:
        raise ValueError(f"filters of {size} weights do not fit a 64-bit word; at most 62 (7×7) are counted")
    powers = 2 ** torch.arange(size, dtype=torch.int64, device=weight.device)
    return ((weight.flatten(2) > 0).long() * powers).sum(-1)


def _distinct(codes: Tensor) -> int:
    """Return Σ over columns of the distinct values in the column."""
    ordered = codes.sort(dim=0).values
    return codes.shape[1] + int((ordered[1:] != ordered[:-1]).sum())


@dataclass(frozen=True)
class NetworkRepetition:
    """Filter repetition over a network's binary convolutions.

    Attributes:
        layers: (name, repetition) of each.
        unique_fraction, unique_fraction_signed: means over layers.
        random_fraction, random_fraction_signed: the same, expected of random weights: the baseline that a trained net
            must be read against.
        op_reduction: k×k XNOR-popcount operations without reuse, divided by those with reuse; each layer weighted by
            its positions.
        random_op_reduction: the same, expected of random weights.
        op_reduction_with_additions: as op_reduction, where one application of a k×k filter is k·k operations and the
            additions that sum the reused results over the input maps (one per filter, map and position) remain.
    """

    layers: tuple[tuple[str, FilterRepetition], ...]
    unique_fraction: float
    unique_fraction_signed: float
    random_fraction: float
    random_fraction_signed: float
    op_reduction: float
    random_op_reduction: float
    op_reduction_with_additions: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: the fields, and each layer's counts with its fractions, bound and baseline."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self) if field.name != "layers"},
            "layers": [
                {
                    "name": name,
                    **asdict(layer),
                    **{key: getattr(layer, key) for key in _LAYER_METRICS},
                }
                for name, layer in self.layers
            ],
        }


_LAYER_METRICS = ("unique_fraction", "unique_fraction_signed", "bound", "random_fraction", "random_fraction_signed")


def network_repetition(layers: Iterable[tuple[str, FilterRepetition]]) -> NetworkRepetition | None:
    """Combine the repetition of layers, by name; None without a binary convolution whose filters exceed 1×1."""
    named = tuple((name, layer) for name, layer in layers if layer.size > 1)
    if not named:
        return None
    each = [layer for _, layer in named]
    applied = [layer.filters * layer.input_maps * layer.positions for layer in each]
    distinct = [layer.distinct * layer.positions for layer in each]
    random = [count * layer.random_fraction for count, layer in zip(applied, each, strict=True)]
    size = [layer.size for layer in each]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    return NetworkRepetition(
        layers=named,
        unique_fraction=mean([layer.unique_fraction for layer in each]),
        unique_fraction_signed=mean([layer.unique_fraction_signed for layer in each]),
        random_fraction=mean([layer.random_fraction for layer in each]),
        random_fraction_signed=mean([layer.random_fraction_signed for layer in each]),
        op_reduction=sum(applied) / sum(distinct),
        random_op_reduction=sum(applied) / sum(random),
        op_reduction_with_additions=sum(n * k for n, k in zip(applied, size, strict=True))
        / sum(d * k + n for d, k, n in zip(distinct, size, applied, strict=True)),
    )


def network_filters(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> NetworkRepetition | None:
    """Count the repeated filters of the binary convolutions that evaluation uses; None without any.

    A layer that runs several times is there once, with the places of all its calls.

    Args:
        input_shape: of one example, without the batch; or a batch of examples.
    """
    positions: dict[str, int] = {}
    layers = {}
    for call in layer_calls(network, example_batch(input_shape, network)):
        if isinstance(call.layer, nn.Conv2d) and call.layer.weight_format == BINARY:
            positions[call.name] = positions.get(call.name, 0) + call.layer_shape.positions
            layers[call.name] = call.layer
    return network_repetition(
        (name, filter_repetition(layer.quantized_weight().codes, positions[name])) for name, layer in layers.items()
    )
