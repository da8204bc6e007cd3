"""The registry of activation functions: what may fill a network's activation slots."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from qbench.errors import ConfigError, named_in
from qbench.nn.function_facts import FunctionFacts
from quantizers import Registry

Builder = Callable[..., nn.Module]
"""Builds the module of one slot: `(channels: int, **options) -> nn.Module`, a class of modules or a function.

The module maps [B, C, ...] to the same shape, `channels` being C. A builder without a parameter `channels` is not told;
one that gives it a default takes None where the network's operations are not known.
"""

ACTIVATIONS: Registry[Builder] = Registry("activation function", group="qbench.activations")
"""The activation functions by name."""

_KEY = "scheme_options.activation_function"
_FACTS: dict[Builder, FunctionFacts] = {}

B = TypeVar("B", bound=Builder)


def register_activation(name: str, facts: FunctionFacts | None = None) -> Callable[[B], B]:
    """Return the decorator that files a `Builder` under `name`.

    >>> @register_activation("double", FunctionFacts(rising=True, keeps_sign=True))
    ... class Double(nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x

    Args:
        name: what recipes call it.
        facts: what holds of the function, whatever its parameters and options are. Of None nothing is known: a sign
            taken of it is not checked, and costs count no threshold in its place.

    Raises:
        ValueError: the name is taken.
    """

    def file(builder: B) -> B:
        ACTIVATIONS.add(name, builder)
        _FACTS[builder] = facts or FunctionFacts()
        return builder

    return file


def find_activation(name: str) -> Builder:
    """Return the builder called `name`.

    Raises:
        ConfigError: no such name, with the nearest; a dotted path that cannot be imported; no builder.
    """
    found = named_in(ACTIVATIONS, name, _KEY)
    if not callable(found) or isinstance(found, nn.Module):
        raise ConfigError(
            f"{name!r} is {type(found).__name__}, expected a class of modules, or a function that builds one", _KEY
        )
    return found


def facts_of_builder(builder: Builder) -> FunctionFacts:
    """Return what was filed as known of a builder's function."""
    return _FACTS.get(builder, FunctionFacts())


def takes_channels(builder: Builder) -> bool:
    """Whether a builder is told the number of channels."""
    return "channels" in inspect.signature(builder).parameters


def needs_channels(builder: Builder) -> bool:
    """Whether a builder can do nothing without the number of channels."""
    found = inspect.signature(builder).parameters.get("channels")
    return found is not None and found.default is inspect.Parameter.empty


def build_activation(name: str, options: Mapping[str, Any], channels: int | None) -> nn.Module:
    """Return the module of one slot.

    Args:
        name, options: of the function.
        channels: of the slot; None where they are not known.

    Raises:
        ConfigError: see `find_activation`; options that the builder does not take; channels that it needs and nobody
            knows; a result that is no module.
    """
    builder = find_activation(name)
    if channels is None and needs_channels(builder):
        raise ConfigError(
            f"{name} has parameters for each channel, and only the network's operations show how many there are: give "
            "QuantModule, or apply_scheme, the input_shape of one example",
            "input_shape",
        )
    told = {"channels": channels} if takes_channels(builder) else {}
    try:
        module = builder(**told, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"activation function {name!r}: {error}", _KEY) from error
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{name!r} builds {type(module).__name__}, expected an nn.Module", _KEY)
    return module
