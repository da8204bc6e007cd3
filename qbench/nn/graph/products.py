"""How many multiply-accumulates an operation of a graph takes."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

from qbench.nn.graph.kinds import ATTENTION, RECURRENT, base_name

_aten = torch.ops.aten


def _matrix_vector(matrix: Any, vector: Any, *args: Any, out_shape: Any = None, **options: Any) -> int:
    return int(2 * prod(matrix))


def _added_matrix_vector(added: Any, matrix: Any, vector: Any, *args: Any, **options: Any) -> int:
    return int(2 * prod(matrix))


def _vectors(left: Any, right: Any, *args: Any, **options: Any) -> int:
    return int(2 * prod(left))


def _trilinear(one: Any, two: Any, three: Any, *expanded: Any, **options: Any) -> int:
    """Count the products of three tensors, broadcast after dimensions of size 1 are put in: a bilinear form's."""
    shapes = []
    for shape, places in zip((one, two, three), expanded, strict=False):
        sizes = list(shape)
        for place in sorted(places):
            sizes.insert(place, 1)
        shapes.append(sizes)
    return int(2 * prod(max(sizes) for sizes in zip(*shapes, strict=True)))


_VECTOR_PRODUCTS = {
    _aten._trilinear: _trilinear,
    _aten.mv: _matrix_vector,
    _aten.addmv: _added_matrix_vector,
    _aten.dot: _vectors,
    _aten.vdot: _vectors,
}


def count_macs(node: fx.Node) -> int:
    """Return the multiply-accumulates of an exported operation on the whole captured batch; 0 where it has none.

    - A recurrent operation applies each of its weight matrices once a step: `Σ numel(W) · steps · batch`.
    - Attention is its two products: `B·L·S·E + B·L·S·E_v`.
    - A bilinear form multiplies each of its weights once an output: `rows · N · K_1 · K_2`.
    - Anything else is run on tensors without data under `mac_counter`.
    """
    name = base_name(str(node.target))
    values = tree_map(
        lambda each: each.meta.get("val") if isinstance(each, fx.Node) else each, (node.args, node.kwargs)
    )
    args, kwargs = values
    if name in RECURRENT:
        return _recurrent(name, args)
    if name == ATTENTION:
        query, key, value = args[:3]
        return prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])
    if name == "bilinear":
        return prod(args[0].shape[:-1]) * int(args[2].numel())
    if not callable(node.target) or not _may_multiply(args):
        return 0
    return _counted(node.target, args, kwargs)


def _recurrent(name: str, args: Any) -> int:
    """Count the matrix products of an LSTM, a GRU or a plain recurrence, or of one cell of them."""
    tensors = [each for group in args for each in (group if isinstance(group, list | tuple) else [group])]
    tensors = [each for each in tensors if isinstance(each, Tensor)]
    matrices = sum(each.numel() for each in tensors[1:] if each.dim() == 2 and each is not tensors[0])
    x = args[0]
    if name.endswith("_cell"):
        # The states are matrices [batch, hidden], too.
        states = args[1] if isinstance(args[1], list | tuple) else [args[1]]
        matrices -= sum(state.numel() for state in states)
        return int(matrices * (x.shape[0] if x.dim() == 2 else 1))
    return int(matrices * prod(x.shape[:-1]))


def _may_multiply(args: Any) -> bool:
    """Whether two tensors come together, or a list of them does: one alone has nothing to be multiplied with."""
    count = 0
    for each in args:
        if isinstance(each, Tensor):
            count += 1
        elif isinstance(each, list | tuple):
            count += sum(isinstance(inner, Tensor) for inner in each)
    return count > 1


def _counted(target: Any, args: Any, kwargs: Any) -> int:
    """Count by running the operation on tensors without data."""
    modes = [each.fake_mode for each in _tensors(args) if hasattr(each, "fake_mode")]
    if not modes:
        return 0
    with mac_counter() as counter, modes[0], torch.enable_grad():
        target(*args, **kwargs)
    return counted_macs(counter)


def mac_counter() -> FlopCounterMode:
    """Return torch's counter of floating-point operations, which is told of products with vectors, too."""
    return FlopCounterMode(display=False, custom_mapping=_VECTOR_PRODUCTS)


def counted_macs(counter: FlopCounterMode) -> int:
    """Return the multiply-accumulates that a counter met: half of its operations."""
    return int(counter.get_total_flops()) // 2


def _tensors(args: Any) -> list[Any]:
    return [
        inner
        for each in args
        for inner in (each if isinstance(each, list | tuple) else [each])
        if isinstance(inner, Tensor)
    ]
