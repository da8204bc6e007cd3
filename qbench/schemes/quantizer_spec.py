"""A quantizer by name, with the options of its constructor."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

import quantizers
from qbench.errors import ConfigError
from quantizers import Quantizer


class QuantizerSpec(BaseModel):
    """A quantizer by name (or dotted path) and the options of its constructor.

    In a YAML file: `sign`, or `{name: int8, options: {method: kl}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = {}

    def build(self) -> Quantizer:
        """Build the quantizer.

        Raises:
            ConfigError: no such quantizer, or options it does not take.
        """
        try:
            return quantizers.make(self.name, **self.options)
        except (ValueError, TypeError, ImportError, AttributeError) as error:
            raise ConfigError(str(error)) from error


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Spec = Annotated[QuantizerSpec, BeforeValidator(_named)]
"""A field's type that also takes a quantizer's bare name."""
