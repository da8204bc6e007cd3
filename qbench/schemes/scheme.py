"""A scheme: how a network is quantized and trained, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qbench.errors import ConfigError, config_error
from qbench.schemes.post_training import PostTraining
from qbench.schemes.quantization import LayerOverride, Quantization
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.recipe import Recipe

_STAGES = ("training", "post-training")
_PARTS: dict[str, type[BaseModel]] = {
    "quantization": Quantization,
    "recipe": Recipe,
    "post_training": PostTraining,
}
_PART_OF = {field: part for part, model in _PARTS.items() for field in model.model_fields}
_FLAT_FIELDS = ("name", "description", *_PART_OF, "stage")


class Scheme(BaseModel):
    """A way to quantize and train a network.

    The settings follow BinaryConnect and BinaryNet: no bias, every layer quantized, first and last included.

    Each field of the parts has a name of its own, so that a file may give them flat, `{last_layer: float}`; `stage` then
    says whether there is a post-training part: "training" (QAT, or none) or "post-training" (PTQ). The constructor takes
    both forms.

    Attributes:
        name, description: for people.
        quantization: which quantizer serves which layer.
        recipe: how the network trains.
        post_training: None quantizes in training; else the float network is trained, and quantized then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    description: str = ""
    quantization: Quantization = Quantization()
    recipe: Recipe = Recipe()
    post_training: PostTraining | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_parts(cls, values: Any) -> Any:
        """Sort flat fields into the three parts."""
        if not isinstance(values, Mapping) or not any(key in _PART_OF or key == "stage" for key in values):
            return values
        sorted_: dict[str, Any] = {
            key: value for key, value in values.items() if key not in _PART_OF and key != "stage"
        }
        for key, value in values.items():
            if key in _PART_OF:
                part = sorted_.get(_PART_OF[key])
                given = part.model_dump(exclude_unset=True) if isinstance(part, BaseModel) else dict(part or {})
                sorted_[_PART_OF[key]] = given | {key: value}
        stage = values.get("stage", "post-training" if "post_training" in values else "training")
        if stage not in _STAGES:
            raise ValueError(f"stage: expected one of {', '.join(_STAGES)}, got {stage!r}")
        steps = sorted_.pop("post_training", {}) or {}
        if stage == "post-training":
            sorted_["post_training"] = steps
        elif wanted := [key for key, value in steps.items() if value]:
            raise ValueError(
                f"{wanted[0]} is a step of post-training schemes: {values.get('name')} quantizes in training"
            )
        return sorted_

    def flat(self) -> dict[str, Any]:
        """Return all fields on one level, with `stage`: the names that `scheme_options` take, plain values."""
        steps = self.post_training or PostTraining()
        fields: dict[str, Any] = {"name": self.name, "description": self.description}
        for part in (self.quantization, self.recipe, steps):
            fields |= part.model_dump()
        # Of an override, what it does not give stays the scheme's, which None would not say.
        fields["layers"] = {
            name: each.model_dump(exclude_unset=True) for name, each in self.quantization.layers.items()
        }
        return fields | {"stage": "training" if self.post_training is None else "post-training"}

    def replace(self, **options: Any) -> Scheme:
        """Return the scheme with other values of flat fields, validated.

        Raises:
            ConfigError: an unknown field or a bad value.
        """
        if (stage := options.get("stage", "training")) not in _STAGES:
            raise ConfigError(f"input should be 'training' or 'post-training', got {stage!r}", "stage")
        try:
            return Scheme.model_validate(self.flat() | options)
        except ValidationError as error:
            place = error.errors(include_url=False)[0]["loc"]
            known = LayerOverride.model_fields if "layers" in place[:-1] else _FLAT_FIELDS
            found = config_error(error, list(known))
            part, _, key = (found.key or "").partition(".")
            raise ConfigError(found.message, key if part in _PARTS else found.key, found.file) from None

    def training_scheme(self) -> Scheme:
        """Return the scheme that training runs: without the quantizers, if this one quantizes afterwards."""
        if self.post_training is None:
            return self
        return self.model_copy(update={"quantization": Quantization(), "post_training": None})

    @property
    def folds_batch_norm(self) -> bool:
        """Whether BatchNorm goes into the layers' weights before they are quantized."""
        return self.post_training is not None and self.post_training.fold_batch_norm

    @property
    def specs(self) -> list[QuantizerSpec]:
        """All quantizers that it names."""
        return self.quantization.specs
