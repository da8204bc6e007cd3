"""The place of a model's nonlinearity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import ConfigError, one_line
from qbench.nn.activation_functions import ACTIVATIONS
from qbench.nn.activation_registry import (
    build_activation,
    facts_of_builder,
    find_activation,
    register_activation,
    takes_channels,
)
from qbench.nn.evaluation_mode import evaluating
from qbench.nn.function_facts import FACTS, FunctionFacts

__all__ = ["ACTIVATIONS", "Activation", "register_activation"]


class Activation(nn.Module):
    """An activation slot: the place of a model's nonlinearity, whose function the scheme decides.

    With binary activations the slot is the identity, and the next layer's input quantizer is the nonlinearity: a ReLU
    before it would make every sign +1.

    Args:
        function: "relu", "relu6" (clip to [0, 6]), "hardtanh" (clip to [-1, 1]), "identity", or another name of
            `ACTIVATIONS`, which is then a module of the slot's own.
        options, channels, last: see `fill`.
        own: "relu" or "relu6": the function of the place itself, which a scheme with ReLUs keeps.
        inplace: writes into its input, as the ReLU did whose place it is.

    Attributes:
        function: as given; with options it is written as a call, `hardtanh(min_val=0)`.
        module: computes the function; None for the four that need none.
        channels: that the module was built for; None where nobody knew them.
        takes_channels: whether it was told them, so that it can serve no other number of them.
    """

    FUNCTIONS = ("relu", "relu6", "hardtanh", "identity")
    module: nn.Module | None

    def __init__(
        self,
        function: str = "relu",
        options: Mapping[str, Any] | None = None,
        *,
        channels: int | None = None,
        last: bool = False,
        own: str = "relu",
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.own = own
        self.inplace = inplace
        self.module = None
        self.function = own
        self.channels: int | None = None
        self.takes_channels = False
        self._last = False
        self._filled: tuple[str, dict[str, Any]] | None = None
        self.fill(function, options, channels=channels, last=last)
        if function in self.FUNCTIONS and not options:
            self.function = function  # "relu" is here itself, and not the place's own

    def fill(
        self,
        function: str,
        options: Mapping[str, Any] | None = None,
        *,
        channels: int | None = None,
        last: bool = False,
    ) -> None:
        """Let the slot compute a scheme's `function`; "relu" is the place's own, be it bounded or not.

        A slot that computes it already keeps its module, and what was trained there.

        Args:
            function: a name of `ACTIVATIONS`, or a dotted path.
            options: of what builds it.
            channels: of the slot's input; None where they are not known.
            last: the channels are the last dimension (rows of features, [B, T, C]), and not dimension 1.

        Raises:
            ConfigError: no such function, or options that it does not take; one that needs the channels, and they are
                not known, or are others than those of the module that is there.
        """
        options = dict(options or {})
        if not options and function in self.FUNCTIONS:
            self.function = self.own if function == "relu" else function
            self.module, self._filled, self.takes_channels = None, None, False
            return
        if self._filled == (function, options) and channels in (None, self.channels):
            return
        self.module = build_activation(function, options, channels)
        self._filled = (function, options)
        self.channels, self.takes_channels = channels, takes_channels(find_activation(function))
        self._last = last and self.takes_channels
        listed = ", ".join(f"{name}={value!r}" for name, value in options.items())
        self.function = f"{function}({listed})" if options else function

    @property
    def facts(self) -> FunctionFacts:
        """What is known of the function."""
        if self._filled is None:
            return FACTS.get(self.function, FunctionFacts())
        return facts_of_builder(find_activation(self._filled[0]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of `x`, any shape; of a function with channels [B, C, ...], or [B, ..., C] (`last`)."""
        if self.module is not None:
            return self._written_over(x) if self.inplace else self._by_module(self.module, x)
        if self.function == "relu":
            return F.relu(x, self.inplace)
        if self.function == "relu6":
            return F.relu6(x, self.inplace)
        if self.function == "hardtanh":
            return F.hardtanh(x, inplace=self.inplace)
        return x

    def _by_module(self, module: nn.Module, x: Tensor) -> Tensor:
        y = module(x.movedim(-1, 1)).movedim(1, -1) if self._last else module(x)
        if y.shape != x.shape:
            raise self._refused(f"makes {list(y.shape)} of {list(x.shape)}: it must keep the shape")
        return y

    @torch.compiler.disable  # a compiled form would leave the clone out, and backward then misses the values
    def _written_over(self, x: Tensor) -> Tensor:
        """Return `x` with the function of its values in their place, whose gradient needs those that were there."""
        assert self.module is not None
        return x.copy_(self._by_module(self.module, x.clone()))

    @torch.no_grad()
    def check(self, x: Tensor) -> None:
        """Refuse a function that does not run on `x`, which stays as it is, or writes into what it takes.

        Raises:
            ConfigError: it raises an error of its own, gives another shape, or changes or returns what it took.
        """
        taken, inplace = x.detach().clone(), self.inplace
        self.inplace = False
        try:
            with evaluating(self), torch.random.fork_rng(devices=[]):
                y = self(taken)
        except ConfigError:
            raise
        except Exception as error:  # of somebody else's code: any
            raise self._refused(f"does not run on {list(x.shape)}: {one_line(error)}") from error
        finally:
            self.inplace = inplace
        if y.untyped_storage().data_ptr() == taken.untyped_storage().data_ptr() or not torch.equal(taken, x):
            raise self._refused(
                "writes into its input, or returns it: whatever else reads that would be changed, too; let it return "
                "a new tensor (identity is a name of its own)"
            )

    def _refused(self, reason: str) -> ConfigError:
        return ConfigError(f"activation function {self.function!r} {reason}", "scheme_options.activation_function")

    def extra_repr(self) -> str:
        """Return the function's name for `repr`."""
        return self.function


def channels_of(shape: tuple[int, ...], last: bool) -> int | None:
    """Return the channels of tensors [B, C, ...], or [B, ..., C] (`last`); None where there are none."""
    if len(shape) < 2:
        return None
    return shape[-1 if last else 1]
