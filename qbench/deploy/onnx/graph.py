"""An ONNX graph under construction."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

OPSET = 17
_IR_VERSION = 8  # the oldest with this opset: any runtime that knows the opset reads it


class Graph:
    """Nodes and initializers under construction; a value has the name of the node that gives it.

    Needs the package onnx.
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; return its name."""
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: Tensor) -> str:
        """Add an initializer; return its name."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(values.detach().cpu().numpy())
        self._initializers.append(numpy_helper.from_array(array.reshape(tuple(values.shape)), name))
        return name

    def to_bytes(self, images: tuple[int, ...], classes: int) -> bytes:
        """Return the checked model as a file's bytes: float32 `images` in, float32 `scores` out, any batch."""
        import onnx
        from onnx import helper

        made = helper.make_graph(
            self._nodes,
            "qbench",
            [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", *images])],
            [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["batch", classes])],
            self._initializers,
        )
        model = helper.make_model(
            made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION, producer_name="qbench"
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()
