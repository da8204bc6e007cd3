"""What one layer has instead of a scheme's quantizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic reads that of typing only from Python 3.12 on

from qbench.schemes.quantizer_spec import Spec


@with_config(ConfigDict(extra="forbid", strict=True))
class LayerOverride(TypedDict, total=False):
    """The quantizers of one layer, where they differ from the scheme's: a key that is absent keeps the scheme's.

    In a YAML file: `{weights: int8}`, `{activations: null}`, or `float` for both null.

    Attributes:
        weights: quantizer of the layer's weights; None keeps float32.
        activations: quantizer of the layer's input; None keeps float32.
    """

    weights: Spec | None
    activations: Spec | None


def _spelled_out(value: Any) -> Any:
    if isinstance(value, Mapping) and value:
        return value
    if value == "float":
        return {"weights": None, "activations": None}
    raise ValueError("expected float, or a mapping with weights, activations or both")


Override = Annotated[LayerOverride, BeforeValidator(_spelled_out)]
"""The type of a field that also takes the word `float`."""
