"""What ATen's operations are."""

from __future__ import annotations

import torch

from qbench.nn.graph.node import Kind, Node

_ACTIVATIONS = {
    "relu": "relu",
    "relu6": "relu6",
    "hardtanh": "hardtanh",
    "gelu": "gelu",
    "silu": "silu",
    "mish": "mish",
    "elu": "elu",
    "celu": "celu",
    "selu": "selu",
    "leaky_relu": "leaky_relu",
    "prelu": "prelu",
    "rrelu": "rrelu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "hardsigmoid": "hardsigmoid",
    "hardswish": "hardswish",
    "softplus": "softplus",
    "softsign": "softsign",
    "softmax": "softmax",
    "_softmax": "softmax",
    "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
    "log_sigmoid": "log_sigmoid",
    "hardshrink": "hardshrink",
    "softshrink": "softshrink",
    "threshold": "threshold",
    "glu": "glu",
    "sign": "sign",
    "abs": "abs",
    "square": "square",
    "exp": "exp",
}

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "adaptive_max_pool1d",
                     "adaptive_max_pool2d", "adaptive_max_pool3d"), "max_pool"),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
                     "adaptive_avg_pool3d", "_adaptive_avg_pool2d"), "average_pool"),
    **dict.fromkeys(("flatten", "view", "reshape", "_unsafe_view", "unflatten", "squeeze", "unsqueeze", "permute",
                     "transpose", "t", "movedim", "view_as", "reshape_as", "numpy_T", "channel_shuffle",
                     "pixel_shuffle", "pixel_unshuffle", "swapaxes", "moveaxis"), "reshape"),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout", "clone",
                     "contiguous", "alias", "detach", "to", "_to_copy", "lift_fresh_copy", "identity"), "identity"),
    **dict.fromkeys(("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
                     "replication_pad1d", "replication_pad2d", "replication_pad3d", "zero_pad2d"), "pad"),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack", "hstack", "vstack"), "concatenate"),
    "add": "add",
}  # fmt: skip

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
"""The recurrent operations: products that the counter of floating-point operations does not know."""

ATTENTION = "scaled_dot_product_attention"


def kind_of(target: str) -> tuple[Kind, str | None]:
    """Return the kind of an ATen operation, and an activation's function; a product is told by its count.

    >>> kind_of("aten.relu_.default")
    ('activation', 'relu')
    """
    name = base_name(target)
    if name in _ACTIVATIONS:
        return "activation", _ACTIVATIONS[name]
    return _KINDS.get(name, "other"), None


def keeps_values(node: Node) -> bool:
    """Whether an operation of evaluation gives the very values that it takes, in their shape.

    An `identity` does unless it is a dropout that evaluation does not switch off, or a copy to another type of number.
    """
    return (
        node.kind == "identity"
        and len(node.inputs) == 1
        and not node.arguments.get("train", False)
        and node.arguments.get("dtype") in (None, torch.float32)
    )


def base_name(target: str) -> str:
    """Return the name of an ATen operation, without its overload and the mark of those that write in place."""
    parts = target.split(".")
    name = parts[1] if len(parts) > 1 and parts[0] == "aten" else parts[0]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name
