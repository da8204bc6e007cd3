"""Which modules and functions take a tensor during a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_RESHAPES = (torch.flatten, torch.reshape, Tensor.flatten, Tensor.reshape, Tensor.view, torch.squeeze, Tensor.squeeze)


@dataclass
class _Use:
    """A tensor taken by a leaf module, or by a function in the forward of a module with children (module None).

    Attributes:
        output: what became of it; None where that is not one tensor, or where a function computed with it.
    """

    module: nn.Module | None
    output: Tensor | None = None


class TensorUses(TorchFunctionMode):
    """The uses of each tensor, recorded while a forward pass runs in this context.

    Leaf modules report through `enter` and `leave`, as hooks; the functions inside them are then not recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._of: dict[int, list[_Use]] = {}
        self._kept: list[Tensor] = []  # an id belongs to one tensor only while that tensor lives

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, and record its tensors outside of leaf modules."""
        output = func(*args, **(kwargs or {}))
        if not self._depth and isinstance(output, Tensor):
            self._add((args, kwargs), _Use(None, output if func in _RESHAPES else None))
        return output

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note that a leaf module begins: a forward pre-hook."""
        self._depth += 1

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Note that a leaf module has taken `inputs` and given `output`: a forward hook."""
        self._depth -= 1
        if not self._depth:
            self._add(inputs, _Use(module, output if isinstance(output, Tensor) else None))

    def _add(self, inputs: Any, use: _Use) -> None:
        for taken in tree_leaves(inputs):
            # What returns its input, as the identity does, is no use of it.
            if isinstance(taken, Tensor) and use.output is not taken:
                self._of.setdefault(id(taken), []).append(use)
                self._kept += [taken] if use.output is None else [taken, use.output]

    def is_direct(self, output: Tensor, ends: type[nn.Module]) -> bool:
        """Whether `output` goes to a module of type `ends`, or to the end of the network, and nowhere else.

        On the way it may pass other modules and reshapes, each of them its only use.
        """
        while uses := self._of.get(id(output)):
            if len(uses) > 1 or uses[0].output is None:
                return False
            if isinstance(uses[0].module, ends):
                return True
            output = uses[0].output
        return True
