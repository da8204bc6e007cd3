"""A scheme's fields on one level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, model_validator

from qbench.schemes.layer_override import LayerOverride
from qbench.schemes.post_training import PostTraining
from qbench.schemes.quantization import Quantization
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.recipe import Recipe

Part = TypeVar("Part", bound=BaseModel)


class FlatScheme(PostTraining, Recipe, Quantization):
    """The fields of a scheme and of its three parts on one level, as a file gives them: `{last_layer: float}`.

    Attributes:
        name, description: for people.
        stage: "training" has no post-training part: float32, or quantized in training (QAT); "post-training" has one.
    """

    name: str
    description: str = ""
    stage: Literal["training", "post-training"] = "training"

    @model_validator(mode="after")
    def _steps_fit_the_stage(self) -> FlatScheme:
        if self.stage == "training":
            for step in PostTraining.model_fields:
                if getattr(self, step):
                    raise ValueError(f"{step} is a step of post-training schemes: {self.name} quantizes in training")
        return self

    def in_parts(self) -> dict[str, Any]:
        """Return the fields of a `Scheme`, by name."""
        return {
            "name": self.name,
            "description": self.description,
            "quantization": self._part(Quantization),
            "recipe": self._part(Recipe),
            "post_training": self._part(PostTraining) if self.stage == "post-training" else None,
        }

    def _part(self, part: type[Part]) -> Part:
        return part.model_validate({field: getattr(self, field) for field in part.model_fields})


FLAT_FIELDS = frozenset(FlatScheme.model_fields) - {"name", "description"}
"""The fields that only the flat form has."""


def fields_at(place: Sequence[int | str]) -> list[str]:
    """Return the fields that are known at a place in a flat scheme, a path of keys: for messages."""
    if len(place) <= 1:
        return list(FlatScheme.model_fields)
    if place[0] == "layers" and len(place) == 3:
        return list(LayerOverride.__annotations__)
    return list(QuantizerSpec.model_fields)
