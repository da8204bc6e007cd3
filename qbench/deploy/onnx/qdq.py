"""An integer network as an ONNX file with QuantizeLinear and DequantizeLinear nodes ('QDQ')."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from qbench.deploy.block import Block
from qbench.deploy.int8.encoding import input_encoding, integer_blocks
from qbench.deploy.onnx.fitted_weight import fitted_weight
from qbench.deploy.onnx.graph import Graph
from qbench.errors import UserError
from qbench.nn.graph.example import example_batch
from qbench.nn.quant_conv2d import QuantConv2d


@torch.no_grad()
def export_onnx(network: nn.Module, input_shape: tuple[int, ...] | Tensor, path: str | Path) -> None:
    """Write a calibrated or trained integer network to `path`.

    Of a network that a post-training scheme calibrated, predictions are those of fake-quantized evaluation: its biases
    are rounded as the file's are. One that was quantized in training evaluates with float32 biases: the file's, rounded
    to whole S_x·S_w, move its scores by up to half of that a channel and layer. `qbench export-onnx` says how many
    predictions are the same.

    Input `images`, float32 [batch, *input_shape], or as a batch of examples that stands for it; output `scores`,
    float32 [batch, classes]. Every layer's input passes QuantizeLinear and DequantizeLinear with the layer's scale and
    zero point; weights are int8 (uint8) initializers with a scale per tensor or per channel, biases int32 initializers
    at the scale S_x·S_w, both behind DequantizeLinear, which is the form that runtimes fuse into integer kernels.
    Formats narrower than the stored 8 bits get a Clip in front of QuantizeLinear, which saturates at the 8 bits' ends.
    BatchNorm that was not folded is a Mul and an Add.

    A channel whose weights are zeros or have all but vanished gets a scale that keeps its bias (see `fitted_weight`).

    Raises:
        UserError: the package onnx is missing, or the file cannot be written.
        UnsupportedStructureError, NotIntegerError: a network without such a form, with the layer and the reason.
    """
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise UserError("ONNX export needs the package onnx: pip install 'qbench[onnx]'") from None
    chain = integer_blocks(network, input_shape)
    graph = Graph()
    value, never_negative = "images", False
    for block in chain:
        value = _quantized_input(graph, block, value, never_negative)
        value = _block(graph, block, value)
        never_negative = block.activation == "relu"
    graph.node("Identity", [value], name="scores")
    content = graph.to_bytes(tuple(example_batch(input_shape, network).shape[1:]), chain[-1].channels)
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def _quantized_input(graph: Graph, block: Block, value: str, never_negative: bool) -> str:
    """Add the block's input behind Clip (where 8 bits would not saturate as the format does), Q and DQ; flattened."""
    name, encoding = block.name, input_encoding(block)
    format, scale = encoding.format, encoding.scale.reshape(())
    dtype = torch.int8 if format.minimum < 0 else torch.uint8
    stored = torch.iinfo(dtype)
    zero_point = torch.zeros((), dtype=dtype)
    if encoding.zero_point is not None:
        zero_point = encoding.zero_point.reshape(()).to(dtype)
    low_is_open = format.minimum > stored.min and not (never_negative and int(zero_point) == 0)
    if low_is_open or format.maximum < stored.max:
        ends = {"low": encoding.low, "high": encoding.high}
        limits = [graph.constant(f"{name}.input.{key}", end.reshape(()).float()) for key, end in ends.items()]
        value = graph.node("Clip", [value, *limits], f"{name}.input.clipped")
    constants = [graph.constant(f"{name}.input.scale", scale), graph.constant(f"{name}.input.zero_point", zero_point)]
    codes = graph.node("QuantizeLinear", [value, *constants], f"{name}.input.codes")
    value = graph.node("DequantizeLinear", [codes, *constants], f"{name}.input")
    return graph.node("Flatten", [value], f"{name}.input.flat", axis=1) if block.flatten else value


def _block(graph: Graph, block: Block, value: str) -> str:
    """Add a block that reads `value`, and return what it gives."""
    value = _product(graph, block, value)
    if bool((block.factor != 1).any()) or bool((block.shift != 0).any()):
        shape = (-1, 1, 1) if isinstance(block.layer, QuantConv2d) else (-1,)
        for kind, numbers in (("Mul", block.factor), ("Add", block.shift)):
            number = graph.constant(f"{block.name}.norm.{kind.lower()}", numbers.float().reshape(shape))
            value = graph.node(kind, [value, number], f"{block.name}.normalized.{kind.lower()}")
    value = _pooled(graph, block, value)
    if block.activation == "relu":
        return graph.node("Relu", [value], f"{block.name}.activation")
    if block.activation == "hardtanh":
        ends = {"low": -1.0, "high": 1.0}
        limits = [graph.constant(f"{block.name}.{key}", torch.tensor(end)) for key, end in ends.items()]
        return graph.node("Clip", [value, *limits], f"{block.name}.activation")
    return value


def _product(graph: Graph, block: Block, value: str) -> str:
    """Add the layer itself, with its weight and bias."""
    name, layer = block.name, block.layer
    weight = fitted_weight(layer.quantized_weight(), layer.bias, input_encoding(block).scale)
    per_channel = weight.scale.numel() > 1
    scale = weight.scale.detach().float().reshape(-1 if per_channel else ())
    dtype = torch.int8 if weight.format.minimum < 0 else torch.uint8
    zero_point = torch.zeros_like(scale, dtype=dtype)
    if weight.zero_point is not None:
        zero_point = weight.zero_point.reshape(scale.shape).to(dtype)
    axis = {"axis": 0} if per_channel else {}
    constants = [graph.constant(f"{name}.weight.scale", scale), graph.constant(f"{name}.weight.zero_point", zero_point)]
    codes = graph.constant(f"{name}.weight.codes", weight.codes.to(dtype))
    inputs = [value, graph.node("DequantizeLinear", [codes, *constants], f"{name}.weight", **axis)]
    if layer.bias is not None:
        inputs.append(_bias(graph, block, scale))
    if not isinstance(layer, QuantConv2d):
        return graph.node("Gemm", inputs, f"{name}.product", transB=1)
    window = layer.window
    return graph.node(
        "Conv",
        inputs,
        f"{name}.product",
        kernel_shape=block.kernel_size,
        strides=window.stride,
        pads=window.pads,
        dilations=window.dilation,
        group=window.groups,
    )


def _bias(graph: Graph, block: Block, weight_scale: Tensor) -> str:
    """Add the bias as int32 at the scale S_x·S_w."""
    name, bias = block.name, block.layer.bias.detach()
    input_scale = input_encoding(block).scale.reshape(())
    unit = (weight_scale.double() * input_scale.double()).float()
    codes = torch.round(bias.double() / unit.double())
    scale = graph.constant(f"{name}.bias.scale", unit)
    stored = graph.constant(f"{name}.bias.codes", codes.int())
    axis = {"axis": 0} if unit.dim() else {}
    return graph.node("DequantizeLinear", [stored, scale], f"{name}.bias", **axis)


def _pooled(graph: Graph, block: Block, value: str) -> str:
    """Add the max-pool, if there is one; channels that it takes the smallest values of change their sign around it."""
    window = block.pool
    if window is None:
        return value
    name, direction = block.name, block.direction.float().reshape(-1, 1, 1)
    turned = bool((direction < 0).any())
    if turned:
        sign = graph.constant(f"{name}.direction", direction)
        value = graph.node("Mul", [value, sign], f"{name}.turned")
    value = graph.node(
        "MaxPool",
        [value],
        f"{name}.pooled",
        kernel_shape=window.kernel,
        strides=window.stride,
        pads=window.padding * 2,
    )
    return graph.node("Mul", [value, sign], f"{name}.turned_back") if turned else value
