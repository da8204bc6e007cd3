"""Layers whose weights and inputs pass through quantizers: what they share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.binary_product import gives_signs
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_op.base import Packed, QuantOp
from qbench.nn.quant_op.select import select_op
from quantizers import FLOAT32, NumberFormat, Quantized, Quantizer


class QuantLayer(nn.Module):
    """What QuantLinear and QuantConv2d share; a mixin in front of torch's own layer, whose parameters it keeps.

    `y = W_q · dropout(x_q)`, where W_q and x_q are `weight` and `x` through their quantizers (None: unchanged).
    Dropout comes after the quantizer: dropping a ±1 input then leaves that connection out, and it is off wherever
    inputs are packed.

    Attributes:
        weight: the latent weight (float32), which the optimizer updates.
        weight_quantizer, input_quantizer: None for float.
        dropout: probability that training drops an input.
        latent_evaluation: evaluation uses the latent weight, unquantized.
        name, position, layer_count: its name and place among the network's quantizable layers; whoever applies a
            scheme sets them.
    """

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
    def weight_format(self) -> NumberFormat:
        """The format of the weights that evaluation uses."""
        if self.weight_quantizer is None or self.latent_evaluation:
            return FLOAT32
        return self.weight_quantizer.format

    @property
    def input_format(self) -> NumberFormat:
        """The format of the inputs that evaluation uses."""
        return FLOAT32 if self.input_quantizer is None else self.input_quantizer.format

    def quantized_weight(self) -> Quantized:
        """The weights that evaluation uses, as codes."""
        if self.weight_quantizer is None or self.latent_evaluation:
            return as_float(self.weight.detach())
        return self.weight_quantizer.quantize(self.weight.detach())

    def layer_shape(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
        """The layer's shape for one example of these shapes, without the batch."""
        raise NotImplementedError

    def pack(self, layer_shape: LayerShape) -> QuantOp:
        """Switch evaluation to packed execution, by the QuantOp that `select_op` chooses; returns that op.

        The weights are packed as they are now: after another training step, pack again. `train()` unpacks.
        """
        op = select_op(self.weight_format, self.input_format, layer_shape)
        self._packed = (op, op.pack(self.quantized_weight()))
        return op

    def unpack(self) -> None:
        """Switch evaluation back to fake-quantized execution."""
        self._packed = None

    def train(self, mode: bool = True) -> Self:
        if mode:
            self.unpack()
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if self._packed is not None and not self.training:
            op, packed = self._packed
            quantized = as_float(x) if self.input_quantizer is None else self.input_quantizer.quantize(x)
            return self._packed_product(op, quantized, packed)
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        if self.dropout and self.training:
            x = F.dropout(x, self.dropout)
        weight = self.weight
        if self.weight_quantizer is not None and (self.training or not self.latent_evaluation):
            weight = self.weight_quantizer(weight)
        if self.training and not self.dropout and self._multiplies_signs():
            return self._sign_product(x, weight)
        return self._product(x, weight)

    def _multiplies_signs(self) -> bool:
        return gives_signs(self.weight_quantizer) and gives_signs(self.input_quantizer)

    def _product(self, x: Tensor, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def _sign_product(self, x: Tensor, weight: Tensor) -> Tensor:
        """`_product` of values -1 and +1. Training alone takes it: evaluation is what packed execution is held to."""
        raise NotImplementedError

    def _packed_product(self, op: QuantOp, x: Quantized, packed: Packed) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def clip_latent_(self) -> None:
        """The weight quantizer's latent rule, to be applied after each optimizer step."""
        if self.weight_quantizer is not None:
            self.weight_quantizer.clip_latent_(self.weight)


def as_float(x: Tensor) -> Quantized:
    return Quantized(x, x.new_ones(()), None, FLOAT32)


def quant_layers(model: nn.Module) -> list[tuple[str, QuantLayer]]:
    """The quantizable layers of a model with their names, in the order they are declared."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, QuantLayer)]


@contextmanager
def quantizing_only(model: nn.Module, *names: str) -> Iterator[None]:
    """The model with the layers called `names` quantized and all others in float32, weights and inputs."""
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
