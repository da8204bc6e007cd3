"""Shapes and dtypes of the results without the values, for torch.compile and export.

The rules go by an operation's name and by its schema's argument names, so that no argument list is written here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cuda_ext.layout import packed_words
from cuda_ext.window import conv_output_size

_FLOAT16 = ("xnor_matmul_scale", "xnor_conv2d_scale")
_FLOAT32 = ("unpack_signs", "binary_weight_matmul")


def fake(name: str, names: Sequence[str]) -> Callable[..., Tensor]:
    """Make the fake kernel of operation `name`, whose schema has the arguments `names`."""
    operation = name.removesuffix("_prepacked")
    dtype = torch.float32 if operation in _FLOAT32 else torch.float16 if operation in _FLOAT16 else torch.int32
    packs = operation.startswith("pack_") or operation.endswith(("_sign", "_pack"))

    def kernel(*values: Any) -> Tensor:
        arguments = dict(zip(names, values, strict=True))
        *leading, last = _shape(operation, arguments)
        left: Tensor = values[0]
        return left.new_empty((*leading, packed_words(last) if packs else last), dtype=dtype)

    return kernel


def _shape(operation: str, arguments: dict[str, Any]) -> Sequence[int]:
    """The result's shape before packing. `n` and `filter` stand for the shape of prepacked weights."""
    left, *others = arguments.values()
    if operation.startswith("xnor_conv2d"):
        outputs, *kernel = arguments["filter"] if "filter" in arguments else others[0].shape[:3]
        stride, padding, dilation = (arguments[key] for key in ("stride", "padding", "dilation"))
        return left.shape[0], *conv_output_size(left.shape[1:3], kernel, stride, padding, dilation), outputs
    if "matmul" in operation:
        return left.shape[0], arguments["n"] if "n" in arguments else others[0].shape[0]
    return *left.shape[:-1], arguments["k"] if operation == "unpack_signs" else left.shape[-1]
