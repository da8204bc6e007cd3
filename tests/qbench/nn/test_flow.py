"""Where results of layers go: what is on the way, who reads them, and what waits for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.flow import comes_from_input, elements, flow, latest, of_one_example
from qbench.nn.graph.capture import capture
from qbench.nn.graph.graph import Graph


class Net(nn.Module):
    """Convolutions a, b, c with BatchNorms, and a layer; the forward is the test's."""

    def __init__(self, body: str) -> None:
        super().__init__()
        for name in "abc":
            setattr(self, name, nn.Conv2d(4, 4, 3, padding=1))
            setattr(self, f"{name}n", nn.BatchNorm2d(4))
        self.out, self.body = nn.Linear(4 * 16, 3), body

    def forward(self, x: Tensor) -> Tensor:
        return eval(self.body, {"F": F, "torch": torch, **self._modules}, {"x": x})  # type: ignore[no-any-return]


def graph_of(body: str) -> Graph:
    return capture(Net(body), (4, 4, 4))


def described(body: str, layer: str = "a") -> tuple[str, list[str], str | None, bool, bool]:
    """The flow of a layer: the last operation on the way, norms, reader, whether joined, whether rising."""
    graph = graph_of(body)
    found = flow(graph, next(node for node in graph.layers if node.path == layer))
    end = found.end.path if found.end.kind in ("layer", "norm") else found.end.target.split(".")[1]
    reader = None if found.reader is None else found.reader.path
    return end, [norm.path for norm in found.norms], reader, found.joined, found.rising


def test_what_one_reader_takes() -> None:
    assert described("b(a(x))") == ("a", [], "b", False, True)
    assert described("b(an(a(x)))") == ("an", ["an"], "b", False, True)
    assert described("out(torch.flatten(an(a(x)), 1))") == ("flatten", ["an"], "out", False, True)
    assert described("b(F.relu(an(F.max_pool2d(a(x), 3, 1, 1))))") == ("relu", ["an"], "b", False, True)


def test_what_does_not_keep_order_or_comes_between() -> None:
    assert described("b(F.gelu(an(a(x))))") == ("gelu", ["an"], "b", False, False)
    assert described("b(F.avg_pool2d(an(a(x)), 3, 1, 1))") == ("avg_pool2d", ["an"], "b", False, False)
    assert described("b(an(F.relu(a(x))))") == ("an", [], "b", False, False)
    assert described("b(bn(an(a(x))))") == ("bn", ["an", "bn"], "b", False, True)


def test_what_several_take_is_stored_where_they_part() -> None:
    assert described("b(an(a(x))) + c(x)") == ("an", ["an"], "b", False, True)
    shortcut = "(lambda h: b(h) + h)(F.relu(an(a(x))))"
    assert described(shortcut) == ("relu", ["an"], None, False, True)
    # The other one goes on past the sum, which nothing takes but the output.
    assert described(shortcut, "b") == ("add", [], None, True, False)


def test_of_two_operands_the_one_whose_layer_runs_last_goes_on() -> None:
    body = "c(an(a(x)) + bn(b(x)))"
    assert described(body, "a") == ("an", ["an"], None, False, True)
    assert described(body, "b") == ("add", ["bn"], "c", True, False)
    # A shortcut's own pool runs after the layer: its values were there before.
    graph = graph_of("(lambda h: b(h) + F.max_pool2d(h, 3, 1, 1))(a(x))")
    (add,) = graph.of_kind("add")
    assert latest(graph, add).path == "b"


def test_what_the_first_layers_read() -> None:
    graph = graph_of("b(F.relu(x)) + c(a(x))")
    assert {node.path: comes_from_input(graph, node) for node in graph.layers} == {"a": True, "b": True, "c": False}


def test_elements_and_shapes_are_those_of_one_example() -> None:
    graph = graph_of("torch.chunk(a(x), 2, 1)[0]")
    (chunk,) = [node for node in graph.nodes if "chunk" in node.target or "split" in node.target]
    assert elements(graph, chunk) == 2 * 16  # of two tensors, the one that is taken
    (layer,) = graph.layers
    assert of_one_example(graph, layer, (2, 4, 4)) == (4, 4)
    assert of_one_example(graph, layer, (5, 2, 8)) == (5, 8)
    assert of_one_example(graph, layer, (10, 8)) == (5, 8)
