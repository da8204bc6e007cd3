"""Packs a trained binary network: checks that it is one, folds what follows each layer, keeps signs and thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cuda_ext
from qbench.deploy.chain import Block, blocks, pair
from qbench.deploy.packed.spec import Function, InputSpec, LayerSpec, NetworkSpec, PackedModel, PoolSpec, Step
from qbench.deploy.packed.threshold import IsPositive, fold_float, fold_integer
from qbench.errors import UserError
from qbench.nn.activation import Activation
from qbench.nn.folding import Norm, ShiftNorm
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_linear import QuantLinear
from qbench.training.module import QuantModule
from quantizers import BINARY, FLOAT32, PIXEL8, Pixel8, Pixels, Quantized, Sign


class NotPackableError(UserError):
    """A network that has no packed form here; the message names the layer and the reason."""


@torch.no_grad()
def pack(
    module: nn.Module,
    input_shape: tuple[int, ...],
    pixels: Pixels | None = None,
    made_from: Mapping[str, str | int | float | None] | None = None,
) -> PackedModel:
    """The packed form of a trained network, as evaluation runs it.

    The network is a chain of `qbench.blocks` with ±1 weights, which may have a positive scale per output channel
    (XNOR-Net's). The last block gives the scores.

    Every decision of the packed network is the module's own: thresholds are found by asking its float32 arithmetic
    (see `threshold`), and the last layer's scale and shift are the two numbers that its BatchNorm computes. So scores
    are equal bit for bit wherever the sums are: always where inputs are ±1 and weights not scaled, and in a first layer
    on pixels where float32 sums of them are exact (digits), else up to the rounding of the module's own sum. Scaled
    weights count as `sum · scale`, one rounding, as the QuantOps have it.

    Args:
        module: a QuantModule or its network, on the CPU.
        input_shape: of one image, channels first.
        pixels: what the images are made of; the first layer is then integer arithmetic. None keeps it real, unless the
            network's input passes through `Pixel8`, which decides.
        made_from: where it comes from, kept in the file.

    Raises:
        NotPackable: a network of another structure or with other formats.
    """
    if isinstance(module, QuantModule):
        if type(module).forward is not QuantModule.forward:
            raise NotPackableError(f"{type(module).__name__}: overrides forward, which a packed network does not run")
        network = module.model
    else:
        network = module
    chain = blocks(network, NotPackableError)
    for block in chain:
        _check(block, first=block is chain[0])
    if len(input_shape) > 1 and isinstance(chain[0].layer, QuantLinear) and not chain[0].flatten:
        raise NotPackableError(f"{chain[0].name}: a linear layer on an image needs an nn.Flatten before it")
    spec = NetworkSpec(
        input=_input(chain[0].layer, input_shape, pixels),
        layers=tuple(_layer_spec(block, last=block is chain[-1]) for block in chain),
        made_from=dict(made_from or {}),
    )
    try:
        steps = spec.steps()
    except ValueError as error:
        raise NotPackableError(str(error)) from None
    tensors: dict[str, Tensor] = {}
    for block, step in zip(chain, steps, strict=True):
        found = _tensors(block, step, spec.input.pixels)
        tensors |= {f"{block.name}.{key}": tensor.clone().contiguous() for key, tensor in found.items()}
    model = PackedModel(spec, tensors)
    model.check()
    return model


def _check(block: Block, first: bool) -> None:
    _check_layer(block.name, block.layer, first)
    if block.norm is not None:
        _check_norm(block.name, block.norm)
    if type(block.pool) not in (nn.MaxPool2d, type(None)):
        raise NotPackableError(f"{block.name}: is pooled by {type(block.pool).__name__}, which has no packed form")


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
        raise NotPackableError(f"{name}: has a bias, which the float sum starts from: its rounding cannot be repeated")
    if isinstance(layer, QuantConv2d) and layer.groups != 1:
        raise NotPackableError(f"{name}: has {layer.groups} groups; a packed convolution has one")
    _check_scale(name, layer.quantized_weight())
    quantizer = layer.input_quantizer
    if quantizer is not None and quantizer.format == BINARY and not quantizer.quantize(torch.zeros(1)).has_unit_scale:
        raise NotPackableError(f"{name}: its binary inputs are scaled; packed ones are -1 and +1")


def _check_scale(name: str, weight: Quantized) -> None:
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


def _input(layer: QuantLayer, shape: tuple[int, ...], pixels: Pixels | None) -> InputSpec:
    quantizer = layer.input_quantizer
    if type(quantizer) is Pixel8:
        pixels = quantizer.pixels
    elif type(quantizer) is Sign:
        return InputSpec(shape=shape, kind="sign")
    elif quantizer is not None:
        name = type(quantizer).__name__
        raise NotPackableError(
            f"the network's input passes through {name}; only Sign, Pixel8 and float32 have a packed form"
        )
    return InputSpec(shape=shape, kind="real" if pixels is None else "pixels", pixels=pixels)


def _layer_spec(block: Block, last: bool) -> LayerSpec:
    layer, pool = block.layer, block.pool
    window: dict[str, Any] = {}
    if isinstance(layer, QuantConv2d):
        window = {key: getattr(layer.window, key) for key in ("stride", "padding", "dilation")}
        window["kernel"] = pair(layer.kernel_size)
    binary = not last and block.following is not None
    return LayerSpec(
        name=block.name,
        kind="conv2d" if isinstance(layer, QuantConv2d) else "linear",
        inputs=layer.weight.shape[1],
        outputs=layer.weight.shape[0],
        **window,
        pool=None
        if pool is None
        else PoolSpec(
            kernel=pair(pool.kernel_size),
            stride=pair(pool.stride),
            padding=pair(pool.padding),
            before_norm=block.pool_before_norm,
        ),
        output="bits" if binary else "float32",
        scaled=not binary and not layer.quantized_weight().has_unit_scale,
        norm=block.norm is not None and not binary,
        centred=isinstance(block.norm, ShiftNorm) and not binary,
        activation="identity" if binary else cast(Function, block.activation),
    )


def _tensors(block: Block, step: Step, pixels: Pixels | None) -> dict[str, Tensor]:
    layer, weight = step.layer, block.layer.quantized_weight()
    found = {"weight": cuda_ext.to_bytes(cuda_ext.pack_signs(weight.codes.flatten(1).float()), layer.dot_length)}
    if layer.output == "bits":
        if step.reads == "real":
            found["threshold"], rising = fold_float(_is_positive(block, weight), layer.outputs)
        else:
            largest, divisor = (1, 1) if pixels is None or step.reads == "bits" else (pixels.bound, pixels.divisor)
            bound = largest * layer.dot_length
            found["threshold"], rising = fold_integer(_is_positive(block, weight), bound, divisor, layer.outputs)
        signs = rising.to(torch.float32) * 2 - 1
        found["direction"] = cuda_ext.to_bytes(cuda_ext.pack_signs(signs), layer.outputs)
        return found
    if layer.scaled:
        found["weight_scale"] = weight.scale.reshape(-1).expand(layer.outputs)
    if block.norm is not None:
        found["scale"], found["shift"] = scale_and_shift(block.norm)
    if layer.centred:
        assert block.norm is not None
        assert block.norm.running_mean is not None
        found["mean"] = block.norm.running_mean
    return found


def _is_positive(block: Block, weight: Quantized) -> IsPositive:
    """What the next layer reads of sums of signs: the module's own float32 arithmetic, asked.

    That is the weights' scale, BatchNorm, activation, and the next layer's quantizer.
    """
    quantizer, activation = block.following, Activation(block.activation)
    assert quantizer is not None
    normalize = _normalization(block.norm)
    scale = None if weight.has_unit_scale else weight.scale.reshape(-1)
    largest = torch.finfo(torch.float32).max

    def is_positive(sums: Tensor) -> Tensor:
        values = sums.unsqueeze(0)
        if scale is not None:  # one above 1 is to make no infinity of the largest float sums: times γ = 0 it is NaN
            values = (values * scale).clamp(-largest, largest)
        return quantizer.quantize(activation(normalize(values))).codes[0] > 0

    return is_positive


def _normalization(norm: Norm | None) -> Callable[[Tensor], Tensor]:
    """The BatchNorm's evaluation of float32 [B, C], in its own arithmetic; of images it is the same at every pixel."""
    if norm is None:
        return lambda x: x
    mean = norm.running_mean
    assert mean is not None
    if isinstance(norm, ShiftNorm):
        factor, shift = scale_and_shift(norm)
        return lambda x: (x - mean) * factor + shift
    return lambda x: F.batch_norm(x, mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)


def scale_and_shift(norm: Norm) -> tuple[Tensor, Tensor]:
    """The two float32 numbers per channel of a BatchNorm's evaluation: `y = x·scale + shift`.

    Those that torch's BatchNorm computes, asked for and not recomputed: `shift` is its value at 0; `scale` its value at
    1 without mean and bias, `1·scale + 0`. A shift-based one subtracts first: `y = (x - mean)·scale + shift`.
    """
    if isinstance(norm, ShiftNorm):
        return norm.factor(), torch.zeros(norm.num_features) if norm.bias is None else norm.bias.detach()
    shift = _normalization(norm)(torch.zeros(1, norm.num_features))[0]
    assert norm.running_mean is not None
    no_mean = torch.zeros_like(norm.running_mean)
    ones = torch.ones(1, norm.num_features)
    scale = F.batch_norm(ones, no_mean, norm.running_var, norm.weight, None, False, 0.0, norm.eps)[0]
    return scale, shift
