"""An exported program, read as operations of a graph."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from qbench.nn.activation import Activation
from qbench.nn.graph.example import BATCH
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import base_name, kind_of
from qbench.nn.graph.memory import Memory
from qbench.nn.graph.node import Kind, Node
from qbench.nn.graph.products import count_macs
from qbench.nn.graph.whole import name_of_whole
from qbench.nn.norm import NORMS


class Program:
    """A program that torch has exported, as operations of a graph.

    Args:
        network: what was exported, within `called_whole`.
        program: the export.
        whole: what `called_whole` gave.
    """

    def __init__(self, network: nn.Module, program: Any, whole: Mapping[str, nn.Module]) -> None:
        self._network = network
        self._program = program
        self._whole = whole
        signature = program.graph_signature
        self._parameters = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **{key: key for key in signature.inputs_to_lifted_tensor_constants},
        }
        self._names = {module: name for name, module in network.named_modules()}
        self._memory = Memory()

    def graph(self) -> Graph:
        """Return the graph.

        Raises:
            ValueError: part of a tensor is written in place and the whole read afterwards (see `Memory`), or branches
                that only the data chooses between (`torch.cond`).
        """
        # An export asserts what it took for granted: such a node computes nothing.
        kept = [
            each
            for each in self._program.graph.nodes
            if each.name not in self._parameters and not base_name(str(each.target)).startswith("_assert")
        ]
        whole_batch = Graph(tuple(self._node(each) for each in kept), BATCH)
        # What the input has no part in is computed once, however many examples there are.
        nodes = [
            replace(node, macs=-(-node.macs // BATCH)) if whole_batch.depends_on_input(node) else node
            for node in whole_batch.nodes
        ]
        return Graph(tuple(nodes), BATCH)

    def _node(self, found: fx.Node) -> Node:
        taken = [each for each in _arguments(found) if each.name not in self._parameters]
        own = [self._parameters[each.name] for each in _arguments(found) if each.name in self._parameters]
        common: dict[str, Any] = {
            "name": found.name,
            "inputs": tuple(self._memory.read(each.name) for each in taken),
            "parameters": tuple(own),
            "shape": _shape(found.meta.get("val")),
            "input_shapes": tuple(_shape(each.meta.get("val")) for each in taken),
        }
        if found.op in ("placeholder", "output"):
            kind: Kind = "input" if found.op == "placeholder" else "output"
            return Node(kind=kind, target=kind, path="", module=self._network, **common)
        if isinstance(found.target, torch._ops.HigherOrderOperator) or found.op == "get_attr":
            raise ValueError(f"{found.name} is control flow within the graph, whose branches the data chooses between")
        self._remember(found)
        whole = name_of_whole(found)
        if whole is not None:
            return self._called_whole(whole, common)
        target = "getitem" if found.target is operator.getitem else str(found.target)
        module = self._network.get_submodule(_module_path(found))
        arguments = _named_arguments(found)
        kind, function = _kind(target, arguments)
        macs = 0 if target == "getitem" else count_macs(found)
        if macs:
            kind, function = "product", None
        common |= {"path": self._names[module], "module": module, "arguments": arguments}
        return Node(kind=kind, target=target, function=function, macs=macs, **common)

    def _remember(self, found: fx.Node) -> None:
        """Note what memory an operation's result is in."""
        first = found.args[0] if found.args else None
        if isinstance(first, list | tuple):
            first = first[0] if first else None
        if not isinstance(first, fx.Node) or first.name in self._parameters:
            return
        whole = name_of_whole(found)
        if whole is not None:
            slot = self._whole[whole]
            if isinstance(slot, Activation) and slot.function == "identity":
                self._memory.view(first.name, found.name)
            elif isinstance(slot, Activation) and slot.inplace:
                self._memory.write(first.name, found.name)
        elif _writes(found.target):
            self._memory.write(first.name, found.name)
        elif _is_view(found):
            self._memory.view(first.name, found.name)

    def _called_whole(self, name: str, common: dict[str, Any]) -> Node:
        module = self._whole[name]
        if isinstance(module, Activation):
            if module.function == "identity":
                return Node(kind="identity", target="slot", path=name, module=module, **common)
            return Node(kind="activation", target="slot", path=name, module=module, function=module.function, **common)
        kind: Kind = "norm" if type(module) in NORMS else "layer"
        return Node(kind=kind, target=kind, path=name, module=module, **common)


def _writes(target: Any) -> bool:
    """Whether an operation writes its result into the first tensor that it takes."""
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.arguments:
        return False
    alias = target._schema.arguments[0].alias_info
    return alias is not None and alias.is_write


def _is_view(found: fx.Node) -> bool:
    """Whether the result of an operation may be in the memory of the first tensor that it takes."""
    if found.target is operator.getitem:
        return True
    if not isinstance(found.target, torch._ops.OpOverload):
        return False
    if base_name(str(found.target)) in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
        return not _named_arguments(found).get("train", True)
    return any(result.alias_info is not None for result in found.target._schema.returns)


def _arguments(found: fx.Node) -> list[fx.Node]:
    """Return the nodes among a node's arguments, in their order, one that is taken twice twice."""
    return [each for each in tree_leaves((found.args, found.kwargs)) if isinstance(each, fx.Node)]


def _named_arguments(found: fx.Node) -> dict[str, Any]:
    """Return the arguments that are no tensors, by the operator's names, those at their default included."""
    if not isinstance(found.target, torch._ops.OpOverload):
        return {}
    named: dict[str, Any] = {}
    for position, argument in enumerate(found.target._schema.arguments):
        if position < len(found.args):
            value: Any = found.args[position]
        else:
            value = found.kwargs.get(argument.name, argument.default_value if argument.has_default_value() else None)
        if not any(isinstance(each, fx.Node) for each in tree_leaves(value)):
            named[argument.name] = value
    return named


def _kind(target: str, arguments: Mapping[str, Any]) -> tuple[Kind, str | None]:
    """Return the kind and the function of an ATen operation; a clamp from 0 on is a ReLU, a hardtanh any clamp."""
    name = base_name(target)
    known = {(0, 6): "relu6", (-1, 1): "hardtanh"}
    if name == "hardtanh":
        return "activation", known.get((arguments["min_val"], arguments["max_val"]), "clamp")
    if name in ("clamp", "clamp_min", "clip") and arguments.get("min") is not None:
        low, high = arguments["min"], arguments.get("max")
        if high is None:
            return ("activation", "relu") if low == 0 else ("other", None)
        return "activation", known.get((low, high), "clamp")
    return kind_of(target)


def _module_path(found: fx.Node) -> str:
    """Return the name of the innermost module whose forward made a node."""
    stack = found.meta.get("nn_module_stack") or {}
    entries = list(stack.values())
    return str(entries[-1][0]) if entries else ""


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape) if isinstance(value, Tensor) else ()
