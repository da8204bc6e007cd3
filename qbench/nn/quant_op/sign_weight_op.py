"""A QuantOp whose weights are -1 and +1."""

from __future__ import annotations

from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.packed_op import PackedOp
from quantizers import BINARY, NumberFormat


class SignWeightOp(PackedOp):
    """A QuantOp whose weights are -1 and +1, one bit each.

    Attributes:
        activation_kind: the kind of the inputs' format (see `NumberFormat`).
        max_k: the longest sum it serves.
    """

    activation_kind: str
    max_k: int = 2**24  # sums of ±1 stay exact in float32, into which results are converted

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        """Return whether weights are binary and inputs of the op's kind, and no sum too long."""
        if weight != BINARY:
            return False, f"needs {BINARY} weights, got {weight}"
        if activation.kind != self.activation_kind:
            return False, f"needs {self.activation_kind} activations, got {activation}"
        served = self._shares_scales(weight, activation)
        if not served[0]:
            return served
        return self._fits(layer_shape, self.max_k)

    def weight_scale_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count one multiplication an output value, unless a threshold takes the scale in."""
        return epilogue.sign_scale_cost(layer_shape)
