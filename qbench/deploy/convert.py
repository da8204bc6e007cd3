"""Packs a trained binary network: checks that it is one, folds what follows each layer, keeps signs and thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cuda_ext
from qbench.deploy.spec import Function, InputSpec, LayerSpec, NetworkSpec, PackedModel, PoolSpec, Step
from qbench.deploy.threshold import IsPositive, fold_float, fold_integer
from qbench.errors import UserError
from qbench.layers import Activation, QuantConv2d, QuantLayer, QuantLinear
from qbench.module import QuantModule
from quantizers import BINARY, FLOAT32, PIXEL8, Pixel8, Pixels, Quantizer, Sign

_Norm = nn.BatchNorm1d | nn.BatchNorm2d


class NotPackable(UserError):
    """A network that has no packed form here; the message names the layer and the reason."""


@dataclass
class _Block:
    """A layer and the modules that follow it up to the next one."""

    name: str
    layer: QuantLinear | QuantConv2d
    norm: _Norm | None = None
    pool: nn.MaxPool2d | None = None
    pool_before_norm: bool = True
    activation: Function | None = None
    following: Quantizer | None = None
    """the next layer's input quantizer; None for float32, and after the last layer"""

    def value(self, sums: Tensor) -> Tensor:
        """What the module's own float32 arithmetic makes of sums [..., C]: BatchNorm, then the activation."""
        if self.norm is not None:
            sums = _normalize(self.norm, sums)
        return Activation(self.activation or "identity")(sums)

    def is_positive(self) -> IsPositive:
        quantizer = self.following
        assert quantizer is not None
        return lambda sums: quantizer.quantize(self.value(sums.unsqueeze(0))).codes[0] > 0


@torch.no_grad()
def pack(
    module: nn.Module,
    input_shape: tuple[int, ...],
    pixels: Pixels | None = None,
    made_from: Mapping[str, str | int | float | None] | None = None,
) -> PackedModel:
    """The packed form of a trained network, as evaluation runs it.

    The network is an nn.Sequential (nested ones are opened) of blocks: QuantLinear or QuantConv2d with ±1 weights,
    then at most one nn.MaxPool2d, one BatchNorm and one activation slot, with nn.Flatten before linear layers;
    nn.Dropout and nn.Identity pass. The last block gives the scores.

    Every decision of the packed network is the module's own: thresholds are found by asking its float32 arithmetic
    (see `threshold`), and the last layer's scale and shift are the two numbers that its BatchNorm computes. So scores
    are equal bit for bit wherever the sums are: always where inputs are ±1, and in a first layer on pixels where
    float32 sums of them are exact (digits), else up to the rounding of the module's own sum.

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
            raise NotPackable(f"{type(module).__name__}: overrides forward, which a packed network does not run")
        network = module.model
    else:
        network = module
    blocks = _blocks(network, image=len(input_shape) > 1)
    spec = NetworkSpec(
        input=_input(blocks[0].layer, input_shape, pixels),
        layers=tuple(_layer_spec(block, last=block is blocks[-1]) for block in blocks),
        made_from=dict(made_from or {}),
    )
    try:
        steps = spec.steps()
    except ValueError as error:
        raise NotPackable(str(error)) from None
    tensors: dict[str, Tensor] = {}
    for block, step in zip(blocks, steps, strict=True):
        found = _tensors(block, step, spec.input.pixels)
        tensors |= {f"{block.name}.{key}": tensor.contiguous() for key, tensor in found.items()}
    model = PackedModel(spec, tensors)
    model.check()
    return model


def _blocks(network: nn.Module, image: bool) -> list[_Block]:
    """The network cut before each layer; `image`: what comes in has more than one dimension."""
    blocks: list[_Block] = []
    for name, module in _opened(network, ""):
        if isinstance(module, QuantLayer):
            _check_layer(name, module, first=not blocks)
            assert isinstance(module, QuantLinear | QuantConv2d)
            if isinstance(module, QuantLinear) and image:
                raise NotPackable(f"{name}: a linear layer on an image needs an nn.Flatten before it")
            if blocks:
                blocks[-1].following = module.input_quantizer
            blocks.append(_Block(name, module))
            image = isinstance(module, QuantConv2d)
        elif type(module) is nn.Flatten:
            if (module.start_dim, module.end_dim) != (1, -1):
                raise NotPackable(f"{name}: flattens other dimensions than all but the batch")
            image = False
        elif type(module) not in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity):  # which evaluation skips
            if not blocks:
                raise NotPackable(f"{name}: {type(module).__name__} comes before the first layer")
            _add(blocks[-1], name, module)
    if not blocks:
        raise NotPackable("the network has no layer")
    return blocks


def _opened(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules of nested nn.Sequentials in order."""
    if type(module) is not nn.Sequential:
        if not prefix:
            raise NotPackable(f"the network is {type(module).__name__}, not an nn.Sequential: its order is not known")
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _opened(child, f"{prefix}.{name}" if prefix else name)


def _add(block: _Block, name: str, module: nn.Module) -> None:
    """Take `module` into the block before it."""
    if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d):
        if block.norm is not None or block.activation is not None:
            raise NotPackable(f"{name}: a BatchNorm after another or after an activation")
        assert isinstance(module, _Norm)
        _check_norm(name, module, block.layer.weight.shape[0])
        block.norm = module
    elif type(module) is nn.MaxPool2d:
        if block.pool is not None:
            raise NotPackable(f"{name}: a second max-pool after one layer")
        if module.ceil_mode or module.return_indices or _pair(module.dilation) != (1, 1):
            raise NotPackable(f"{name}: max-pool with ceil_mode, dilation or indices")
        block.pool = module
        # an activation never decreases: pooling before it and after it are the same
        block.pool_before_norm = block.norm is None
    elif type(module) in (Activation, nn.ReLU):
        if block.activation is not None:
            raise NotPackable(f"{name}: a second activation after one layer")
        block.activation = cast(Function, module.function) if isinstance(module, Activation) else "relu"
    else:
        raise NotPackable(f"{name}: {type(module).__name__} has no packed form")


def _check_layer(name: str, layer: QuantLayer, first: bool) -> None:
    if layer.weight.dtype != torch.float32 or layer.weight.device.type != "cpu":
        found = f"{layer.weight.dtype} on {layer.weight.device}"
        raise NotPackable(f"{name}: is {found}; packing starts from float32 on the CPU")
    if type(layer) not in (QuantLinear, QuantConv2d):
        raise NotPackable(f"{name}: {type(layer).__name__} may compute otherwise than QuantLinear and QuantConv2d")
    if layer.weight_format != BINARY:
        latent = ", its latent ones" if layer.weight_quantizer is not None and layer.latent_evaluation else ""
        raise NotPackable(f"{name}: evaluation uses {layer.weight_format} weights{latent}; a packed layer's are binary")
    if layer.input_format not in (BINARY, FLOAT32) and not (first and layer.input_format == PIXEL8):
        raise NotPackable(f"{name}: reads {layer.input_format}; a packed layer reads binary values or float32")
    if layer.bias is not None:
        raise NotPackable(f"{name}: has a bias, which the float sum starts from: its rounding cannot be repeated")
    if isinstance(layer, QuantConv2d) and layer.groups != 1:
        raise NotPackable(f"{name}: has {layer.groups} groups; a packed convolution has one")
    if not layer.quantized_weight().has_unit_scale:
        raise NotPackable(f"{name}: its binary weights are scaled; packed ones are -1 and +1")
    quantizer = layer.input_quantizer
    if quantizer is not None and quantizer.format == BINARY and not quantizer.quantize(torch.zeros(1)).has_unit_scale:
        raise NotPackable(f"{name}: its binary inputs are scaled; packed ones are -1 and +1")


def _check_norm(name: str, norm: _Norm, channels: int) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise NotPackable(f"{name}: has no running statistics: it depends on the batch")
    if norm.num_features != channels:
        raise NotPackable(f"{name}: normalizes {norm.num_features} channels of {channels}")
    if norm.running_mean.dtype != torch.float32:
        raise NotPackable(f"{name}: computes in {norm.running_mean.dtype}, not in float32")
    for value in scale_and_shift(norm):
        if not bool(torch.isfinite(value).all()):
            raise NotPackable(f"{name}: its scale or shift is infinite or NaN")


def _input(layer: QuantLayer, shape: tuple[int, ...], pixels: Pixels | None) -> InputSpec:
    quantizer = layer.input_quantizer
    if type(quantizer) is Pixel8:
        pixels = quantizer.pixels
    elif type(quantizer) is Sign:
        return InputSpec(shape=shape, kind="sign")
    elif quantizer is not None:
        name = type(quantizer).__name__
        raise NotPackable(
            f"the network's input passes through {name}; only Sign, Pixel8 and float32 have a packed form"
        )
    return InputSpec(shape=shape, kind="real" if pixels is None else "pixels", pixels=pixels)


def _layer_spec(block: _Block, last: bool) -> LayerSpec:
    layer, pool = block.layer, block.pool
    window: dict[str, Any] = {}
    if isinstance(layer, QuantConv2d):
        window = {key: _pair(getattr(layer, key)) for key in ("stride", "padding", "dilation")}
        window["kernel"] = _pair(layer.kernel_size)
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
            kernel=_pair(pool.kernel_size),
            stride=_pair(pool.stride),
            padding=_pair(pool.padding),
            before_norm=block.pool_before_norm,
        ),
        output="bits" if binary else "float32",
        norm=block.norm is not None and not binary,
        activation="identity" if binary else block.activation or "identity",
    )


def _tensors(block: _Block, step: Step, pixels: Pixels | None) -> dict[str, Tensor]:
    layer = step.layer
    codes = block.layer.quantized_weight().codes.flatten(1)
    found = {"weight": cuda_ext.to_bytes(cuda_ext.pack_signs(codes.float()), layer.dot_length)}
    if layer.output == "bits":
        if step.reads == "real":
            found["threshold"], rising = fold_float(block.is_positive(), layer.outputs)
        else:
            largest, divisor = (1, 1) if pixels is None or step.reads == "bits" else (pixels.bound, pixels.divisor)
            bound = largest * layer.dot_length
            found["threshold"], rising = fold_integer(block.is_positive(), bound, divisor, layer.outputs)
        signs = rising.to(torch.float32) * 2 - 1
        found["direction"] = cuda_ext.to_bytes(cuda_ext.pack_signs(signs), layer.outputs)
    elif block.norm is not None:
        found["scale"], found["shift"] = scale_and_shift(block.norm)
    return found


def scale_and_shift(norm: _Norm) -> tuple[Tensor, Tensor]:
    """The two float32 numbers per channel that torch's BatchNorm computes in evaluation: `y = x·scale + shift`.

    Asked for, not recomputed: `shift` is its value at 0; `scale` its value at 1 without mean and bias, `1·scale + 0`.
    """
    shift = _normalize(norm, torch.zeros(1, norm.num_features))[0]
    assert norm.running_mean is not None
    no_mean = torch.zeros_like(norm.running_mean)
    ones = torch.ones(1, norm.num_features)
    scale = F.batch_norm(ones, no_mean, norm.running_var, norm.weight, None, False, 0.0, norm.eps)[0]
    return scale, shift


def _normalize(norm: _Norm, x: Tensor) -> Tensor:
    """The BatchNorm's evaluation of x [B, C]; of images it computes the same for every pixel."""
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
