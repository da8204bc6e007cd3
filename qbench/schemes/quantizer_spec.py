"""A quantizer by name, with the options of its constructor."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

import quantizers
from qbench.errors import ConfigError
from qbench.schemes.named import NamedSpec
from quantizers import LayerPlace, Quantizer


class QuantizerSpec(NamedSpec):
    """A quantizer by name, with the options of its constructor.

    In a YAML file: `sign`, or `{name: int8, options: {method: kl}}`.

    Attributes:
        name: a registered name, or a dotted path to a class.
        options: arguments of the constructor.
    """

    def build(self, place: LayerPlace | None = None) -> Quantizer:
        """Build the quantizer, for the layer at `place` where one is given (`Quantizer.for_layer`).

        Raises:
            ConfigError: no such quantizer, or options it does not take.
        """
        try:
            if place is None:
                return quantizers.make(self.name, **self.options)
            return quantizers.make_for_layer(self.name, place, self.options)
        except (ValueError, TypeError, ImportError, AttributeError) as error:
            raise ConfigError(str(error)) from error


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Spec = Annotated[QuantizerSpec, BeforeValidator(_named)]
"""The type of a field that also takes a quantizer's bare name."""
