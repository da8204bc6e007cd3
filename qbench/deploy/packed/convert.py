"""Packs a trained binary network: folds what follows each layer, and keeps signs and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

import cuda_ext
from qbench.deploy.block import Block
from qbench.deploy.chain import blocks
from qbench.deploy.packed.norm import normalization, scale_and_shift
from qbench.deploy.packed.packable import NotPackableError, check_packable, is_sign, pixels_of
from qbench.deploy.packed.spec import Function, InputSpec, LayerSpec, NetworkSpec, PackedModel, PoolSpec, Step
from qbench.deploy.packed.threshold import IsPositive, fold_float, fold_integer
from qbench.nn.activation import Activation
from qbench.nn.graph.example import example_batch
from qbench.nn.norm import ShiftNorm
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import QuantLayer
from qbench.training.scheme_module import SchemeModule
from quantizers import Pixels, Quantized


@torch.no_grad()
def pack(
    module: nn.Module,
    input_shape: tuple[int, ...] | Tensor,
    pixels: Pixels | None = None,
    made_from: Mapping[str, str | int | float | None] | None = None,
) -> PackedModel:
    """Return the packed form of a trained network, as evaluation runs it.

    The network is a chain of blocks (see `qbench.deploy.chain.blocks`) with ±1 weights, which may have a positive scale
    per output channel (XNOR-Net's). The last block gives the scores.

    Every decision of the packed network is the module's own: thresholds are found by asking its float32 arithmetic
    (see `threshold`), and the last layer's scale and shift are the two numbers that its BatchNorm computes. So scores
    are equal bit for bit wherever the sums are: always where inputs are ±1 and weights not scaled, and in a first layer
    on pixels where float32 sums of them are exact (digits), else up to the rounding of the module's own sum. Scaled
    weights count as `sum · scale`, one rounding, as the QuantOps have it.

    Args:
        module: a QuantModule or its network, on the CPU.
        input_shape: of one image, channels first; or a batch of images.
        pixels: what the images are made of; the first layer is then integer arithmetic. None keeps it real, unless the
            network's input passes through a quantizer to pixels, which decides.
        made_from: where it comes from, kept in the file.

    Raises:
        NotPackableError: a network of another structure or with other formats.
    """
    network = _network(module)
    chain = blocks(network, input_shape, NotPackableError)
    for block in chain:
        check_packable(block, first=block is chain[0])
    # A block writes bits where the next one reads them.
    readers = [*(following if following.layer.input_quantizer else None for following in chain[1:]), None]
    spec = NetworkSpec(
        input=_input(chain[0].layer, tuple(example_batch(input_shape, network).shape[1:]), pixels),
        layers=tuple(_layer_spec(block, reader) for block, reader in zip(chain, readers, strict=True)),
        made_from=dict(made_from or {}),
    )
    try:
        steps = spec.steps()
    except ValueError as error:
        raise NotPackableError(str(error)) from None
    tensors: dict[str, Tensor] = {}
    for block, reader, step in zip(chain, readers, steps, strict=True):
        found = _tensors(block, reader, step, spec.input.pixels)
        tensors |= {f"{block.name}.{key}": tensor.clone().contiguous() for key, tensor in found.items()}
    model = PackedModel(spec, tensors)
    model.check()
    return model


def _network(module: nn.Module) -> nn.Module:
    """Return the network of a QuantModule, whose forward must be that network's; another module is the network."""
    if not isinstance(module, SchemeModule):
        return module
    if type(module).forward is not SchemeModule.forward:
        raise NotPackableError(f"{type(module).__name__}: overrides forward, which a packed network does not run")
    return module.model


def _input(layer: QuantLayer, shape: tuple[int, ...], pixels: Pixels | None) -> InputSpec:
    quantizer = layer.input_quantizer
    if quantizer is not None:
        if is_sign(quantizer):
            return InputSpec(shape=shape, kind="sign")
        pixels = pixels_of(quantizer)
        if pixels is None:
            name = type(quantizer).__name__
            raise NotPackableError(
                f"the network's input passes through {name}; only a sign, 8-bit pixels and float32 have a packed form"
            )
    return InputSpec(shape=shape, kind="real" if pixels is None else "pixels", pixels=pixels)


def _layer_spec(block: Block, reader: Block | None) -> LayerSpec:
    """Return a layer as data; `reader` is the block that reads its output as bits, None where none does."""
    layer, binary = block.layer, reader is not None
    window: dict[str, Any] = {}
    if isinstance(layer, QuantConv2d):
        window = {key: getattr(layer.window, key) for key in ("stride", "padding", "dilation")}
        window["kernel"] = block.kernel_size
    return LayerSpec(
        name=block.name,
        kind="conv2d" if isinstance(layer, QuantConv2d) else "linear",
        inputs=layer.weight.shape[1],
        outputs=block.channels,
        **window,
        pool=_pool_spec(block),
        output="bits" if binary else "float32",
        scaled=not binary and not layer.quantized_weight().has_unit_scale,
        norm=block.norm is not None and not binary,
        centred=isinstance(block.norm, ShiftNorm) and not binary,
        activation="identity" if binary else cast(Function, block.activation),
    )


def _pool_spec(block: Block) -> PoolSpec | None:
    window = block.pool
    if window is None:
        return None
    return PoolSpec(
        kernel=window.kernel, stride=window.stride, padding=window.padding, before_norm=block.pool_before_norm
    )


def _tensors(block: Block, reader: Block | None, step: Step, pixels: Pixels | None) -> dict[str, Tensor]:
    """Return the tensors of a layer, by their names within it."""
    layer, weight = step.layer, block.layer.quantized_weight()
    found = {"weight": cuda_ext.to_bytes(cuda_ext.pack_signs(weight.codes.flatten(1).float()), layer.dot_length)}
    if reader is not None:
        found["threshold"], rising = _threshold(_is_positive(block, weight, reader), step, pixels)
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


def _threshold(is_positive: IsPositive, step: Step, pixels: Pixels | None) -> tuple[Tensor, Tensor]:
    """Return the threshold of each channel's sum, and whether +1 lies above it; see `threshold`."""
    layer = step.layer
    if step.reads == "real":
        return fold_float(is_positive, layer.outputs)
    largest, divisor = (1, 1) if pixels is None or step.reads == "bits" else (pixels.bound, pixels.divisor)
    return fold_integer(is_positive, largest * layer.dot_length, divisor, layer.outputs)


def _is_positive(block: Block, weight: Quantized, reader: Block) -> IsPositive:
    """Return a function of sums of signs: whether `reader` reads +1, by the module's own float32 arithmetic.

    That is the weights' scale, BatchNorm, activation, and the next layer's quantizer.
    """
    quantizer, activation = reader.layer.input_quantizer, Activation(block.activation)
    assert quantizer is not None
    normalize = normalization(block.norm)
    scale = None if weight.has_unit_scale else weight.scale.reshape(-1)
    largest = torch.finfo(torch.float32).max

    def is_positive(sums: Tensor) -> Tensor:
        values = sums.unsqueeze(0)
        if scale is not None:  # one above 1 is to make no infinity of the largest float sums: times γ = 0 it is NaN
            values = (values * scale).clamp(-largest, largest)
        read = quantizer.quantize(activation(normalize(values)))
        if not read.has_unit_scale:
            raise NotPackableError(f"{reader.name}: its binary inputs are scaled; packed ones are -1 and +1")
        return read.codes[0] > 0

    return is_positive
