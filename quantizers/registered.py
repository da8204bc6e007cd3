"""The registry of quantizers: `@register("name")`, the entry-point group `qbench.quantizers`, or a dotted path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantizers.base import Quantizer
from quantizers.registry import Registry

QUANTIZERS: Registry[type[Quantizer]] = Registry("quantizer", group="qbench.quantizers")
"""The quantizers by name."""

register = QUANTIZERS.register
"""The decorator that files a class of quantizers under a name."""


def make(name: str, **options: Any) -> Quantizer:
    """Return the quantizer called `name`, built with `options`.

    Options may have the earlier names that the class still knows (`Quantizer.earlier_names`).

    Raises:
        UnknownNameError: no such quantizer.
        TypeError: options its constructor does not take, an option under both its names, or a dotted path to something
            that is no Quantizer.
    """
    cls = QUANTIZERS.get(name)
    try:
        quantizer = cls(**_with_present_names(options, getattr(cls, "earlier_names", {})))
    except TypeError as error:
        raise TypeError(f"quantizer {name!r}: {error}") from error
    if not isinstance(quantizer, Quantizer):
        raise TypeError(f"quantizer {name!r} is {type(quantizer).__name__}, expected a subclass of Quantizer")
    return quantizer


def _with_present_names(options: Mapping[str, Any], earlier_names: Mapping[str, str]) -> dict[str, Any]:
    """Return `options` with every earlier name replaced; a TypeError where the present one is given, too."""
    for earlier, present in earlier_names.items():
        if earlier in options and present in options:
            raise TypeError(f"{earlier!r} is the earlier name of {present!r}: give one of them")
    return {earlier_names.get(name, name): value for name, value in options.items()}
