"""Layers whose weights and inputs pass through quantizers: what they share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import UserError
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.select import select_op
from quantizers import BINARY, FLOAT32, LayerPlace, NumberFormat, Quantized, Quantizer


class QuantLayer(nn.Module):
    """What the quantizable layers share; a mixin in front of torch's own layer, whose parameters it keeps.

    `y = W_q · dropout(x_q)`, where W_q and x_q are `weight` and `x` through their quantizers (None: unchanged).
    Dropout comes after the quantizer: dropping a ±1 input then leaves that connection out, and it is off wherever
    inputs are packed.

    Weights whose quantizer gives codes and a scale (`Quantizer.codes_and_scale`) are multiplied as codes, and the sums
    are scaled: `y = α · (codes · x_q)`. So a sum of zero is zero, in whatever order it is added up.

    Attributes:
        kind: of the layer, for messages and for quantizers that are built for it.
        quantizes_inputs: False for a layer that takes indices: it has no input quantizer and no dropout.
        weight: the latent weight (float32), which the optimizer updates.
        weight_quantizer, input_quantizer: None for float.
        dropout: probability that training drops an input.
        latent_evaluation: evaluation uses the latent weight, unquantized.
        name, position, layer_count: its name and place among the network's quantizable layers; set where a scheme is
            applied.
    """

    kind: ClassVar[Literal["linear", "conv1d", "conv2d", "embedding"]]
    quantizes_inputs: ClassVar[bool] = True
    weight: Tensor
    bias: Any
    weight_quantizer: Quantizer | None
    input_quantizer: Quantizer | None
    dropout: float
    latent_evaluation: bool
    name: str
    position: int
    layer_count: int
    _packed: tuple[QuantOp, Packed] | None

    def _init_quantization(self, dropout: float) -> None:
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        self.weight_quantizer = None
        self.input_quantizer = None
        self.dropout = dropout
        self.latent_evaluation = False
        self.name, self.position, self.layer_count = "", 0, 1
        self._packed = None

    @property
    def _active_weight_quantizer(self) -> Quantizer | None:
        """The weight quantizer, unless evaluation uses the latent weight."""
        return None if self.latent_evaluation and not self.training else self.weight_quantizer

    @property
    def is_quantized(self) -> bool:
        """Whether it has a quantizer, of its weight or of its input."""
        return self.weight_quantizer is not None or self.input_quantizer is not None

    @property
    def weight_format(self) -> NumberFormat:
        """The format of the weights that evaluation uses."""
        if self.weight_quantizer is None or self.latent_evaluation:
            return FLOAT32
        return self.weight_quantizer.format

    @property
    def input_format(self) -> NumberFormat:
        """The format of the inputs that evaluation uses."""
        return FLOAT32 if self.input_quantizer is None else self.input_quantizer.format

    @property
    def shares_scale(self) -> bool:
        """Whether all inputs have one scale, as far as their quantizer says: sums of codes can then be scaled."""
        encoding = None if self.input_quantizer is None else self.input_quantizer.encoding()
        return encoding is None or encoding.scale.numel() == 1

    def place(self, role: Literal["weights", "activations"]) -> LayerPlace:
        """Return what a quantizer of the layer's weights, or of its input, may know of the layer."""
        groups = getattr(self, "groups", 1)
        return LayerPlace(self.name, role, self.kind, tuple(self.weight.shape), self.position, self.layer_count, groups)

    def quantized_weight(self) -> Quantized:
        """Return the weights that evaluation uses, as codes."""
        if self.weight_quantizer is None or self.latent_evaluation:
            return as_float(self.weight.detach())
        return self.weight_quantizer.quantize(self.weight.detach())

    @torch.no_grad()
    def calibrate_weight(self, weight: Tensor | None = None) -> None:
        """Let a weight quantizer that is not ready observe the layer's weight, and freeze it.

        Does nothing without a weight quantizer, or where it is ready.

        Args:
            weight: what is observed in place of the layer's own weight: the same without its outliers, say.
        """
        quantizer = self.weight_quantizer
        if quantizer is not None and not quantizer.is_ready:
            quantizer.observe(self.weight.detach() if weight is None else weight)
            quantizer.freeze()

    def layer_shape(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
        """Return the layer's shape for one example of these shapes, without the batch."""
        raise NotImplementedError

    def pack(self, layer_shape: LayerShape) -> QuantOp:
        """Switch evaluation to packed execution, by the QuantOp that `select_op` chooses; return that op.

        The weights are packed as they are now: after another training step, pack again. `train()` unpacks.
        """
        op = select_op(self.weight_format, self.input_format, layer_shape, self.shares_scale)
        self._packed = (op, op.pack(self._operand(self.quantized_weight())))
        return op

    def unpack(self) -> None:
        """Switch evaluation back to fake-quantized execution."""
        self._packed = None

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; training unpacks."""
        if mode:
            self.unpack()
        return super().train(mode)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Take torch's name of the argument, `layer(input=x)`, by its place, where all hooks look for it."""
        if "input" in named and not args:
            args = (named.pop("input"),)
        return super().__call__(*args, **named)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's product; see the class."""
        if self._packed is not None and not self.training:
            op, packed = self._packed
            quantized = as_float(x) if self.input_quantizer is None else self.input_quantizer.quantize(x)
            self._check_scale(op, quantized)
            return self._with_bias(self._packed_product(op, quantized, packed))
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        if self.dropout and self.training:
            x = F.dropout(x, self.dropout)
        weight, scale = self._weight_factors()
        if self._multiplies_signs(scaled=scale is not None):
            sums = self._sign_product(x, weight)
        elif scale is None:
            return self._product(x, weight, self.bias)
        else:
            sums = self._product(x, weight, None)
        return self._with_bias(sums if scale is None else sums * self._of_channels(scale))

    def _check_scale(self, op: QuantOp, x: Quantized) -> None:
        """Refuse inputs whose scales, found for this very tensor, differ among the products of a sum.

        Raises:
            UserError: they do; or there are several zero points.
        """
        summed = self.weight.dim() - 1  # the channels, and a convolution's positions
        differ = any(size > 1 for size in x.scale.shape[-summed:])
        if op.packs and (differ or (x.zero_point is not None and x.zero_point.numel() > 1)):
            raise UserError(
                f"{self.name or self.kind}: its input has scales {list(x.scale.shape)} or zero points that differ in "
                f"the products of one sum, and {op.name} adds up codes; give it one of each, or a scale an example"
            )

    def _weight_factors(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights that are multiplied, and the scale of the sums; None for 1."""
        quantizer = self._active_weight_quantizer
        if quantizer is None:
            return self.weight, None
        return quantizer.codes_and_scale(self.weight) or (quantizer(self.weight), None)

    def _multiplies_signs(self, *, scaled: bool) -> bool:
        """Whether training multiplies -1 and +1 alone; `scaled`: the weights' scale comes after the product."""
        weights, inputs = self.weight_quantizer, self.input_quantizer
        if not self.training or self.dropout or weights is None or inputs is None:
            return False
        return inputs.is_binary and (weights.is_binary or (scaled and weights.format == BINARY))

    def _with_bias(self, y: Tensor) -> Tensor:
        """Return `y [B, N, ...]` plus the bias, if there is one."""
        return y if self.bias is None else y + self._of_channels(self.bias)

    def _of_channels(self, values: Tensor) -> Tensor:
        """Return values, one or one per output channel, in a shape that broadcasts against the result."""
        return values.reshape(-1, *[1] * (self.weight.dim() - 2))

    def _operand(self, weight: Quantized) -> Quantized:
        """Return the quantized weight in the form that a QuantOp packs."""
        return weight

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return torch's product of real values, plus the bias."""
        raise NotImplementedError

    def _sign_product(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the product of values -1 and +1, without the bias.

        Used in training alone: evaluation must stay the float product, with which packed execution is compared.
        """
        raise NotImplementedError

    def _packed_product(self, op: QuantOp, x: Quantized, packed: Packed) -> Tensor:
        """Return the product by `op`, without the bias."""
        raise NotImplementedError

    @torch.no_grad()
    def clip_latent_(self) -> None:
        """Apply the weight quantizer's bound to the latent weight, in place; done after each optimizer step.

        A weight that is not trained (`requires_grad` False) stays as it is.
        """
        if self.weight_quantizer is not None and self.weight.requires_grad:
            self.weight_quantizer.clip_latent_(self.weight)


def as_float(x: Tensor) -> Quantized:
    """Return real values `x` as they are, as a `Quantized` of format FLOAT32."""
    return Quantized(x, x.new_ones(()), None, FLOAT32)


def quant_layers(model: nn.Module) -> list[tuple[str, QuantLayer]]:
    """Return the quantizable layers of a model with their names, in the order they are declared."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, QuantLayer)]


@contextmanager
def quantizing_only(model: nn.Module, *names: str) -> Iterator[None]:
    """Keep every layer but those called `names` in float32, weights and inputs, while the context lasts."""
    taken = []
    for name, layer in quant_layers(model):
        if name not in names:
            taken.append((layer, layer.weight_quantizer, layer.input_quantizer))
            layer.weight_quantizer = layer.input_quantizer = None
    try:
        yield
    finally:
        for layer, weight_quantizer, input_quantizer in taken:
            layer.weight_quantizer, layer.input_quantizer = weight_quantizer, input_quantizer
