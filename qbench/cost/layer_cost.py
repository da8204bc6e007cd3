"""What one layer of a network costs, or one operation outside the layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from qbench.nn.operations import Operations
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.select import select_op
from qbench.nn.trace import TracedLayer
from qbench.nn.traced_norm import TracedNorm
from quantizers import BINARY, FLOAT32, NumberFormat, Quantizer, storage_bytes


@dataclass(frozen=True)
class LayerCost:
    """One layer's counts, for one inference of one example; or those of an operation outside the layers.

    A layer that runs several times is one row: operations, MACs and traffic of every call, stored bytes once. Outside
    the layers are products in float32 (`block.attention: scaled_dot_product_attention`), additions of two tensors, and
    norms that stand alone: all of the op `float`.

    Attributes:
        name: of the layer in its network; of an operation, the module whose forward computes it, and its name.
        op: of the QuantOp that computes it.
        weight_format, input_format: names of the number formats.
        weights: how many.
        macs: multiply-accumulates of the layer, whatever the formats.
        operations: of the QuantOp and the normalization after it, on operands packed without gaps.
        weight_bytes: codes at their packed width, each output channel's row padded to whole bytes.
        scale_bytes: scales and zero points, of the weights and of the input.
        other_bytes: what else quantizing the input reads (`Quantizer.inference_tensors` at the size of their dtypes:
            thresholds, a curve, a network of its own); of a weight's quantizer nothing is, for the codes are stored and
            nothing is quantized any more. Further the bias, and the normalization folded to scale and shift (8 bytes a
            channel), or to a threshold (4 bytes a channel and one bit for its direction) where the next layer's input
            is binary. An int8 layer has neither: its normalization is in the scales and the int32 bias (4 bytes a
            channel).
        input_bytes, output_bytes: activations at the width they are stored with: the output has the next layer's
            input format; the last one is float32. An addition reads the operand that waits for the other one, which
            comes to it from its layer; norms and functions of single values are computed on the way, too.
        calls: how many times it runs.
        peak_bytes: the most that the input and the output of one call take together.
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
    calls: int = 1
    peak_bytes: int = 0

    @property
    def stored_bytes(self) -> int:
        """Everything the layer needs at inference."""
        return self.weight_bytes + self.scale_bytes + self.other_bytes

    @property
    def float_macs(self) -> int:
        """The MACs whose operands are both float32."""
        return self.macs if self.weight_format == self.input_format == FLOAT32.name else 0

    def __add__(self, other: LayerCost) -> LayerCost:
        """Add another call: what each stores is added too, so that the later one must not count it again."""
        counts = ("weights", "macs", "operations", "weight_bytes", "scale_bytes", "other_bytes", "input_bytes",
                  "output_bytes", "calls")  # fmt: skip
        added = {name: getattr(self, name) + getattr(other, name) for name in counts}
        return replace(self, **added, peak_bytes=max(self.peak_bytes, other.peak_bytes))


@dataclass
class Stored:
    """What the rows so far have stored: a parameter, a layer or a norm is stored once, however many rows read it.

    Attributes:
        parameters: those that are counted in any form.
        in_float: those that are stored in float32.
        layers: the layers whose codes, scales and bias are stored, and the epilogues whose numbers are.
        tensors: those that the quantizers of inputs read, by their ids, which are free again where nobody keeps them.
        norms: names of the BatchNorms whose scale and shift are stored.
    """

    parameters: set[nn.Parameter] = field(default_factory=set)
    in_float: set[nn.Parameter] = field(default_factory=set)
    layers: dict[str, set[Any]] = field(default_factory=dict)
    norms: set[str] = field(default_factory=set)
    tensors: dict[int, Tensor] = field(default_factory=dict)

    def float_values(self, *parameters: Any) -> int:
        """Return how many values of these parameters no row has stored in float32 before; they are now."""
        return sum(each.numel() for each in self._new_in_float(parameters))

    def float_bytes(self, *parameters: Any) -> int:
        """Return the bytes of these parameters, of the size of their dtypes, that no row has stored; they are now."""
        return sum(each.numel() * each.element_size() for each in self._new_in_float(parameters))

    def _new_in_float(self, parameters: tuple[Any, ...]) -> list[nn.Parameter]:
        new = [
            each for each in dict.fromkeys(parameters) if isinstance(each, nn.Parameter) and each not in self.in_float
        ]
        self.in_float.update(new)
        self.parameters.update(new)
        return new

    def quantizer_bytes(self, quantizer: Quantizer) -> int:
        """Return the bytes of what quantizing an input reads beside scale and zero point, unless a row stores it."""
        new = {id(each): each for each in quantizer.inference_tensors().values() if id(each) not in self.tensors}
        self.tensors.update(new)
        self.parameters.update(quantizer.parameters())
        return sum(each.numel() * each.element_size() for each in new.values())

    def new_values(self, parameter: Any) -> int:
        """Return how many values of a parameter are counted for the first time, in whatever form; they are now."""
        if parameter in self.parameters:
            return 0
        self.parameters.add(parameter)
        return int(parameter.numel())


def layer_cost(traced: TracedLayer, stored: Stored) -> LayerCost:
    """Count one call of a layer.

    Its output is stored in its reader's input format; in float32 if something else reads it too (a shortcut), and the
    next layer then reads that.

    Args:
        traced: the call.
        stored: what the rows before store; what this one does is added.
    """
    layer, layer_shape = traced.layer, traced.layer_shape
    weight_format, input_format = formats(layer)
    output_format = FLOAT32 if traced.reader is None else formats(traced.reader)[1]
    first = traced.name not in stored.layers
    weights, weight_bytes = _weights(traced, stored) if first else (0, 0)
    epilogue = Epilogue(
        weight_format=weight_format,
        weight_scale_bytes=_weight_scale_bytes(layer, weight_format.packed_bytes(*layer_shape.weight_rows)),
        input_scale_bytes=_input_scale_bytes(layer, input_format),
        bias=getattr(layer, "bias", None) is not None,
        norms=tuple(replace(norm, stored=norm.name in stored.norms) for norm in traced.norms),
        binary_output=output_format == BINARY and traced.rising,
    )
    shares_scale = not isinstance(layer, QuantLayer) or layer.shares_scale
    op = select_op(weight_format, input_format, layer_shape, shares_scale)
    cost = op.cost(layer_shape, epilogue)
    scale_bytes, other_bytes = _stored_bytes(traced, epilogue, stored, lambda e: op.cost(layer_shape, e))
    stored.parameters.update(layer.parameters())
    if isinstance(layer, QuantLayer) and layer.input_quantizer is not None:
        other_bytes += stored.quantizer_bytes(layer.input_quantizer)
    input_bytes = _activation_bytes(input_format if traced.fed else FLOAT32, layer_shape.inputs)
    output_bytes = _activation_bytes(output_format, traced.output_elements)
    return LayerCost(
        name=traced.name,
        op=op.name,
        weight_format=weight_format.name,
        input_format=input_format.name,
        weights=weights,
        macs=layer_shape.macs,
        operations=cost.operations,
        weight_bytes=weight_bytes,
        scale_bytes=scale_bytes,
        other_bytes=other_bytes,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        peak_bytes=input_bytes + output_bytes,
    )


def formats(layer: nn.Module) -> tuple[NumberFormat, NumberFormat]:
    """Return the formats of the weights and the inputs that evaluation uses; torch's own layers are float32."""
    return (layer.weight_format, layer.input_format) if isinstance(layer, QuantLayer) else (FLOAT32, FLOAT32)


def _weights(traced: TracedLayer, stored: Stored) -> tuple[int, int]:
    """Return how many weights a layer has, and the bytes of their codes; none that other rows have counted.

    A tensor that two rows read is stored once in float32; besides, each quantized layer stores its codes.
    """
    layer = traced.layer
    weight_format, _ = formats(layer)
    if weight_format == FLOAT32:
        if not isinstance(layer.weight, nn.Parameter):  # computed from others: a parametrization
            return traced.layer_shape.weights, 4 * traced.layer_shape.weights
        counted = stored.new_values(layer.weight)
        return counted, 4 * stored.float_values(layer.weight)
    return stored.new_values(layer.weight), weight_format.packed_bytes(*traced.layer_shape.weight_rows)


def _stored_bytes(
    traced: TracedLayer, epilogue: Epilogue, stored: Stored, cost: Callable[[Epilogue], OpCost]
) -> tuple[int, int]:
    """Return the bytes of scales, and of bias and norms, that a call stores beyond those of the calls before it.

    Another call of the layer stores the numbers of other norms that come after it, or of the same norms in another
    form; nothing where all is as in a call before.
    """
    form = (tuple(norm.name for norm in traced.norms), epilogue.binary_output)
    seen = stored.layers.setdefault(traced.name, set())
    first, new = not seen, form not in seen
    seen.add(form)
    found = cost(epilogue if first else replace(epilogue, bias=False))
    for norm in traced.norms:
        # A norm in a threshold, or in an integer layer's bias, stores no numbers of its own.
        if _norm_bytes(norm, epilogue, cost):
            stored.norms.add(norm.name)
    if not new:
        return 0, 0
    return (found.scale_bytes if first else 0), found.other_bytes


def _norm_bytes(norm: TracedNorm, epilogue: Epilogue, cost: Callable[[Epilogue], OpCost]) -> int:
    with_it, without = (
        replace(epilogue, norms=tuple(replace(each, stored=skip and each.name == norm.name) for each in epilogue.norms))
        for skip in (False, True)
    )
    return cost(with_it).other_bytes - cost(without).other_bytes


def _weight_scale_bytes(layer: nn.Module, weight_bytes: int) -> int:
    """Count the bytes of the weights' scales and zero points."""
    if not isinstance(layer, QuantLayer) or layer.weight_format == FLOAT32:
        return 0
    return storage_bytes(layer.quantized_weight()) - weight_bytes


def _activation_bytes(format: NumberFormat, values: int) -> int:
    """Count the bytes of an activation: its codes, and the scales of its groups, which are new with each example."""
    return format.packed_bytes(1, values) + format.group_scale_bytes(1, values)


def _input_scale_bytes(layer: nn.Module, input_format: NumberFormat) -> int:
    """Count the bytes of the input's scales (4 each, or the format's `scale_bits`), and of an unsigned input's zero
    points (1 each).

    An encoding says how many scales there are; without one it is one. Pixels have none of
    their own: theirs are in the thresholds, or in the scale of what follows. Those of groups go with the activation.
    """
    if input_format.kind not in ("integer", "odd", "table") or input_format.group_size is not None:
        return 0
    quantizer = layer.input_quantizer if isinstance(layer, QuantLayer) else None
    encoding = None if quantizer is None else quantizer.encoding()
    scales = 1 if encoding is None else encoding.scale.numel()
    zero_points = scales if input_format.kind == "integer" and input_format.minimum == 0 else 0
    return input_format.scale_bytes(scales) + zero_points
