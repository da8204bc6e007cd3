"""Registration with torch.library: every schema with its reference, its fake kernel and, if any, its gradient."""

from typing import Any

import torch
from torch import Tensor

from cuda_ext import reference
from cuda_ext.fake import fake
from cuda_ext.schemas import NAMESPACE, PREPACKED_SCHEMAS, SCHEMAS

# The library object owns the registrations: they go when it does.
_library = torch.library.Library(NAMESPACE, "DEF")


def _register_fake(name: str) -> None:
    schema = getattr(getattr(torch.ops, NAMESPACE), name).default._schema
    names = [argument.name for argument in schema.arguments]
    torch.library.register_fake(f"{NAMESPACE}::{name}", fake(name, names), lib=_library)


for _name, _schema in SCHEMAS.items():
    _library.define(_name + _schema, tags=(torch.Tag.needs_fixed_stride_order,))
    # Below every backend's own key: a compiled CPU or CUDA kernel takes precedence once its library is loaded.
    _library.impl(_name, getattr(reference, _name), "CompositeExplicitAutograd")
    _register_fake(_name)

for _name, _schema in PREPACKED_SCHEMAS.items():
    _library.define(_name + _schema, tags=(torch.Tag.needs_fixed_stride_order,))
    # arranging weights is done before a program is traced: its result has the size that the ISA wants
    if not _name.startswith("prepack"):
        _register_fake(_name)


def _save_weights(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    x, w_bits, ctx.k = inputs
    ctx.dtype = x.dtype
    ctx.save_for_backward(w_bits)


def _binary_weight_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    (w_bits,) = ctx.saved_tensors
    return (gradient @ torch.ops.cuda_ext.unpack_signs(w_bits, ctx.k)).to(ctx.dtype), None, None


torch.library.register_autograd(
    f"{NAMESPACE}::binary_weight_matmul",
    _binary_weight_gradient,
    setup_context=_save_weights,
    lib=_library,
)
