"""A network's operations, and who feeds whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from qbench.nn.graph.node import Node


@dataclass(frozen=True)
class Graph:
    """The operations of one forward pass, in the order they run.

    Attributes:
        nodes: the operations; those that no output depends on are left out by the capture only if nothing reads them.
        batch: examples in the pass that was captured; every shape has them.
    """

    nodes: tuple[Node, ...]
    batch: int

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _users(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return found

    @cached_property
    def _dependent(self) -> set[str]:
        found: set[str] = set()
        for node in self.nodes:
            if node.kind == "input" or not found.isdisjoint(node.inputs):
                found.add(node.name)
        return found

    @property
    def network(self) -> nn.Module:
        """The network whose operations these are."""
        return self.of_kind("input")[0].module

    @cached_property
    def _places(self) -> dict[str, int]:
        return {node.name: place for place, node in enumerate(self.nodes)}

    def place(self, node: Node) -> int:
        """Return the place of `node` in the order in which operations run, from 0."""
        return self._places[node.name]

    def node(self, name: str) -> Node:
        """Return the operation called `name`; a KeyError where there is none."""
        return self._by_name[name]

    def users(self, node: Node) -> list[Node]:
        """Return the operations that take the result of `node`, each once, in the order they run."""
        return self._users[node.name]

    def producers(self, node: Node) -> list[Node]:
        """Return the operations whose results `node` takes, in the order it takes them."""
        return [self._by_name[name] for name in node.inputs]

    def of_kind(self, *kinds: str) -> list[Node]:
        """Return the operations of these kinds, in the order they run."""
        return [node for node in self.nodes if node.kind in kinds]

    @property
    def layers(self) -> list[Node]:
        """The calls of layers, in the order they run; a layer that runs twice is there twice."""
        return self.of_kind("layer")

    def depends_on_input(self, node: Node) -> bool:
        """Whether the network's input has a part in the result of `node`."""
        return node.name in self._dependent

    def readers(self, parameters: Iterable[str]) -> list[Node]:
        """Return the operations that take one of these parameters or buffers, by name, without its layer."""
        wanted = set(parameters)
        return [node for node in self.nodes if not wanted.isdisjoint(node.parameters)]

    def sources(self, node: Node, through: Callable[[Node], bool]) -> list[Node]:
        """Return what the inputs of `node` come from: walking back past every operation that `through` lets pass.

        Each operation at which the walk ends is there once, in the order they run.
        """
        found: set[str] = set()
        seen: set[str] = set()
        waiting = list(node.inputs)
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            source = self._by_name[name]
            if through(source) and source.inputs:
                waiting.extend(source.inputs)
            else:
                found.add(name)
        return [each for each in self.nodes if each.name in found]

    def sole_user(self, node: Node) -> Node | None:
        """Return the one operation that takes the result of `node`; None where there are several, or none."""
        users = self.users(node)
        return users[0] if len(users) == 1 else None
