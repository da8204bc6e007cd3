"""BatchNorm folded into the layer before it: one linear map instead of two, before its weights are quantized."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.nn.evaluation_mode import evaluating
from qbench.nn.graph.capture import UncapturedError, capture
from qbench.nn.graph.example import example_batch
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import keeps_values
from qbench.nn.graph.node import Node
from qbench.nn.graph.whole import is_plain_layer
from qbench.nn.hooks import hooked, hooks_of
from qbench.nn.norm import Norm, norm_factor
from qbench.nn.quant_conv1d import QuantConv1d
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear
from qbench.nn.replacing import replace_modules

_log = logging.getLogger(__name__)


class DirectedMaxPool2d(nn.MaxPool2d):
    """Max-pool of the channels with direction +1, min-pool of those with -1: `d · maxpool(d · x)`.

    It takes the place of the max-pool in `BatchNorm(maxpool(x))` when the BatchNorm is folded: a negative gamma turns
    the order of values round, so that the largest sum becomes the smallest result.

    Args:
        pool: gives the window.
        direction: float [C], +1 or -1.
    """

    direction: Tensor

    def __init__(self, pool: nn.MaxPool2d, direction: Tensor) -> None:
        super().__init__(pool.kernel_size, pool.stride, pool.padding, pool.dilation, ceil_mode=pool.ceil_mode)
        self.register_buffer("direction", direction.reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled `x [B, C, H, W]`, float [B, C, Ho, Wo]."""
        return self.direction * super().forward(self.direction * x)


@torch.no_grad()
def fold_batch_norms(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> list[str]:
    """Fold every BatchNorm (shift-based ones too) that follows a layer into its weight and bias, in place.

    With `BatchNorm(x) = x·f + s`: `w' = f·w` and `b' = f·b + s`, computed in float64. A max-pool between the two
    stays; where some f are negative it becomes a `DirectedMaxPool2d`. The BatchNorm becomes an nn.Identity wherever it
    stands.

    What follows what is read from the operations that evaluation runs. A BatchNorm is folded only where it alone takes
    the layer's result (through a max-pool), has running statistics, and neither it nor the layer is called a second
    time or has its parameters read by something else. Any other BatchNorm stays as it is, which computes the same. So
    do all of them where the operations depend on the data; a line of the log then says why.

    Args:
        network: is left in its mode.
        input_shape: of one example, without the batch; or a batch of examples.

    Returns the names of the layers that took a BatchNorm in.

    Source: Jacob et al. (CVPR 2018) section 3.2; Krishnamoorthi (2018) section 3.2.2.
    """
    try:
        graph = capture(network, input_shape)
    except UncapturedError as error:
        _log.warning("no BatchNorm is folded: %s", error)
        return []
    pairs = [pair for node in graph.of_kind("norm") if (pair := _pair(graph, node)) is not None]
    kept = _called_otherwise(network, input_shape, pairs)
    folded = []
    for pair in pairs:
        if kept.isdisjoint(pair.replaced):
            _fold(pair.layer.module, _norm(pair.norm))
            replace_modules(network, pair.replaced)
            folded.append(pair.layer.path)
    return folded


@dataclass(frozen=True)
class _Pair:
    """A layer and the BatchNorm that follows it.

    Attributes:
        layer, norm: the calls.
        replaced: what takes the place of modules: an nn.Identity of the BatchNorm's, and perhaps a DirectedMaxPool2d.
    """

    layer: Node
    norm: Node
    replaced: dict[nn.Module, nn.Module]


def _norm(node: Node) -> Norm:
    assert isinstance(node.module, nn.BatchNorm1d | nn.BatchNorm2d)
    return node.module


def _pair(graph: Graph, node: Node) -> _Pair | None:
    """Return the BatchNorm of `node` with the layer that it can be folded into; None if there is none."""
    norm = _norm(node)
    layer, pool = _source(graph, node)
    if layer.kind != "layer" or not _only_feeds(graph, layer, node):
        return None
    if norm.running_mean is None or hooks_of(norm) or not _has_channels(layer, norm):
        return None
    if not all(_used_once(graph, each) for each in (layer, node)):
        return None
    replaced: dict[nn.Module, nn.Module] = {norm: nn.Identity()}
    if pool is not None:
        if f"{len(layer.shape) - 2}d" not in pool.target:
            return None  # one of other dimensions pools the channels, too
        factor = norm_factor(norm)[0]
        if bool((factor < 0).any()):
            calls = [each for each in graph.of_kind("max_pool") if each.module is pool.module]
            if type(pool.module) is not nn.MaxPool2d or len(calls) > 1 or hooks_of(pool.module):
                return None
            weight: Any = layer.module.weight
            direction = torch.where(factor < 0, -1.0, 1.0).to(weight)
            replaced[pool.module] = DirectedMaxPool2d(pool.module, direction)
    return _Pair(layer, node, replaced)


def _source(graph: Graph, norm: Node) -> tuple[Node, Node | None]:
    """Return what `norm` normalizes the result of, and the max-pool between the two if there is one."""
    (source,), pool = graph.producers(norm), None
    while keeps_values(source) or (source.kind == "max_pool" and pool is None):
        pool = source if source.kind == "max_pool" else pool
        (source,) = graph.producers(source)
    return source, pool


def _only_feeds(graph: Graph, layer: Node, norm: Node) -> bool:
    """Whether all that takes the result of `layer`, and what is made of it on the way, ends up in `norm` alone."""
    node: Node | None = layer
    while node is not None and node.name != norm.name:
        node = graph.sole_user(node)
    return node is not None


def _has_channels(layer: Node, norm: Norm) -> bool:
    """Whether `norm` normalizes the rows of the layer's weight, one channel each."""
    module: Any = layer.module
    if type(module) not in (QuantLinear, QuantConv1d, QuantConv2d) and not is_plain_layer(module):
        return False
    if "weight" not in module._parameters:
        return False  # a hook computes it anew at each call: weight_norm's
    if isinstance(module, nn.Embedding) or (isinstance(module, nn.Linear) and len(layer.shape) != 2):
        return False  # of a linear layer on rows, BatchNorm normalizes the rows
    return int(module.weight.shape[0]) == norm.num_features


def _used_once(graph: Graph, node: Node) -> bool:
    """Whether nothing else calls the module of `node`, or has or reads a parameter of it."""
    calls = [each for each in graph.of_kind(node.kind) if each.module is node.module]
    own = {id(each) for each in (*node.module.parameters(), *node.module.buffers())}
    root = graph.network
    everything = [*root.named_parameters(remove_duplicate=False), *root.named_buffers(remove_duplicate=False)]
    names = [name for name, each in everything if id(each) in own]
    holders = {
        module
        for module in root.modules()
        for each in (*module._parameters.values(), *module._buffers.values())
        if each is not None and id(each) in own
    }
    inside = set(node.module.modules())
    return len(calls) == 1 and not graph.readers(names) and holders <= inside


def _called_otherwise(network: nn.Module, input_shape: tuple[int, ...] | Tensor, pairs: list[_Pair]) -> set[nn.Module]:
    """Return the modules that a run still calls once others stand in their places: from a list of Python's, say."""
    called: set[nn.Module] = set()
    replaced = {old: new for pair in pairs for old, new in pair.replaced.items()}
    if not replaced:
        return called
    places = replace_modules(network, replaced)
    try:
        watching = hooked(replaced, before=lambda module, _: called.add(module))
        with evaluating(network), torch.random.fork_rng(devices=[]), watching:
            network(example_batch(input_shape, network))
    finally:
        for parent, name, old in places:
            parent._modules[name] = old
    return called


def _fold(layer: Any, norm: Norm) -> Tensor:
    """Fold `norm` into `layer`, in place; return the factors."""
    factor, shift = norm_factor(norm)
    weight, bias = layer.weight, layer.bias
    shape = [-1] + [1] * (weight.dim() - 1)
    layer.weight = nn.Parameter((weight.double() * factor.view(shape)).to(weight.dtype), weight.requires_grad)
    if bias is not None:
        shift = shift + factor * bias.double()
    layer.bias = nn.Parameter(shift.to(weight.dtype), weight.requires_grad)
    return factor
