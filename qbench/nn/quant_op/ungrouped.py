"""What the packed ops share."""

from __future__ import annotations

from torch import Tensor

from qbench.nn.im2col import im2col
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.quant_op.base import Packed, QuantOp
from quantizers import NumberFormat, Quantized


class UngroupedOp(QuantOp):
    """What the packed ops share: no groups, and convolutions that `columns` turns into a matrix product."""

    weight_format: NumberFormat
    activation_kind: str
    max_k: int = 2**24  # sums of ±1 stay exact in float32, into which results are converted

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        if weight != self.weight_format:
            return False, f"needs {self.weight_format} weights, got {weight}"
        if activation.kind != self.activation_kind:
            return False, f"needs {self.activation_kind} activations, got {activation}"
        if layer_shape.groups != 1:
            return False, f"needs groups = 1, got {layer_shape.groups}"
        if layer_shape.dot_length > self.max_k:
            return False, f"needs K at most {self.max_k}, got {layer_shape.dot_length}"
        return True, ""

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        self._check(window)
        rows, size = im2col(x.codes, packed.shape[2:], window, window.pad_value)
        result = self.linear(Quantized(rows, x.scale, x.zero_point, x.format), packed)
        return result.reshape(x.codes.shape[0], *size, packed.shape[0]).permute(0, 3, 1, 2).contiguous()

    def _check(self, window: ConvWindow) -> None:
        if window.groups != 1:
            raise ValueError(f"{self.name}: groups must be 1, got {window.groups}")
