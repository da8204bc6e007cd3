"""The registry of quantizers: `@register("name")`, the entry-point group `qbench.quantizers`, or a dotted path."""

from __future__ import annotations

from typing import Any

from quantizers.base import Quantizer
from quantizers.registry import Registry

QUANTIZERS: Registry[type[Quantizer]] = Registry("quantizer", group="qbench.quantizers")
register = QUANTIZERS.register


def make(name: str, **options: Any) -> Quantizer:
    """The quantizer called `name`, built with `options`.

    Raises:
        UnknownNameError: no such quantizer.
        TypeError: options its constructor does not take, or a dotted path to something that is no Quantizer.
    """
    cls = QUANTIZERS.get(name)
    try:
        quantizer = cls(**options)
    except TypeError as error:
        raise TypeError(f"quantizer {name!r}: {error}") from error
    if not isinstance(quantizer, Quantizer):
        raise TypeError(f"quantizer {name!r} is {type(quantizer).__name__}, expected a subclass of Quantizer")
    return quantizer
