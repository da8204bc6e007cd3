"""Initial latent weights, and the scale of their updates."""

from __future__ import annotations

import logging
from math import prod, sqrt

import torch
from torch import nn

from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.schemes.scheme import Scheme
from qbench.seeds import derive

_log = logging.getLogger(__name__)


def glorot_scale(weight: torch.Tensor) -> float:
    """Return `sqrt((fan_in + fan_out) / 1.5)` of a weight; both fans count each of a convolution's k·k taps.

    A binary layer's update is multiplied by it (after Glorot); without it, deep binary networks stop learning early.
    Source: the authors' published code of BinaryConnect and BinaryNet.

    Args:
        weight: [out, in, ...].

    >>> round(glorot_scale(torch.empty(128, 3, 3, 3)), 2)
    28.04
    """
    window = prod(weight.shape[2:])
    return sqrt((weight.shape[0] + weight.shape[1]) * window / 1.5)


@torch.no_grad()
def initialize(model: nn.Module, scheme: Scheme, seed: int) -> None:
    """Draw the latent weights of quantized layers from U(-1, 1), where the scheme says so.

    The same seed draws the same weights. Layers whose weights stay float32, or are frozen (`requires_grad` is False),
    keep theirs. Weights that are not as torch initializes them may be trained: one warning names their layers.

    Source: BinaryConnect's and BinaryNet's published code.
    """
    generator = torch.Generator().manual_seed(derive(seed, "latent"))
    if scheme.recipe.initial_weights == "keep":
        return
    drawn = [
        (name, layer)
        for name, layer in quant_layers(model)
        if layer.weight_quantizer is not None and layer.weight.requires_grad
    ]
    unusual = [name for name, layer in drawn if not _looks_new(layer)]
    if unusual:
        more = f" and {len(unusual) - 3} more" if len(unusual) > 3 else ""
        _log.warning(
            "%s draws the weights of %s%s anew, which are not as torch initializes them: if they are trained, "
            "start from them by initial_weights: keep",
            scheme.name,
            ", ".join(unusual[:3]),
            more,
        )
    for _, layer in drawn:
        layer.weight.uniform_(-1, 1, generator=generator)


def _looks_new(layer: QuantLayer) -> bool:
    """Whether no weight is beyond torch's initial bounds: of U(-1/√fan_in, 1/√fan_in), or 6 of a table's N(0, 1)."""
    weight = layer.weight
    bound = 6.0 if isinstance(layer, nn.Embedding) else prod(weight.shape[1:]) ** -0.5
    return not weight.numel() or float(weight.abs().max()) <= bound * (1 + 1e-6)
