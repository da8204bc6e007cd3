"""A quantized network computed a second time: the float network in float64, weights and inputs rounded by formulas."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from qbench.conformance.difference import Difference, MismatchError
from qbench.conformance.following import Following
from qbench.conformance.plain import LAYERS
from qbench.conformance.recording import Call
from qbench.conformance.rounding import BINARY_NAMES, Rounding
from qbench.schemes.scheme import Scheme


class Reference:
    """The float network of a quantized one, computed in float64.

    Each call of a layer gets what the quantized network's layer took in that call, after that was compared with what
    the reference has come to by itself: a sign that float32 turned round then neither hides an error nor makes one.

    A BatchNorm that the quantized network has folded stays here where it is. Its layer takes the folded weight,
    rounded, and gives `(y - shift) / factor`, of which the BatchNorm makes y.

    Args:
        plain: the float network in float64, of torch's own modules, with the weights before folding.
        quantized: the same network under `scheme`, in evaluation mode.
        scheme: says which quantizer serves which layer.

    Attributes:
        difference: the largest met so far.
        results: of each call, what the reference's layer gave, float64.
    """

    def __init__(self, plain: nn.Module, quantized: nn.Module, scheme: Scheme) -> None:
        self._plain = plain
        self._quantized = quantized
        self._scheme = scheme
        self._layers: dict[str, Any] = {
            name: module for name, module in plain.named_modules() if isinstance(module, LAYERS)
        }
        self.difference = Difference()
        self.results: list[Tensor] = []

    @torch.no_grad()
    def compare(self, x: Tensor, calls: Sequence[Call], result: Tensor) -> None:
        """Run `x` and compare each call of a layer, and the result.

        Raises:
            MismatchError: the quantized network computes something else.
        """
        x = x.double() if x.is_floating_point() else x
        followed = Following(self._plain)
        followed.run(x)
        self._compare_order(followed.calls, [call.name for call in calls])
        rounding = Rounding(self._quantized, self._scheme, list(dict.fromkeys(followed.calls)))
        folded = self._folded(followed)
        waiting = iter(calls)
        self.results = []
        for name, layer in self._layers.items():
            if name in followed.calls:
                layer.forward = self._computed(name, layer, rounding, folded.get(name), waiting)
        try:
            again = Following(self._plain, self._dropped(followed, rounding))
            self.difference.meet(again.run(x), result, "the result")
        finally:
            for layer in self._layers.values():
                vars(layer).pop("forward", None)

    def _compare_order(self, right: Sequence[str], found: Sequence[str]) -> None:
        for expected, name in zip(right, found, strict=False):
            if expected != name:
                raise MismatchError(f"{name} is called where the network calls {expected}")
        if len(right) != len(found):
            raise MismatchError(f"{len(found)} calls of layers, the network makes {len(right)}: {', '.join(right)}")

    def _dropped(self, followed: Following, rounding: Rounding) -> list[int]:
        """Return the ReLUs whose place a sign takes: a layer that takes signs reads their result."""
        if self._scheme.recipe.activation_function == "relu":
            return []
        binary = {name for name in self._layers if rounding.choice("activations", name) in BINARY_NAMES}
        return [number for number, names in followed.reached.items() if names & binary]

    def _folded(self, followed: Following) -> dict[str, _BatchNorm]:
        """Return the BatchNorm that each layer of the quantized network has taken in."""
        norms = {name: each for name, each in self._plain.named_modules() if isinstance(each, _BatchNorm)}
        modules = dict(self._quantized.named_modules())
        missing = {name for name in norms if not isinstance(modules.get(name), _BatchNorm)}
        found: dict[str, _BatchNorm] = {}
        for layer, taking in followed.norm_of.items():
            for name in missing.intersection(taking):
                if followed.calls.count(layer) > 1 or sum(each.count(name) for each in followed.norm_of.values()) > 1:
                    raise MismatchError(f"{name} is folded into {layer}, and one of them is used in several places")
                found[layer] = norms[name]
        for name in missing - {name for layer, taking in followed.norm_of.items() for name in taking}:
            raise MismatchError(f"{name} is gone, and takes no layer's sums: it cannot be folded")
        return found

    def _computed(
        self, name: str, layer: Any, rounding: Rounding, norm: _BatchNorm | None, waiting: Iterator[Call]
    ) -> Callable[[Tensor], Tensor]:
        """Return what takes the place of a layer's forward; see the class."""
        factor, shift = (None, None) if norm is None else _factor_and_shift(norm)
        if norm is None and not rounding.replaces(name):
            return self._compared(name, type(layer).forward.__get__(layer), waiting)
        shadow = copy.deepcopy(layer)
        weight, bias = rounding.parameters(name, layer, factor, shift, self.difference)
        shadow.weight = nn.Parameter(weight, requires_grad=False)
        shadow.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

        compared = self._compared(name, shadow.forward, waiting, rounding)
        if factor is None or shift is None:
            return compared
        columns = [-1] + [1] * (layer.weight.dim() - 2)
        return lambda x: (compared(x) - shift.reshape(columns)) / factor.reshape(columns)

    def _compared(
        self,
        name: str,
        product: Callable[[Tensor], Tensor],
        waiting: Iterator[Call],
        rounding: Rounding | None = None,
    ) -> Callable[[Tensor], Tensor]:
        """Return `product` of what the quantized network's layer took, both it and the result compared."""

        def forward(x: Tensor) -> Tensor:
            call = next(waiting)
            self.difference.meet(x, call.given, f"the input of {name}")
            given = call.given if rounding is None else rounding.input(name, call.given, x)
            y = product(given.to(x.dtype))
            self.difference.meet(y, call.result, name)
            self.results.append(y)
            return y

        return forward


def _factor_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return f and s of `BatchNorm(x) = f·x + s` in evaluation; float64 [C]."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = 1 / torch.sqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        factor = factor * norm.weight
    shift = -norm.running_mean * factor
    return factor, shift if norm.bias is None else shift + norm.bias
