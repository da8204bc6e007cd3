"""Which blocks have a packed form, and the reasons of those that have none."""

from __future__ import annotations

import torch

from qbench.deploy.block import Block
from qbench.deploy.packed.norm import scale_and_shift
from qbench.errors import UserError
from qbench.nn.norm import Norm
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import QuantLayer
from quantizers import BINARY, FLOAT32, PIXEL8, Pixels, Quantized, Quantizer


class NotPackableError(UserError):
    """A network that has no packed form here; the message names the layer and the reason."""


def check_packable(block: Block, first: bool) -> None:
    """Raise a NotPackableError, with the reason, unless the block has a packed form; `first` may read pixels."""
    _check_layer(block.name, block.layer, first)
    if block.norm is not None:
        _check_norm(block.name, block.norm)
    if block.pool_direction is not None:
        raise NotPackableError(f"{block.name}: its pool takes some channels' smallest values, which has no packed form")


def _check_layer(name: str, layer: QuantLayer, first: bool) -> None:
    if layer.weight.dtype != torch.float32 or layer.weight.device.type != "cpu":
        found = f"{layer.weight.dtype} on {layer.weight.device}"
        raise NotPackableError(f"{name}: is {found}; packing starts from float32 on the CPU")
    if layer.weight_format != BINARY:
        latent = ", its latent ones" if layer.weight_quantizer is not None and layer.latent_evaluation else ""
        raise NotPackableError(
            f"{name}: evaluation uses {layer.weight_format} weights{latent}; a packed layer's are binary"
        )
    if layer.input_format not in (BINARY, FLOAT32) and not (first and layer.input_format == PIXEL8):
        raise NotPackableError(f"{name}: reads {layer.input_format}; a packed layer reads binary values or float32")
    if layer.bias is not None:
        raise NotPackableError(
            f"{name}: has a bias, which the float sum starts from: its rounding cannot be repeated; build it with "
            "bias=False, for the BatchNorm behind it adds a shift"
        )
    if isinstance(layer, QuantConv2d) and layer.groups != 1:
        raise NotPackableError(f"{name}: has {layer.groups} groups; a packed convolution has one")
    if isinstance(layer, QuantConv2d) and any(layer.window.extra):
        raise NotPackableError(
            f"{name}: pads {layer.window.pads} unequally; a packed convolution pads both sides alike"
        )
    _check_weight(name, layer.quantized_weight())


def _check_weight(name: str, weight: Quantized) -> None:
    scale, codes = weight.scale, weight.codes
    per_channel = scale.dim() == codes.dim() and scale.numel() == scale.shape[0] == codes.shape[0]
    if weight.zero_point is not None or not (scale.numel() == 1 or per_channel):
        raise NotPackableError(
            f"{name}: its binary weights have a zero point, or more scales than one an output channel"
        )
    # Of a negative one, a max-pool of the sums is a min-pool of the values.
    if not bool((scale >= 0).all() and scale.isfinite().all()):
        raise NotPackableError(f"{name}: a scale of its binary weights is negative, infinite or NaN")


def _check_norm(name: str, norm: Norm) -> None:
    assert norm.running_mean is not None
    if norm.running_mean.dtype != torch.float32:
        raise NotPackableError(f"{name}: its BatchNorm computes in {norm.running_mean.dtype}, not in float32")
    for value in (norm.running_mean, *scale_and_shift(norm)):
        if not bool(torch.isfinite(value).all()):
            raise NotPackableError(f"{name}: its BatchNorm's mean, scale or shift is infinite or NaN")


def is_sign(quantizer: Quantizer) -> bool:
    """Whether evaluation gives the sign of a number: -1 just below zero, +1 from zero on.

    Quantizers to BINARY are taken to change their answer at most once along the numbers, as they are everywhere here.
    One without an encoding may look at the whole tensor before it answers.
    """
    if quantizer.format != BINARY or quantizer.encoding() is None:
        return False
    smallest = torch.tensor(0.0).nextafter(torch.tensor(1.0))
    found = quantizer.quantize(torch.stack([-smallest, torch.tensor(-0.0), torch.tensor(0.0), smallest]))
    return found.has_unit_scale and found.codes.tolist() == [-1, 1, 1, 1]


def pixels_of(quantizer: Quantizer) -> Pixels | None:
    """Return the pixels that a quantizer of format PIXEL8 rounds to; None for another quantizer."""
    return quantizer.pixels if quantizer.format == PIXEL8 and quantizer.encoding() is not None else None
