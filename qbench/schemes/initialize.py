"""Initial latent weights, and the scale of their updates."""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import nn

from qbench.nn.quant_layer import quant_layers
from qbench.schemes.scheme import Scheme
from qbench.seeds import derive


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

    The same seed draws the same weights. Layers whose weights stay float32 keep theirs.

    Source: BinaryConnect's and BinaryNet's published code.
    """
    generator = torch.Generator().manual_seed(derive(seed, "latent"))
    if scheme.recipe.initial_weights == "uniform":
        for _, layer in quant_layers(model):
            if layer.weight_quantizer is not None:
                layer.weight.uniform_(-1, 1, generator=generator)
