"""Which quantizer serves which layer: the first part of a scheme."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from qbench.errors import ConfigError, nearest, quoted
from qbench.schemes.layer_override import Override
from qbench.schemes.quantizer_choice import QuantizerChoice
from qbench.schemes.quantizer_spec import QuantizerSpec, Spec

Role = Literal["weights", "activations"]
"""What of a layer a quantizer serves: its weights, or its input."""


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""The type of a field of several patterns (see `fnmatch`): a list in a file."""


class Quantization(BaseModel):
    """The quantizers of a network's weights, activations and input.

    Attributes:
        weights: quantizer of the weights; None keeps float32.
        activations: quantizer of the input of every layer but the first; None keeps float32.
        network_input: quantizer of the first layer's input, the data; None keeps float32.
        first_layer, last_layer: "same" as the others, or "float": weights and input of that layer stay float32.
        layers: overrides by layer name, `{"features.0": {"weights": "int8"}, "*.fc": "float"}`. The names are patterns
            (`*`, `?`, `[...]`, see `fnmatch`). They prevail over `first_layer` and `last_layer`. Of several overrides
            that match a layer, the last one with a quantizer for the weights decides about the weights, and the last
            one with a quantizer for the activations about the activations.
        allow_float: modules, by name or pattern, whose arithmetic may stay float32 although the scheme quantizes, for
            it has no quantized form: attention, an LSTM, a layer with a forward of its own. The modules within them
            may, too; the network's own forward is called "". Layers that can be quantized still are: see `layers`.
        evaluation_weights: "quantized", or "latent": evaluation uses the real-valued weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weights: Spec | None = None
    activations: Spec | None = None
    network_input: Spec | None = None
    first_layer: Literal["same", "float"] = "same"
    last_layer: Literal["same", "float"] = "same"
    layers: dict[str, Override] = {}
    allow_float: Patterns = ()
    evaluation_weights: Literal["quantized", "latent"] = "quantized"

    @property
    def specs(self) -> list[QuantizerSpec]:
        """All quantizers that are named, those of overrides included."""
        named = [self.weights, self.activations, self.network_input]
        for override in self.layers.values():
            named += [override.get("weights"), override.get("activations")]
        return [spec for spec in named if spec is not None]

    @property
    def quantizes(self) -> bool:
        """Whether the scheme names a quantizer at all."""
        return bool(self.specs)

    def allows_float(self, path: str) -> bool:
        """Whether the arithmetic of the module called `path` may stay float32: it matches, or a parent of it does.

        >>> Quantization(allow_float=("encoder.*",)).allows_float("encoder.0.attention")
        True
        """
        parts = path.split(".")
        parents = [".".join(parts[: end + 1]) for end in range(len(parts))]
        return any(fnmatchcase(each, pattern) for each in parents for pattern in self.allow_float)

    def leaves_float(self, name: str, position: int, count: int) -> bool:
        """Whether the scheme declares the layer called `name` float: by no quantizer, or by `allow_float`."""
        roles: tuple[Role, ...] = ("weights", "activations")
        return self.allows_float(name) or all(self.choose(role, name, position, count).spec is None for role in roles)

    def choose(self, role: Role, name: str, position: int, count: int) -> QuantizerChoice:
        """Return the quantizer for `role` in the layer called `name`, at `position` (from 0) of `count` layers."""
        for pattern, override in reversed(self.layers.items()):
            if role in override and fnmatchcase(name, pattern):
                return QuantizerChoice(override[role], f"layers.{pattern}.{role}")
        if position == 0 and self.first_layer == "float":
            return QuantizerChoice(None, "first_layer")
        if position == count - 1 and self.last_layer == "float":
            return QuantizerChoice(None, "last_layer")
        if role == "weights":
            return QuantizerChoice(self.weights, "weights")
        if position == 0:
            return QuantizerChoice(self.network_input, "network_input")
        return QuantizerChoice(self.activations, "activations")

    def check_names(self, names: Iterable[str]) -> None:
        """Raise an error unless every pattern of `layers` matches one of a network's layers, `names`.

        Raises:
            ConfigError: a pattern that matches none, with the nearest name.
        """
        known = list(names)
        for pattern in self.layers:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise ConfigError(f"matches no layer{nearest(pattern, known)}", f"scheme_options.layers.{pattern}")

    def check_allowed(self, names: Iterable[str]) -> None:
        """Raise an error unless every pattern of `allow_float` matches one of a network's modules, `names`.

        Raises:
            ConfigError: a pattern that matches none, with the nearest name.
        """
        known = list(names)
        for pattern in self.allow_float:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise ConfigError(
                    f"{pattern!r} matches no module{nearest(pattern, list(map(quoted, known)))}",
                    "scheme_options.allow_float",
                )
