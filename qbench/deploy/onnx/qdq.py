"""An integer network as an ONNX file with QuantizeLinear and DequantizeLinear nodes ('QDQ')."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qbench.deploy.chain import Block, blocks, pair
from qbench.deploy.int8.stage import check_block
from qbench.errors import UserError
from qbench.nn.quant_conv2d import QuantConv2d
from quantizers import Quantized, Quantizer

OPSET = 17
_BATCH = 1000
_IR_VERSION = 8  # the oldest with this opset: any runtime that knows the opset reads it


@torch.no_grad()
def export_onnx(network: nn.Module, input_shape: tuple[int, ...], path: str | Path) -> None:
    """Write a calibrated or trained integer network to `path`; its predictions are those of fake-quantized evaluation.

    Input `images`, float32 [batch, *input_shape]; output `scores`, float32 [batch, classes]. Every layer's input
    passes QuantizeLinear and DequantizeLinear with the layer's scale and zero point; weights are int8 (uint8)
    initializers with a scale per tensor or per channel, biases int32 initializers at the scale S_x·S_w, both behind
    DequantizeLinear, which is the form that runtimes fuse into integer kernels. Formats narrower than the stored 8 bits
    get a Clip in front of QuantizeLinear, which saturates at the 8 bits' ends. BatchNorm that was not folded is a Mul
    and an Add.

    A bias that int32 cannot hold in that unit (a channel whose weights have vanished) stays float32.

    Raises:
        UserError: the package onnx is missing, or the file cannot be written.
        UnsupportedStructureError, NotIntegerError: a network without such a form, with the layer and the reason.
    """
    try:
        import onnx
    except ImportError:
        raise UserError("ONNX export needs the package onnx: pip install 'qbench[onnx]'") from None
    chain = blocks(network)
    for block in chain:
        check_block(block)
    graph = _Graph()
    value, bounded = "images", False
    for block in chain:
        assert block.layer.input_quantizer is not None
        value = _quantized_input(graph, block, value, bounded)
        value = _block(graph, block, value)
        bounded = block.activation == "relu"
    graph.node("Identity", [value], name="scores")
    helper = onnx.helper
    made = helper.make_graph(
        graph.nodes,
        "qbench",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", *input_shape])],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["batch", chain[-1].channels])],
        graph.initializers,
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION, producer_name="qbench"
    )
    onnx.checker.check_model(model, full_check=True)
    try:
        Path(path).write_bytes(model.SerializeToString())
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


class _Graph:
    """Nodes and initializers under construction; every value has the name of its node."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: Tensor) -> str:
        from onnx import numpy_helper

        array = np.ascontiguousarray(values.detach().cpu().numpy())
        self.initializers.append(numpy_helper.from_array(array.reshape(tuple(values.shape)), name))
        return name


def _quantized_input(graph: _Graph, block: Block, value: str, bounded: bool) -> str:
    """The block's input behind Clip (where 8 bits would not saturate as the format does), Q and DQ; flattened."""
    name, quantizer = block.name, block.layer.input_quantizer
    assert quantizer is not None
    example = _of_zero(quantizer)
    format, scale = example.format, example.scale.reshape(()).float()
    zero_point = torch.zeros((), dtype=example.codes.dtype)
    if example.zero_point is not None:
        zero_point = example.zero_point.reshape(()).to(example.codes.dtype)
    stored = torch.iinfo(example.codes.dtype)
    low_is_open = format.minimum > stored.min and not (bounded and int(zero_point) == 0)
    if low_is_open or format.maximum < stored.max:
        ends = [(end - float(zero_point)) * scale for end in (format.minimum, format.maximum)]
        limits = [graph.constant(f"{name}.input.{key}", end) for key, end in zip(("low", "high"), ends, strict=True)]
        value = graph.node("Clip", [value, *limits], f"{name}.input.clipped")
    encoding = [graph.constant(f"{name}.input.scale", scale), graph.constant(f"{name}.input.zero_point", zero_point)]
    codes = graph.node("QuantizeLinear", [value, *encoding], f"{name}.input.codes")
    value = graph.node("DequantizeLinear", [codes, *encoding], f"{name}.input")
    return graph.node("Flatten", [value], f"{name}.input.flat", axis=1) if block.flatten else value


def _of_zero(quantizer: Quantizer) -> Quantized:
    return quantizer.quantize(torch.zeros(1))


def _block(graph: _Graph, block: Block, value: str) -> str:
    name, layer = block.name, block.layer
    weight = layer.quantized_weight()
    per_channel = weight.scale.numel() > 1
    scale = weight.scale.detach().float().reshape(-1 if per_channel else ())
    zero_point = torch.zeros_like(scale, dtype=weight.codes.dtype)
    if weight.zero_point is not None:
        zero_point = weight.zero_point.reshape(scale.shape).to(weight.codes.dtype)
    axis = {"axis": 0} if per_channel else {}
    encoding = [graph.constant(f"{name}.weight.scale", scale), graph.constant(f"{name}.weight.zero_point", zero_point)]
    codes = graph.constant(f"{name}.weight.codes", weight.codes)
    inputs = [value, graph.node("DequantizeLinear", [codes, *encoding], f"{name}.weight", **axis)]
    if layer.bias is not None:
        inputs.append(_bias(graph, block, scale))
    if isinstance(layer, QuantConv2d):
        vertical, horizontal = pair(layer.padding)
        value = graph.node(
            "Conv",
            inputs,
            f"{name}.product",
            kernel_shape=pair(layer.kernel_size),
            strides=pair(layer.stride),
            pads=[vertical, horizontal, vertical, horizontal],
            dilations=pair(layer.dilation),
        )
    else:
        value = graph.node("Gemm", inputs, f"{name}.product", transB=1)
    shape = (-1, 1, 1) if isinstance(layer, QuantConv2d) else (-1,)
    if bool((block.factor != 1).any()) or bool((block.shift != 0).any()):
        for kind, numbers in (("Mul", block.factor), ("Add", block.shift)):
            number = graph.constant(f"{name}.norm.{kind.lower()}", numbers.float().reshape(shape))
            value = graph.node(kind, [value, number], f"{name}.normalized.{kind.lower()}")
    if block.pool is not None:
        value = _pool(graph, block, block.pool, value)
    if block.activation == "relu":
        value = graph.node("Relu", [value], f"{name}.activation")
    elif block.activation == "hardtanh":
        ends = [graph.constant(f"{name}.{key}", torch.tensor(end)) for key, end in (("low", -1.0), ("high", 1.0))]
        value = graph.node("Clip", [value, *ends], f"{name}.activation")
    return value


def _bias(graph: _Graph, block: Block, weight_scale: Tensor) -> str:
    name, bias = block.name, block.layer.bias.detach()
    assert block.layer.input_quantizer is not None
    input_scale = _of_zero(block.layer.input_quantizer).scale.detach().reshape(())
    unit = (weight_scale.double() * input_scale.double()).float()
    codes = torch.round(bias.double() / unit.double())
    if float(codes.abs().max()) >= 2**31:
        return graph.constant(f"{name}.bias", bias.float())
    encoding = [graph.constant(f"{name}.bias.scale", unit)]
    stored = graph.constant(f"{name}.bias.codes", codes.int())
    axis = {"axis": 0} if unit.dim() else {}
    return graph.node("DequantizeLinear", [stored, *encoding], f"{name}.bias", **axis)


def _pool(graph: _Graph, block: Block, pool: nn.MaxPool2d, value: str) -> str:
    name, direction = block.name, block.direction.float().reshape(-1, 1, 1)
    turned = bool((direction < 0).any())
    if turned:
        sign = graph.constant(f"{name}.direction", direction)
        value = graph.node("Mul", [value, sign], f"{name}.turned")
    vertical, horizontal = pair(pool.padding)
    value = graph.node(
        "MaxPool",
        [value],
        f"{name}.pooled",
        kernel_shape=pair(pool.kernel_size),
        strides=pair(pool.stride),
        pads=[vertical, horizontal, vertical, horizontal],
    )
    return graph.node("Mul", [value, sign], f"{name}.turned_back") if turned else value
