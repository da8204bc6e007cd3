"""The quantizer chosen for a layer's weights or input, and the option that chose it."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.errors import ConfigError
from qbench.schemes.quantizer_spec import QuantizerSpec
from quantizers import LayerPlace, Quantizer


@dataclass(frozen=True)
class QuantizerChoice:
    """The quantizer chosen for a layer's weights or input.

    Attributes:
        spec: the quantizer; None for float32.
        option: the option of the scheme that decided, for messages: `weights`, `layers.out.weights`, ...
    """

    spec: QuantizerSpec | None
    option: str

    def build(self, place: LayerPlace | None = None) -> Quantizer | None:
        """Build the quantizer, for the layer at `place` where one is given; None for float32.

        Raises:
            ConfigError: no such quantizer, or options it does not take.
        """
        if self.spec is None:
            return None
        try:
            return self.spec.build(place)
        except ConfigError as error:
            raise error.within(prefix=f"scheme_options.{self.option}") from error
