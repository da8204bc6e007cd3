"""How int8 codes stand for real values in an integer network, and which networks have such codes throughout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qbench.deploy.block import Block
from qbench.deploy.chain import UnsupportedStructureError, blocks
from qbench.nn.quant_conv2d import QuantConv2d
from quantizers import Encoding, NumberFormat


class NotIntegerError(UnsupportedStructureError):
    """A network that does not run in integers here; the message names the layer and the reason."""


@dataclass(frozen=True)
class CodeScale:
    """How the integer codes between two layers stand for real values: `scale · (code - zero_point)`.

    Attributes:
        scale: of one step between codes.
        zero_point: the code of 0.
        low, high: the codes that there are.
    """

    scale: float
    zero_point: int
    low: int
    high: int

    @classmethod
    def of_int8(cls, encoding: Encoding) -> CodeScale:
        """Return a tensor's encoding for codes stored as int8: unsigned codes and their zero point are less 128."""
        shifted = 0 if encoding.format.minimum < 0 else 128
        zero_point = 0 if encoding.zero_point is None else int(encoding.zero_point)
        low, high = int(encoding.format.minimum), int(encoding.format.maximum)
        return cls(float(encoding.scale), zero_point - shifted, low - shifted, high - shifted)

    def clamped(self, activation: str) -> tuple[int, int]:
        """Return the lowest and highest code after an activation, which is monotone, as rounding is."""
        if activation == "relu":
            return max(self.low, self.zero_point), self.high
        if activation == "hardtanh":
            one = round(1 / self.scale)
            return max(self.low, self.zero_point - one), min(self.high, self.zero_point + one)
        return self.low, self.high


def integer_blocks(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> list[Block]:
    """Return the chain of a network whose layers all compute on integers.

    Raises:
        UnsupportedStructureError: a network that is no chain of blocks.
        NotIntegerError: a layer with float32 or uncalibrated weights or inputs, or an infinite bias, or whose
            inputs have no fixed scale; or a convolution as the last layer.
    """
    chain = blocks(network, input_shape)
    for block in chain:
        _check(block)
    if isinstance(chain[-1].layer, QuantConv2d):
        raise NotIntegerError(f"{chain[-1].name}: a convolution comes last; a linear layer is to give the scores")
    return chain


def _check(block: Block) -> None:
    layer = block.layer
    for role, quantizer in (("weights", layer.weight_quantizer), ("inputs", layer.input_quantizer)):
        if quantizer is None or (role == "weights" and layer.latent_evaluation):
            raise NotIntegerError(f"{block.name}: its {role} are float32")
        reason = _reason(role, quantizer.format)
        if reason is not None:
            raise NotIntegerError(f"{block.name}: its {role} are {quantizer.format}, {reason}")
        if not quantizer.is_ready:
            raise NotIntegerError(f"{block.name}: its {role} are not calibrated")
    input_encoding(block)
    if layer.bias is not None and not bool(torch.isfinite(layer.bias).all()):
        raise NotIntegerError(f"{block.name}: its bias is infinite or NaN")


def _reason(role: str, format: NumberFormat) -> str | None:
    """Return why there is no chain of int8 with the format; None where there is.

    Odd weights of at most 7 bits are integers. Odd inputs are not served: a requantized sum takes every code.
    """
    if format.kind == "odd" and role == "weights":
        if format.bits > 7:
            return "which reach beyond int8: give them at most 7 bits"
    elif format.kind != "integer":
        return "not integers"
    if format.group_size is not None:
        return f"with a scale for each {format.group_size} of a row: no int32 sum has one scale"
    ends = (-128, 127) if format.minimum < 0 else (0, 255)
    if format.minimum < ends[0] or format.maximum > ends[1]:
        return f"with codes beyond {ends[0]}..{ends[1]}"
    return None


def input_encoding(block: Block) -> Encoding:
    """Return the scale and zero point of a layer's input, one of each for the whole tensor.

    Raises:
        NotIntegerError: the quantizer has none that hold for every tensor, or has one per channel.
    """
    quantizer = block.layer.input_quantizer
    encoding = None if quantizer is None else quantizer.encoding()
    if encoding is None:
        raise NotIntegerError(f"{block.name}: its inputs pass through {type(quantizer).__name__}")
    if encoding.scale.numel() != 1:
        raise NotIntegerError(f"{block.name}: a scale per channel of the input has no int32 sum")
    return encoding
