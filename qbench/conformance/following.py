"""Follows values through a running network: which layers a ReLU's result reaches, whose sums a BatchNorm takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from qbench.conformance.plain import LAYERS

_RELUS = {F.relu, F.relu_, F.relu6, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_CLAMPS = {torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_}
_LOWER_CLAMPS = {torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_}
_KEEPS_SUMS = {"max_pool1d", "max_pool2d", "_max_pool1d", "_max_pool2d", "fn", "dropout", "contiguous", "clone"}
"""Functions, by name, that give their argument's values or the largest of them; `fn` is F.max_pool2d's own name."""

_ENDS = frozenset(
    ("linear", "bilinear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
     "matmul", "__matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "scaled_dot_product_attention", "lstm", "gru",
     "rnn_tanh", "rnn_relu", "multi_head_attention_forward",
     "gelu", "silu", "mish", "elu", "celu", "selu", "leaky_relu", "prelu", "tanh", "sigmoid", "hardsigmoid",
     "hardswish", "hardtanh", "softplus", "softmax", "log_softmax")
)  # fmt: skip
"""Functions, by name, whose result is no longer a ReLU's: products, and other nonlinearities."""


class Following(TorchFunctionMode):
    """Follows the values of a network of torch's own modules through one forward pass.

    ReLUs are numbered as they run, modules and functions alike; a `clamp` from 0 on is one, and so is ReLU6.

    Args:
        network: in evaluation mode.
        dropped: numbers of ReLUs that give their input back.

    Attributes:
        reached: of each ReLU, by number, the names of the layers that take a result of it, past whatever is no product
            and no other nonlinearity.
        norm_of: of a layer, by name, the BatchNorms that take its sums as they are, or the largest of them.
        calls: names of the layers, as they run.
    """

    def __init__(self, network: nn.Module, dropped: Iterable[int] = ()) -> None:
        super().__init__()
        self._network = network
        self._dropped = frozenset(dropped)
        self._relus: dict[int, frozenset[int]] = {}
        self._sums: dict[int, str] = {}
        self._kept: list[Tensor] = []  # alive, so that no other tensor gets the identity of one that is known
        self._count = 0
        self.reached: dict[int, set[str]] = {}
        self.norm_of: dict[str, list[str]] = {}
        self.calls: list[str] = []

    def run(self, x: Tensor) -> Tensor:
        """Return the network's result of `x`, and fill the attributes."""
        names = {module: name for name, module in self._network.named_modules()}
        with ExitStack() as stack:
            for module, name in names.items():
                if isinstance(module, LAYERS):
                    stack.callback(module.register_forward_pre_hook(self._enter_layer(name)).remove)
                    stack.callback(module.register_forward_hook(self._leave_layer(name)).remove)
                elif isinstance(module, _BatchNorm):
                    stack.callback(module.register_forward_pre_hook(self._enter_norm(name)).remove)
            stack.enter_context(self)
            result: Tensor = self._network(x)
        return result

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function of torch, and let its results carry what its arguments carry."""
        kwargs = kwargs or {}
        taken = [each for each in tree_leaves((args, dict(kwargs))) if isinstance(each, Tensor)]
        carried: frozenset[int] = frozenset().union(*(self._relus.get(id(each), frozenset()) for each in taken))
        sums = self._sums.get(id(taken[0])) if taken and func.__name__.rstrip("_") in _KEEPS_SUMS else None
        if _is_relu(func, args, kwargs):
            number, self._count = self._count, self._count + 1
            self.reached[number] = set()
            if number in self._dropped:
                return taken[0]
            carried = frozenset({number})
        elif func.__name__.rstrip("_") in _ENDS:
            carried = frozenset()
        result = func(*args, **kwargs)
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._mark(each, carried, sums)
        return result

    def _mark(self, x: Tensor, carried: frozenset[int], sums: str | None) -> None:
        """Note what `x` carries; it may be known already, where a function wrote in place."""
        self._kept.append(x)
        self._relus[id(x)] = carried
        if sums is None:
            self._sums.pop(id(x), None)
        else:
            self._sums[id(x)] = sums

    def _enter_layer(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, given: tuple[Any, ...]) -> None:
            self.calls.append(name)
            for number in self._relus.get(id(given[0]), ()):
                self.reached[number].add(name)

        return enter

    def _leave_layer(self, name: str) -> Callable[..., None]:
        def leave(module: nn.Module, given: tuple[Any, ...], result: Tensor) -> None:
            self._mark(result, frozenset(), name)

        return leave

    def _enter_norm(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, given: tuple[Any, ...]) -> None:
            layer = self._sums.get(id(given[0]))
            if layer is not None:
                self.norm_of.setdefault(layer, []).append(name)

        return enter


def _is_relu(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if func in _RELUS:
        return True
    if func is F.hardtanh:
        low = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
        return bool(low == 0)
    if func in _LOWER_CLAMPS:
        low = args[1] if len(args) > 1 else kwargs.get("min")
        return not isinstance(low, Tensor) and low == 0
    if func in _CLAMPS:
        low = args[1] if len(args) > 1 else kwargs.get("min")
        high = args[2] if len(args) > 2 else kwargs.get("max")
        return low is not None and not isinstance(low, Tensor) and low == 0 and high in (None, 6)
    return False
