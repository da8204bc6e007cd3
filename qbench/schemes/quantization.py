"""Which quantizer serves which layer: the first part of a scheme."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from qbench.errors import ConfigError, nearest
from qbench.schemes.quantizer_spec import QuantizerSpec, Spec


class LayerOverride(BaseModel):
    """What one layer has otherwise than the scheme: quantizers that are not given stay the scheme's.

    In a YAML file: `float` (weights and input stay float32), or `{weights: int8}`, `{activations: null}`.

    Attributes:
        weights: quantizer of the layer's weights; None for float32.
        activations: quantizer of the layer's input; None for float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weights: Spec | None = None
    activations: Spec | None = None


def _override(value: Any) -> Any:
    return {"weights": None, "activations": None} if value == "float" else value


class Quantization(BaseModel):
    """The quantizers of a network's weights, activations and input.

    Attributes:
        weights: quantizer of the weights; None keeps float32.
        activations: quantizer of every layer's input but the first's; None keeps float32.
        network_input: quantizer of the first layer's input, the data.
        first_layer, last_layer: "same" as the others, or "float": weights and input of that layer stay float32.
        layers: overrides by layer name, `{"features.0": {"weights": "int8"}, "*.fc": "float"}`. The names are patterns
            of fnmatch (`*`, `?`, `[...]`); of several that match a layer, a later one goes before an earlier one. They
            go before `first_layer` and `last_layer`.
        evaluation_weights: "quantized", or "latent": evaluation uses the real-valued weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weights: Spec | None = None
    activations: Spec | None = None
    network_input: Spec | None = None
    first_layer: Literal["same", "float"] = "same"
    last_layer: Literal["same", "float"] = "same"
    layers: dict[str, Annotated[LayerOverride, BeforeValidator(_override)]] = {}
    evaluation_weights: Literal["quantized", "latent"] = "quantized"

    @property
    def specs(self) -> list[QuantizerSpec]:
        """All quantizers that it names."""
        overrides = [spec for each in self.layers.values() for spec in (each.weights, each.activations)]
        named = [self.weights, self.activations, self.network_input, *overrides]
        return [spec for spec in named if spec is not None]

    def weight_spec(self, name: str, position: int, count: int) -> QuantizerSpec | None:
        """Return the quantizer of the weights of layer `name`, at `position` of `count`; None for float32."""
        for override in self._overrides(name):
            if "weights" in override.model_fields_set:
                return override.weights
        return None if self._is_float(position, count) else self.weights

    def input_spec(self, name: str, position: int, count: int) -> QuantizerSpec | None:
        """Return the quantizer of the input of layer `name`, at `position` of `count`; None for float32."""
        for override in self._overrides(name):
            if "activations" in override.model_fields_set:
                return override.activations
        if self._is_float(position, count):
            return None
        return self.network_input if position == 0 else self.activations

    def check_names(self, names: Iterable[str]) -> None:
        """Refuse a pattern of `layers` that no layer of a network has.

        Raises:
            ConfigError: such a pattern, with the nearest of the layers' `names`.
        """
        known = list(names)
        for pattern in self.layers:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise ConfigError(f"no layer is called so{nearest(pattern, known)}", f"scheme_options.layers.{pattern}")

    def _overrides(self, name: str) -> Iterator[LayerOverride]:
        """The overrides of a layer, the last one first."""
        return (found for pattern, found in reversed(self.layers.items()) if fnmatchcase(name, pattern))

    def _is_float(self, position: int, count: int) -> bool:
        return (position == 0 and self.first_layer == "float") or (position == count - 1 and self.last_layer == "float")
