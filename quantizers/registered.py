"""The registry of quantizers: `@register("name")`, the entry-point group `qbench.quantizers`, or a dotted path."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from quantizers.base import Quantizer
from quantizers.layer_place import LayerPlace
from quantizers.registry import Registry

QUANTIZERS: Registry[type[Quantizer]] = Registry("quantizer", group="qbench.quantizers")
"""The quantizers by name."""

register = QUANTIZERS.register
"""The decorator that files a class of quantizers under a name."""


def make(name: str, **options: Any) -> Quantizer:
    """Return the quantizer called `name`, built with `options`.

    For the quantizer of a layer: `make_for_layer`. Options may have the earlier names that the class still knows
    (`Quantizer.earlier_names`).

    Raises:
        UnknownNameError: no such quantizer.
        TypeError: options its constructor does not take, an option under both its names, or a dotted path to something
            that is no Quantizer.
        ValueError: values that its constructor refuses; the message begins with its name.
    """
    return _made(name, lambda cls: cls, options)


def make_for_layer(name: str, place: LayerPlace, options: Mapping[str, Any]) -> Quantizer:
    """Return the quantizer called `name`, built for one layer (`Quantizer.for_layer`) with `options`.

    Raises:
        UnknownNameError, TypeError: as `make`.
        ValueError: as `make`; of a `for_layer` of the quantizer's own with the layer.
    """
    return _made(name, lambda cls: functools.partial(_for_layer, cls, place), options)


def _for_layer(cls: type[Quantizer], place: LayerPlace, /, **options: Any) -> Quantizer:
    """Return `cls.for_layer(place, **options)`; errors of a method of its own name the layer, and what it returned."""
    if getattr(cls.for_layer, "__func__", None) is getattr(Quantizer.for_layer, "__func__", None):
        return cls(**options)
    try:
        found: Any = cls.for_layer(place, **options)
    except TypeError as error:
        raise TypeError(f"{place.label}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{place.label}: {error}") from error
    if not isinstance(found, Quantizer):
        raise TypeError(f"{place.label}: for_layer returned {type(found).__name__}, expected a Quantizer")
    return found


def _made(
    name: str, constructor: Callable[[type[Quantizer]], Callable[..., Quantizer]], options: Mapping[str, Any]
) -> Quantizer:
    cls = QUANTIZERS.get(name)
    if not (isinstance(cls, type) and issubclass(cls, Quantizer)):
        found = cls.__name__ if isinstance(cls, type) else type(cls).__name__
        raise TypeError(f"quantizer {name!r} is {found}, expected a subclass of Quantizer")
    try:
        return constructor(cls)(**_with_present_names(options, cls.earlier_names))
    except TypeError as error:
        raise TypeError(f"quantizer {name!r}: {error}") from error
    except ValueError as error:
        raise ValueError(f"quantizer {name!r}: {error}") from error


def _with_present_names(options: Mapping[str, Any], earlier_names: Mapping[str, str]) -> dict[str, Any]:
    """Return `options` with every earlier name replaced; a TypeError where the present one is given, too."""
    for earlier, present in earlier_names.items():
        if earlier in options and present in options:
            raise TypeError(f"{earlier!r} is the earlier name of {present!r}: give one of them")
    return {earlier_names.get(name, name): value for name, value in options.items()}
