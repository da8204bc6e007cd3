"""What one layer of a network costs."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.nn.operations import Operations
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.select import select_op
from qbench.nn.trace import TracedLayer
from quantizers import BINARY, FLOAT32, NumberFormat, storage_bytes


@dataclass(frozen=True)
class LayerCost:
    """One layer's counts, for one inference of one example.

    Attributes:
        name: of the layer in its network.
        op: of the QuantOp that computes it.
        weight_format, input_format: names of the number formats.
        weights: how many.
        macs: multiply-accumulates of the layer, whatever the formats.
        operations: of the QuantOp and the normalization after it, on operands packed without gaps.
        weight_bytes: codes at their packed width, each output channel's row padded to whole bytes.
        scale_bytes: scales and zero points, of the weights and of the input.
        other_bytes: bias, and the normalization folded to scale and shift (8 bytes a channel), or to a threshold
            (4 bytes a channel and one bit for its direction) where the next layer's input is binary. An int8 layer
            has neither: its normalization is in the scales and the int32 bias (4 bytes a channel).
        input_bytes, output_bytes: activations at the width they are stored with: the output has the next layer's
            input format; the last one is float32.
    """

    name: str
    op: str
    weight_format: str
    input_format: str
    weights: int
    macs: int
    operations: Operations
    weight_bytes: int
    scale_bytes: int
    other_bytes: int
    input_bytes: int
    output_bytes: int

    @property
    def stored_bytes(self) -> int:
        """Everything the layer needs at inference."""
        return self.weight_bytes + self.scale_bytes + self.other_bytes


def layer_cost(traced: TracedLayer, before: TracedLayer | None, after: TracedLayer | None) -> LayerCost:
    """Count one layer, between the layers that run before and after it.

    Its output is stored in the next layer's input format; in float32 if something else reads it too (a shortcut), and
    the next layer then reads that.
    """
    layer, layer_shape = traced.layer, traced.layer_shape
    output_format = after.layer.input_format if after is not None and traced.direct else FLOAT32
    stored_input = layer.input_format if before is None or before.direct else FLOAT32
    weight_bytes = layer.weight_format.packed_bytes(layer_shape.out_channels, layer_shape.dot_length)
    epilogue = Epilogue(
        weight_format=layer.weight_format,
        weight_scale_bytes=_weight_scale_bytes(layer, weight_bytes),
        input_scale_bytes=_input_scale_bytes(layer.input_format),
        bias=layer.bias is not None,
        norms=traced.norms,
        binary_output=output_format == BINARY,
    )
    op = select_op(layer.weight_format, layer.input_format, layer_shape)
    cost = op.cost(layer_shape, epilogue)
    return LayerCost(
        name=traced.name,
        op=op.name,
        weight_format=layer.weight_format.name,
        input_format=layer.input_format.name,
        weights=layer_shape.weights,
        macs=layer_shape.macs,
        operations=cost.operations,
        weight_bytes=weight_bytes,
        scale_bytes=cost.scale_bytes,
        other_bytes=cost.other_bytes,
        input_bytes=stored_input.packed_bytes(1, layer_shape.inputs),
        output_bytes=output_format.packed_bytes(1, traced.output_elements),
    )


def _weight_scale_bytes(layer: QuantLayer, weight_bytes: int) -> int:
    """Count the bytes of the weights' scales and zero points."""
    if layer.weight_format == FLOAT32:
        return 0
    return storage_bytes(layer.quantized_weight()) - weight_bytes


def _input_scale_bytes(input_format: NumberFormat) -> int:
    """Count the bytes of the input's scale (4), and of an unsigned input's zero point (1).

    Pixels have none of their own: theirs are in the thresholds, or in the scale of what follows.
    """
    if input_format.kind != "integer":
        return 0
    return 4 + (input_format.minimum == 0)
