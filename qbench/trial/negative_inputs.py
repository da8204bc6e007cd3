"""Inputs below zero that a quantizer without negative codes rounds to 0."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from qbench.nn.quant_layer import quant_layers

_log = logging.getLogger(__name__)


@contextmanager
def counting_negative_inputs(network: nn.Module) -> Iterator[dict[str, int]]:
    """Count the negative inputs of each layer whose input quantizer counts them, while the context lasts.

    Yields the counts by layer name, which are there after the context; no layer of another quantizer is among them.
    Where there are any, a warning names the layers: what the network was told of its inputs' sign does not hold.
    """
    before = _counts(network)
    found: dict[str, int] = {}
    yield found
    found.update({name: count - before[name] for name, count in _counts(network).items() if name in before})
    lost = {name: count for name, count in found.items() if count}
    if lost:
        each = ", ".join(f"{name} {count:,}" for name, count in lost.items())
        _log.warning("inputs below zero became 0, for their layers' codes are unsigned: %s; set signed: true", each)


def _counts(network: nn.Module) -> dict[str, int]:
    found = {name: layer.input_quantizer for name, layer in quant_layers(network)}
    counts = {name: quantizer.negative_inputs for name, quantizer in found.items() if quantizer is not None}
    return {name: count for name, count in counts.items() if count is not None}
