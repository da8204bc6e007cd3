"""Where the result of a layer goes before it is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from torch import nn

from qbench.nn.graph.graph import Graph
from qbench.nn.graph.node import Node

_PLACES = ("max_pool", "reshape", "identity")
"""Operations that a BatchNorm may stand behind and still be the layer's own: they only choose and move values."""


@dataclass(frozen=True)
class Flow:
    """Where the result of a layer goes, through what happens to it on the way, until it is stored.

    On the way is what takes this result alone, one operation after the other: functions of single values, norms, pools
    and reshapes; and what joins it with results that were there before (a shortcut's addition).

    Attributes:
        end: the last operation on the way, whose result is stored.
        norms: the BatchNorms right behind the layer, between which are pools of maxima, reshapes and nothing else.
        reader: the layer that alone takes what is stored; None where several operations do, or another one.
        joined: whether it is joined with other results on the way.
        rising: whether nothing but what keeps the order of values stands between the norms and the end.
    """

    end: Node
    norms: tuple[Node, ...] = ()
    reader: Node | None = None
    joined: bool = False
    rising: bool = True


def flow(graph: Graph, start: Node) -> Flow:
    """Follow the result of the layer's call `start` to where it is stored."""
    found = Flow(start)
    here, own = start, True  # own: a BatchNorm that comes now is the layer's
    while (user := graph.sole_user(here)) is not None and user.kind not in ("product", "output"):
        if user.kind == "layer":
            return replace(found, reader=user)
        if len(operands(graph, user)) > 1 and latest(graph, user) is not here:
            break
        found = replace(found, joined=found.joined or user.kind in ("add", "concatenate") or _joins(graph, user))
        if own and user.kind == "norm" and _channels(user.module) == _outputs(start.module):
            found = replace(found, norms=(*found.norms, user), rising=True)
        elif user.kind not in _PLACES:
            own = False
            found = replace(found, rising=found.rising and user.kind == "activation" and user.facts.rising)
        if user.shape:
            found = replace(found, end=user)
        here = user
    return found


def operands(graph: Graph, node: Node) -> list[Node]:
    """Return the operations of whose results `node` is made and in which the network's input has a part, each once."""
    found = (graph.node(name) for name in dict.fromkeys(node.inputs))
    return [each for each in found if graph.depends_on_input(each)]


def comes_from_input(graph: Graph, node: Node) -> bool:
    """Whether `node` takes the network's input, through functions of single tensors alone."""
    return all(
        source.kind == "input"
        for source in graph.sources(
            node, lambda each: each.kind not in ("layer", "product") and not _joins(graph, each)
        )
    )


def elements(graph: Graph, node: Node) -> int:
    """Return how many values `node` gives for one example; of several tensors those that are taken."""
    if node.shape:
        shapes = [node.shape]
    else:
        taken = [each for each in graph.users(node) if each.target == "getitem" and graph.users(each)]
        shapes = [each.shape for each in taken]
    return sum(prod(of_one_example(graph, node, shape)) for shape in shapes)


def of_one_example(graph: Graph, node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape of `node` for one example: without the batch, or with that part of a dimension that holds it.

    What the input has no part in has no batch.
    """
    if not graph.depends_on_input(node) or not shape:
        return shape
    if shape[0] == graph.batch:
        return shape[1:]
    for place, size in enumerate(shape):
        if size == graph.batch:
            return shape[:place] + shape[place + 1 :]
    for place, size in enumerate(shape):
        if size % graph.batch == 0:
            return (*shape[:place], size // graph.batch, *shape[place + 1 :])
    return shape


def _joins(graph: Graph, node: Node) -> bool:
    return len(operands(graph, node)) > 1


def latest(graph: Graph, node: Node) -> Node:
    """Return the operand of `node` that is there last, by what it comes from: the others are stored and wait for it."""
    return max(operands(graph, node), key=lambda each: (graph.place(origin(graph, each)), graph.place(each)))


def origin(graph: Graph, operand: Node) -> Node:
    """Return what an operand is made of on the way: a layer's or product's result, or one that others take as well."""
    here = operand
    while here.kind not in ("layer", "product") and len(graph.users(here)) == 1:
        before = operands(graph, here)
        if len(before) != 1:
            break
        (here,) = before
    return here


def _channels(norm: nn.Module) -> int | None:
    return getattr(norm, "num_features", None)


def _outputs(layer: nn.Module) -> int:
    """Return the channels that a layer gives."""
    weight = layer.weight
    return int(weight.shape[1] if isinstance(layer, nn.Embedding) else weight.shape[0])  # type: ignore[index]
