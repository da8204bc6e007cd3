"""What happens to a layer's sums before the next layer reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qbench.nn.layer_shape import LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.traced_norm import TracedNorm
from quantizers import FLOAT32, NumberFormat


@dataclass(frozen=True)
class Epilogue:
    """What happens to a layer's sums before the next layer reads them: scale, bias, BatchNorm, quantization.

    It describes the layer as the network has it; a QuantOp's `cost` says how the op computes it. The methods are the
    parts that several ops count alike.

    Attributes:
        weight_format: of the layer's weights.
        weight_scale_bytes: of the weights' scales and zero points; 0 where the format implies the scale 1.
        input_scale_bytes: of the input's scale and zero point.
        bias: whether the layer adds one.
        norms: the BatchNorms between the layer and the next one, in their order.
        binary_output: whether the next layer reads signs of the result.
    """

    weight_format: NumberFormat = FLOAT32
    weight_scale_bytes: int = 0
    input_scale_bytes: int = 0
    bias: bool = False
    norms: tuple[TracedNorm, ...] = ()
    binary_output: bool = False

    @property
    def has_threshold(self) -> bool:
        """Whether a BatchNorm and the sign after it can be one comparison with a threshold."""
        return self.binary_output and bool(self.norms)

    def sign_scale_cost(self, shape: LayerShape) -> OpCost:
        """Count the scale of ±1 weights: one float32 multiplication an output value.

        Nothing before a threshold: scale · sum compared with t is the sum compared with t / scale.
        """
        if self.has_threshold or not self.weight_scale_bytes:
            return OpCost()
        return OpCost(Operations(fp32_mul=shape.outputs), scale_bytes=self.weight_scale_bytes)

    def bias_cost(self, shape: LayerShape) -> OpCost:
        """Count the bias, if there is one: a float32 addition an output value, 4 bytes an output channel."""
        if not self.bias:
            return OpCost()
        return OpCost(Operations(fp32_add=shape.outputs), other_bytes=4 * shape.out_channels)

    def norms_cost(self, shape: LayerShape, norms: Sequence[TracedNorm]) -> OpCost:
        """Count those of the BatchNorms that the op does not take into its sums.

        Each is scale and shift in float32 (see `TracedNorm`). Before a sign the last of them is a threshold instead:
        one comparison a value, 4 bytes an output channel, and one bit each for the direction, the sign of gamma.
        """
        cost = OpCost()
        if norms and self.binary_output:
            *norms, last = norms
            threshold_bytes = 4 * shape.out_channels + -(-shape.out_channels // 8)
            cost += OpCost(Operations(int32_add=last.values), other_bytes=threshold_bytes)
        for norm in norms:
            cost += OpCost(norm.operations, other_bytes=4 * norm.numbers * shape.out_channels)
        return cost
