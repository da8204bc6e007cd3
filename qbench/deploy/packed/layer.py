"""One layer of a packed network and what follows it, on the operations of `cuda_ext`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import cuda_ext
from qbench.deploy.packed.pooling import pool_bits
from qbench.deploy.packed.spec import LayerSpec, PackedModel, Step
from qbench.deploy.packed.threshold import rising_only
from qbench.nn.activation import Activation
from qbench.nn.im2col import im2col
from qbench.nn.quant_op.bitplane import BitplaneOp
from quantizers import BINARY, Pixels, Quantized

_ROW_ELEMENTS = 2**24


def make_layer(step: Step, model: PackedModel, device: torch.device) -> PackedLayer:
    """Return the layer of `step`, its weights arranged for this machine's kernels."""
    prefix = f"{step.layer.name}."
    names = step.layer.tensors(step.reads)
    tensors = {name.removeprefix(prefix): model.tensors[name].to(device) for name in names}
    if step.reads == "bits":
        return BitLayer(step, tensors)
    if step.reads == "real":
        return RealLayer(step, tensors)
    assert model.spec.input.pixels is not None
    return PixelLayer(step, tensors, model.spec.input.pixels)


class PackedLayer:
    """One layer and what follows it: packed bits or float32 out, as its spec says.

    A subclass reads one kind of input: it sets `weight` and gives the sums.

    Args:
        step: the layer in its place.
        tensors: by their names within the layer.
    """

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

    @property
    def resident_bytes(self) -> int:
        """Bytes of the arranged weights, thresholds and constants."""
        return self.weight.nbytes + sum(value.nbytes for value in vars(self).values() if isinstance(value, Tensor))

    def __call__(self, x: Tensor) -> Tensor:
        """Return packed bits, int32 [B, words] or [B, H, W, words], or float32, channels first."""
        return self._bits(x) if self.layer.output == "bits" else self._real(self.values(self.sums(x)))

    def sums(self, x: Tensor) -> Tensor:
        """Return the sums of products, channels last: int32 or float32 [..., outputs]."""
        raise NotImplementedError

    def values(self, sums: Tensor) -> Tensor:
        """Return the sums as the float32 values that the module's product has."""
        return sums.to(torch.float32)

    def signs(self, x: Tensor) -> Tensor:
        """Return the sums compared with the thresholds, packed."""
        return cuda_ext.sign_threshold_pack(self.sums(x), self.threshold, self.direction)

    def _bits(self, x: Tensor) -> Tensor:
        bits = self.signs(x)
        return bits if self.layer.pool is None else pool_bits(bits, self.layer.pool, self.inverted)

    def _real(self, x: Tensor) -> Tensor:
        """Return what the weights' scale, pooling, scale and shift, and activation make of values; channels first."""
        if self.weight_scale is not None:
            x = x * self.weight_scale
        x = x.permute(0, 3, 1, 2) if x.dim() == 4 else x
        pool = self.layer.pool
        if pool is not None and pool.before_norm:
            x = F.max_pool2d(x, pool.kernel, pool.stride, pool.padding)
        x = self._normalized(x)
        if pool is not None and not pool.before_norm:
            x = F.max_pool2d(x, pool.kernel, pool.stride, pool.padding)
        return Activation(self.layer.activation)(x)

    def _normalized(self, x: Tensor) -> Tensor:
        if self.scale is None:
            return x
        if self.mean is not None and self.shift is not None:
            mean, scale, shift = (each.view(-1, *[1] * (x.dim() - 2)) for each in (self.mean, self.scale, self.shift))
            return (x - mean) * scale + shift
        # With mean 0, variance 1 and eps 0 torch's BatchNorm is x·scale + shift, rounded as in the module.
        mean, variance = torch.zeros_like(self.scale), torch.ones_like(self.scale)
        return F.batch_norm(x, mean, variance, self.scale, self.shift, False, 0.0, 0.0)


class BitLayer(PackedLayer):
    """A layer of ±1 inputs, by XNOR and popcount. x: int32 [B, words] or [B, H, W, words]."""

    def __init__(self, step: Step, tensors: dict[str, Tensor]) -> None:
        super().__init__(step, tensors)
        layer = self.layer
        signs = _signs(tensors["weight"], layer)
        # A linear layer on an image is a convolution whose one window is the image: flattening, without moving a bit.
        self._is_conv = layer.kind == "conv2d" or len(step.input_shape) == 3
        self._k = layer.inputs  # products of one word-wise sum: of a convolution, those of one pixel's channels
        if self._is_conv:
            window = layer.kernel if layer.kind == "conv2d" else step.input_shape[1:]
            self._k = step.input_shape[0]
            signs = signs.reshape(layer.outputs, self._k, *window).permute(0, 2, 3, 1)
        self.weight = cuda_ext.prepack(cuda_ext.pack_signs(signs), self._k)
        self._window: dict[str, Any] = {
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "pad_value": 0,
        }

    def sums(self, x: Tensor) -> Tensor:
        """Return exact int32 sums."""
        if not self._is_conv:
            return cuda_ext.xnor_matmul(x, self.weight, self._k)
        return self._shaped(cuda_ext.xnor_conv2d(x, self.weight, self._k, **self._window))

    def signs(self, x: Tensor) -> Tensor:
        """Return the sums compared with the thresholds within the product, packed."""
        if not self._is_conv:
            return cuda_ext.xnor_matmul_sign(x, self.weight, self._k, self.threshold, self.direction)
        bits = cuda_ext.xnor_conv2d_sign(x, self.weight, self._k, self.threshold, self.direction, **self._window)
        return self._shaped(bits)

    def _shaped(self, x: Tensor) -> Tensor:
        return x.flatten(1) if self.layer.kind == "linear" else x


class RealLayer(PackedLayer):
    """A layer of float32 inputs, by additions and subtractions. x: float32 [B, K] or [B, C, H, W]."""

    def __init__(self, step: Step, tensors: dict[str, Tensor]) -> None:
        super().__init__(step, tensors)
        k = self.layer.dot_length
        self.weight = cuda_ext.prepack(cuda_ext.from_bytes(tensors["weight"], k), k)

    def sums(self, x: Tensor) -> Tensor:
        """Return float32 sums, rounded in the backend's order."""
        k = self.layer.dot_length
        return _by_rows(x, self.step, lambda rows: cuda_ext.binary_weight_matmul(rows, self.weight, k))


class PixelLayer(PackedLayer):
    """A layer of 8-bit inputs, by bit planes (see `BitplaneOp`). x: uint8 [B, ...].

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
        """Return exact int32 sums, times the pixels' divisor."""
        multiplier = self.pixels.multiplier
        return _by_rows(x, self.step, lambda rows: BitplaneOp.accumulate(rows, self.weight, multiplier, self.constant))

    def values(self, sums: Tensor) -> Tensor:
        """Return the sums over the divisor, as float32."""
        return sums.to(torch.float32) / self.pixels.divisor


def _signs(weight: Tensor, layer: LayerSpec) -> Tensor:
    """Return the weights of a file as float32 ±1 [outputs, K], in PyTorch's order."""
    return cuda_ext.unpack_signs(cuda_ext.from_bytes(weight, layer.dot_length), layer.dot_length)


def _by_rows(x: Tensor, step: Step, product: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the sums, channels last, that `product` makes of the inputs of each sum as rows [..., K].

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
