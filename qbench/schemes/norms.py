"""The kind of norm that a scheme asks for."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from qbench.nn.graph.graph import Graph
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.replacing import replace_modules
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.recipe import Recipe


def replace_norms(network: nn.Module, recipe: Recipe, graph: Graph | None) -> None:
    """Replace BatchNorms by the scheme's kind of norm.

    One after the last layer stays plain BatchNorm, as in the shift-based networks of BNN's authors: one from whose
    results nothing comes that multiplies. Without a graph the order of declaration says which is after which.
    """
    hidden = _declared_before_a_layer(network) if graph is None else _feeding_a_product(network, graph)
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    replace_modules(network, {norm: _norm(norm, recipe, norm in hidden) for norm in norms})


def _declared_before_a_layer(network: nn.Module) -> set[nn.Module]:
    hidden: set[nn.Module] = set()
    waiting: set[nn.Module] = set()  # norms after which no layer has come yet
    for module in network.modules():
        if isinstance(module, QuantLayer):
            hidden |= waiting
        elif isinstance(module, _BatchNorm):
            waiting.add(module)
    return hidden


def _feeding_a_product(network: nn.Module, graph: Graph) -> set[nn.Module]:
    hidden: set[nn.Module] = set()
    feeding: set[str] = set()  # operations from whose results a product's inputs come
    for node in reversed(graph.nodes):
        if node.kind == "norm" and node.name in feeding:
            hidden.add(network.get_submodule(node.path))
        if node.name in feeding or node.kind in ("layer", "product"):
            feeding.update(node.inputs)
    return hidden


def _norm(norm: _BatchNorm, recipe: Recipe, hidden: bool) -> nn.Module:
    if recipe.norm == "none":
        return nn.Identity()
    if recipe.norm == "shift" and hidden and type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d):
        kind = ShiftBatchNorm1d if isinstance(norm, nn.BatchNorm1d) else ShiftBatchNorm2d
        norm = kind.from_batch_norm(norm)
    if recipe.norm_momentum is not None:
        norm.momentum = recipe.norm_momentum
    return norm
