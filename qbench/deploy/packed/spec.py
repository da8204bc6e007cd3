"""A packed network as data: its layers, and its tensors in the form that a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import ConvWindow
from quantizers import Pixels

_Count = Annotated[int, Field(ge=1, le=2**24)]
_Pads = Annotated[int, Field(ge=0, le=2**16)]
_Pair = tuple[_Count, _Count]
Shape = tuple[int, ...]
Function = Literal["relu", "hardtanh", "identity"]
Reads = Literal["bits", "pixels", "real"]

MAX_IMAGE_VALUES = 2**24  # of one image; also the sum of ±1 that float32 still holds exactly


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PoolSpec(_Value):
    """A max-pool.

    Attributes:
        kernel, stride, padding: (vertical, horizontal).
        before_norm: it takes the layer's sums; otherwise what the normalization makes of them.
    """

    kernel: _Pair
    stride: _Pair
    padding: tuple[_Pads, _Pads]
    before_norm: bool

    def output_size(self, size: Shape) -> Shape:
        """Return (H, W) after pooling (H, W).

        Raises:
            ValueError: a window could lie in the padding alone.
        """
        if any(2 * p > k for k, p in zip(self.kernel, self.padding, strict=True)):
            raise ValueError(f"a max-pool's padding {self.padding} is more than half its kernel {self.kernel}")
        return cuda_ext.conv_output_size(size, self.kernel, self.stride, self.padding, (1, 1))


class LayerSpec(_Value):
    """A binary layer and what follows it up to the next: max-pool, BatchNorm, activation.

    Attributes:
        name: of the layer; the names of its tensors in the file begin with it.
        kind: "linear" or "conv2d".
        inputs, outputs: features, or channels.
        kernel, stride, padding, dilation: (vertical, horizontal), of a convolution. Padding adds zeros.
        pool: the max-pool, if there is one.
        output: "bits": each sum is compared with its channel's threshold. "float32": each sum goes through scale, norm
            and activation, in this order.
        scaled: the sum is multiplied by its channel's weight scale.
        norm: it is multiplied by the channel's scale, and the shift added.
        centred: before that, the channel's mean is subtracted.
        activation: comes last.
    """

    name: str
    kind: Literal["linear", "conv2d"]
    inputs: _Count
    outputs: _Count
    kernel: _Pair = (1, 1)
    stride: _Pair = (1, 1)
    padding: tuple[_Pads, _Pads] = (0, 0)
    dilation: _Pair = (1, 1)
    pool: PoolSpec | None = None
    output: Literal["bits", "float32"]
    scaled: bool = False
    norm: bool = True
    centred: bool = False
    activation: Function = "identity"

    @property
    def dot_length(self) -> int:
        """K, the number of products in one sum."""
        return self.inputs * prod(self.kernel)

    @property
    def window(self) -> ConvWindow:
        """The movement of its filters over an image."""
        return ConvWindow(self.stride, self.padding, self.dilation)

    def sums_shape(self, shape: Shape) -> Shape:
        """Return the shape of the sums, channels first, of one input of `shape`.

        Raises:
            ValueError: an input that does not fit.
        """
        if self.kind == "linear":
            if prod(shape) != self.inputs:
                raise ValueError(f"{self.name}: expected {self.inputs} inputs, got {prod(shape)}")
            return (self.outputs,)
        if len(shape) != 3 or shape[0] != self.inputs:
            raise ValueError(f"{self.name}: expected {self.inputs} channels of an image, got shape {shape}")
        return self.outputs, *self.window.output_size(shape[1:], self.kernel)

    def output_shape(self, sums: Shape) -> Shape:
        """Return the shape after pooling sums of shape `sums`.

        Raises:
            ValueError: there is no image to pool.
        """
        if self.pool is None:
            return sums
        if len(sums) != 3:
            raise ValueError(f"{self.name}: max-pooling needs an image, got shape {sums}")
        return sums[0], *self.pool.output_size(sums[1:])

    def tensors(self, reads: Reads) -> dict[str, tuple[torch.dtype, Shape]]:
        """Return dtype and shape of each of its tensors in a file, by name.

        `weight`: signs, row n those of the float weight's row n in PyTorch's order, ⌈K/8⌉ bytes, least significant bit
        first. Bits out: `threshold` and `direction` (a bit, 1 for `sum >= threshold`, 0 for `sum <= threshold`).
        float32 out: those of `weight_scale`, `mean`, `scale` and `shift` that the layer has.
        """
        found: dict[str, tuple[torch.dtype, Shape]] = {}
        found["weight"] = (torch.uint8, (self.outputs, -(-self.dot_length // 8)))
        if self.output == "bits":
            found["threshold"] = (torch.float32 if reads == "real" else torch.int32, (self.outputs,))
            found["direction"] = (torch.uint8, (-(-self.outputs // 8),))
        else:
            present = {"weight_scale": self.scaled, "mean": self.centred, "scale": self.norm, "shift": self.norm}
            found |= {key: (torch.float32, (self.outputs,)) for key, is_there in present.items() if is_there}
        return {f"{self.name}.{key}": value for key, value in found.items()}


class InputSpec(_Value):
    """The input of a network.

    Attributes:
        shape: of one image, channels first.
        kind: "pixels": uint8, or the float32 values `pixels` makes of them; "real": float32; "sign": the signs of
            float32 values.
        pixels: what the float32 values are made of; None but for "pixels".
    """

    shape: tuple[_Count, ...] = Field(min_length=1, max_length=3)
    kind: Literal["pixels", "real", "sign"]
    pixels: Pixels | None = None


@dataclass(frozen=True)
class Step:
    """A layer in its place.

    Attributes:
        layer: the layer.
        reads: what its input is: "bits", "pixels" or "real".
        input_shape, sums_shape, output_shape: of one image, channels first; the output's is that after pooling.
    """

    layer: LayerSpec
    reads: Reads
    input_shape: Shape
    sums_shape: Shape
    output_shape: Shape


class NetworkSpec(_Value):
    """A packed network without its tensors.

    Attributes:
        input: what it takes.
        layers: in their order.
        made_from: where it comes from, for people: the trial, its scheme, model, data and accuracy.
    """

    input: InputSpec
    layers: tuple[LayerSpec, ...] = Field(min_length=1)
    made_from: dict[str, str | int | float | None] = {}

    @property
    def classes(self) -> int:
        """Number of scores."""
        return self.layers[-1].outputs

    def steps(self) -> list[Step]:
        """Return the layers in their places.

        Raises:
            ValueError: layers that do not fit each other, or no scores at the end.
        """
        if (self.input.kind == "pixels") != (self.input.pixels is not None):
            raise ValueError("input: pixels are described exactly where the input is made of them")
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            raise ValueError("layers: two have the same name")
        shape: Shape = self.input.shape
        reads: Reads = "bits" if self.input.kind == "sign" else self.input.kind
        found = []
        for layer in self.layers:
            folded = layer.output == "bits" and (layer.scaled or layer.centred)
            if folded or (layer.centred and not layer.norm):
                raise ValueError(f"{layer.name}: has a weight scale beside thresholds, or a mean without a norm")
            sums = layer.sums_shape(shape)
            output = layer.output_shape(sums)
            for each in (shape, sums, output):
                if min(each) < 1 or prod(each) > MAX_IMAGE_VALUES:
                    raise ValueError(f"{layer.name}: cannot compute on shape {each}")
            largest = 1 if self.input.pixels is None or reads != "pixels" else self.input.pixels.bound
            if reads != "real" and layer.dot_length * largest > 2**30:
                raise ValueError(f"{layer.name}: sums of {layer.dot_length} products do not fit int32")
            found.append(Step(layer, reads, shape, sums, output))
            shape, reads = output, "bits" if layer.output == "bits" else "real"
        if reads != "real" or len(shape) != 1:
            raise ValueError(f"{self.layers[-1].name}: the last layer gives no scores")
        return found


@dataclass(frozen=True)
class PackedModel:
    """A packed network as a file holds it.

    Attributes:
        spec: the network.
        tensors: by the names that its layers give them (`LayerSpec.tensors`).
    """

    spec: NetworkSpec
    tensors: Mapping[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def check(self) -> None:
        """Raise a ValueError unless the tensors are those of the spec."""
        expected: dict[str, Any] = {}
        for step in self.spec.steps():
            expected |= step.layer.tensors(step.reads)
        if set(expected) != set(self.tensors):
            odd = sorted(set(expected) ^ set(self.tensors))[0]
            raise ValueError(f"{odd}: {'is missing' if odd in expected else 'belongs to no layer'}")
        for name, (dtype, shape) in expected.items():
            tensor = self.tensors[name]
            if tensor.dtype != dtype or tuple(tensor.shape) != shape:
                raise ValueError(f"{name}: expected {dtype} {list(shape)}, got {tensor.dtype} {list(tensor.shape)}")
