"""Runs a packed network: bits from layer to layer, on the operations of `cuda_ext`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import cuda_ext
from qbench.deploy.packed.pooling import pool_bits
from qbench.deploy.packed.spec import LayerSpec, NetworkSpec, PackedModel, Step
from qbench.deploy.packed.threshold import rising_only
from qbench.nn.activation import Activation
from qbench.nn.im2col import im2col
from qbench.nn.quant_op.bitplane import BitplaneOp
from quantizers import BINARY, Pixels, Quantized

_BATCH = 1000
_ROW_ELEMENTS = 2**24


class PackedNetwork:
    """A network that computes in bits.

    Between layers activations are packed words, NHWC with a pixel's channels packed; the threshold of a layer is
    applied in the epilogue of its product, which writes the next layer's input. Sums are exact integers, so results
    do not depend on the instruction path, the batch or the number of threads; where a layer reads float32 (schemes
    with real activations), its sums are rounded in the backend's order.

    Args:
        model: the network and its tensors.
        device: where it runs. Weights are arranged for this machine's kernels once, here.

    Raises:
        ValueError: tensors that are not those of the spec.

    Attributes:
        spec: what the network is.
        weight_bytes: of its tensors as a file holds them.

    Not thread-safe against `cuda_ext.use_isa`: arranged weights belong to the path they were made on.
    """

    def __init__(self, model: PackedModel, device: torch.device | str = "cpu") -> None:
        model.check()
        self.spec: NetworkSpec = model.spec
        self.device = torch.device(device)
        self.weight_bytes = model.nbytes
        self._stages = [_stage(step, model, self.device) for step in model.spec.steps()]

    @property
    def resident_bytes(self) -> int:
        """Bytes of the weights as they are arranged for the kernels, thresholds and constants included."""
        tensors = [value for stage in self._stages for value in vars(stage).values() if isinstance(value, Tensor)]
        small = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return small + sum(stage.weight.nbytes for stage in self._stages)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Scores, float32 [B, classes].

        images: float32 [B, *input shape] as training saw them; a network on pixels takes uint8 pixels too, and float32
        values only if they are pixels' (see `Pixels.encode`).

        Raises:
            TypeError: no such tensor.
            ValueError: another shape, a value that is no pixel's, infinity or NaN.
        """
        x = self._input(images)
        for stage in self._stages:
            x = stage(x)
        return x

    def predict(self, images: Tensor, batch: int = _BATCH) -> Tensor:
        """The class of the largest score, int64 [B]; `batch` images at a time."""
        if len(images) == 0:
            return self(images).argmax(1)
        return torch.cat([self(part).argmax(1) for part in images.split(batch)])

    def _input(self, images: Tensor) -> Tensor:
        described = self.spec.input
        if not isinstance(images, Tensor):
            raise TypeError(f"images: expected a torch.Tensor, got {type(images).__name__}")
        if tuple(images.shape[1:]) != described.shape or images.dim() == 0:
            raise ValueError(f"images: expected shape [B, {', '.join(map(str, described.shape))}], got {_text(images)}")
        pixels = described.pixels
        accepted = (torch.float32,) if pixels is None else (torch.float32, torch.uint8)
        if images.dtype not in accepted:
            raise TypeError(f"images: expected {' or '.join(map(str, accepted))}, got {images.dtype}")
        images = images.to(self.device)
        if pixels is not None:
            return images if images.dtype == torch.uint8 else pixels.encode(images)
        if not bool(torch.isfinite(images).all()):
            raise ValueError("images: expected finite values, got infinity or NaN")
        if described.kind == "real":
            return images
        return cuda_ext.pack_signs(images.permute(0, 2, 3, 1) if images.dim() == 4 else images)


def _text(tensor: Tensor) -> str:
    return str(list(tensor.shape))


class _Stage:
    """One layer and what follows it. A subclass gives the sums, channels last: int32 or float32 [..., outputs]."""

    weight: cuda_ext.Prepacked

    def __init__(self, step: Step, tensors: dict[str, Tensor]) -> None:
        self.step = step
        self.layer: LayerSpec = step.layer
        n = self.layer.outputs
        if self.layer.output == "bits":
            rising = cuda_ext.unpack_signs(cuda_ext.from_bytes(tensors["direction"], n), n) > 0
            self.threshold, self.direction = tensors["threshold"], rising.to(torch.int8) * 2 - 1
            self.inverted: Tensor | None = None
            pool = self.layer.pool
            if pool is not None and pool.before_norm and not bool(rising.all()):
                self.threshold = rising_only(self.threshold, rising)
                self.direction = torch.ones_like(self.direction)
                self.inverted = cuda_ext.pack_signs(torch.where(rising, -1.0, 1.0))
        else:
            keys = ("weight_scale", "mean", "scale", "shift")
            self.weight_scale, self.mean, self.scale, self.shift = (tensors.get(key) for key in keys)

    def __call__(self, x: Tensor) -> Tensor:
        return self._bits(x) if self.layer.output == "bits" else self._real(self.values(self.sums(x)))

    def sums(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def values(self, sums: Tensor) -> Tensor:
        """The sums as the float32 values that the module's product has."""
        return sums.to(torch.float32)

    def signs(self, x: Tensor) -> Tensor:
        """The sums compared with the thresholds, packed."""
        return cuda_ext.sign_threshold_pack(self.sums(x), self.threshold, self.direction)

    def _bits(self, x: Tensor) -> Tensor:
        bits = self.signs(x)
        return bits if self.layer.pool is None else pool_bits(bits, self.layer.pool, self.inverted)

    def _real(self, x: Tensor) -> Tensor:
        """The weights' scale, pooling, scale and shift, activation; channels first."""
        if self.weight_scale is not None:
            x = x * self.weight_scale
        x = x.permute(0, 3, 1, 2) if x.dim() == 4 else x
        pool = self.layer.pool
        if pool is not None and pool.before_norm:
            x = F.max_pool2d(x, pool.kernel, pool.stride, pool.padding)
        if self.mean is not None and self.scale is not None and self.shift is not None:
            mean, scale, shift = (each.view(-1, *[1] * (x.dim() - 2)) for each in (self.mean, self.scale, self.shift))
            x = (x - mean) * scale + shift
        elif self.scale is not None:
            # With mean 0, variance 1 and eps 0 torch's BatchNorm is x·scale + shift, rounded as in the module.
            mean, variance = torch.zeros_like(self.scale), torch.ones_like(self.scale)
            x = F.batch_norm(x, mean, variance, self.scale, self.shift, False, 0.0, 0.0)
        if pool is not None and not pool.before_norm:
            x = F.max_pool2d(x, pool.kernel, pool.stride, pool.padding)
        return Activation(self.layer.activation)(x)


class _BitStage(_Stage):
    """±1 inputs: XNOR and popcount. x: int32 [B, words] or [B, H, W, words]."""

    def __init__(self, step: Step, tensors: dict[str, Tensor]) -> None:
        super().__init__(step, tensors)
        layer = self.layer
        signs = _signs(tensors["weight"], layer)
        # A linear layer on an image is a convolution whose one window is the image: flattening, without moving a bit.
        self.is_conv = layer.kind == "conv2d" or len(step.input_shape) == 3
        if self.is_conv:
            channels = layer.inputs if layer.kind == "conv2d" else step.input_shape[0]
            window = layer.kernel if layer.kind == "conv2d" else step.input_shape[1:]
            signs = signs.reshape(layer.outputs, channels, *window).permute(0, 2, 3, 1)
            self.k = channels
        else:
            self.k = layer.inputs
        self.weight = cuda_ext.prepack(cuda_ext.pack_signs(signs), self.k)
        self.window: dict[str, Any] = {
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "pad_value": 0,
        }

    def sums(self, x: Tensor) -> Tensor:
        if not self.is_conv:
            return cuda_ext.xnor_matmul(x, self.weight, self.k)
        return self._shaped(cuda_ext.xnor_conv2d(x, self.weight, self.k, **self.window))

    def signs(self, x: Tensor) -> Tensor:
        if not self.is_conv:
            return cuda_ext.xnor_matmul_sign(x, self.weight, self.k, self.threshold, self.direction)
        bits = cuda_ext.xnor_conv2d_sign(x, self.weight, self.k, self.threshold, self.direction, **self.window)
        return self._shaped(bits)

    def _shaped(self, x: Tensor) -> Tensor:
        return x.flatten(1) if self.layer.kind == "linear" else x


class _RealStage(_Stage):
    """float32 inputs: additions and subtractions. x: float32 [B, K] or [B, C, H, W]."""

    def __init__(self, step: Step, tensors: dict[str, Tensor]) -> None:
        super().__init__(step, tensors)
        self.weight = _prepacked(tensors["weight"], self.layer)

    def sums(self, x: Tensor) -> Tensor:
        k = self.layer.dot_length
        return _by_rows(x, self.step, lambda rows: cuda_ext.binary_weight_matmul(rows, self.weight, k))


class _PixelStage(_Stage):
    """8-bit inputs: bit planes (see `BitplaneOp`). x: uint8 [B, ...].

    With x = (a·q - b)/d the sums are `a·Σ q·w - b·Σ w`, and their values those over d.
    """

    def __init__(self, step: Step, tensors: dict[str, Tensor], pixels: Pixels) -> None:
        super().__init__(step, tensors)
        layer = self.layer
        self.pixels = pixels
        signs = _signs(tensors["weight"], layer)
        if layer.kind == "conv2d":
            signs = signs.reshape(layer.outputs, layer.inputs, *layer.kernel)
        op = BitplaneOp()
        packed = op.pack(Quantized(signs, signs.new_ones(()), None, BINARY))
        self.constant = op.constant(packed, pixels.offset, step.input_shape[1:], layer.window)
        self.weight = cuda_ext.prepack(packed.data, layer.dot_length)

    def sums(self, x: Tensor) -> Tensor:
        multiplier = self.pixels.multiplier
        return _by_rows(x, self.step, lambda rows: BitplaneOp.accumulate(rows, self.weight, multiplier, self.constant))

    def values(self, sums: Tensor) -> Tensor:
        return sums.to(torch.float32) / self.pixels.divisor


def _stage(step: Step, model: PackedModel, device: torch.device) -> _Stage:
    prefix = f"{step.layer.name}."
    names = step.layer.tensors(step.reads)
    tensors = {name.removeprefix(prefix): model.tensors[name].to(device) for name in names}
    if step.reads == "bits":
        return _BitStage(step, tensors)
    if step.reads == "real":
        return _RealStage(step, tensors)
    assert model.spec.input.pixels is not None
    return _PixelStage(step, tensors, model.spec.input.pixels)


def _signs(weight: Tensor, layer: LayerSpec) -> Tensor:
    """The weights of a file as float32 ±1 [outputs, K], in PyTorch's order."""
    return cuda_ext.unpack_signs(cuda_ext.from_bytes(weight, layer.dot_length), layer.dot_length)


def _prepacked(weight: Tensor, layer: LayerSpec) -> cuda_ext.Prepacked:
    return cuda_ext.prepack(cuda_ext.from_bytes(weight, layer.dot_length), layer.dot_length)


def _by_rows(x: Tensor, step: Step, product: Callable[[Tensor], Tensor]) -> Tensor:
    """`product` of the inputs of each sum as rows [..., K], as sums with channels last.

    Some images at a time, to bound the patches' memory.
    """
    layer = step.layer
    outputs, *size = step.sums_shape
    images = max(1, _ROW_ELEMENTS // (prod(size) * layer.dot_length))
    parts = [
        product(part.flatten(1) if layer.kind == "linear" else im2col(part, layer.kernel, layer.window)[0])
        for part in x.split(images)
    ]
    sums = parts[0] if len(parts) == 1 else torch.cat(parts)
    return sums.reshape(x.shape[0], *size, outputs)
