"""A scheme: how a network is quantized and trained, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qbench.errors import ConfigError, config_error
from qbench.schemes.flat_scheme import FLAT_FIELDS, FlatScheme, fields_at
from qbench.schemes.post_training import PostTraining
from qbench.schemes.quantization import Quantization
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.recipe import DEFAULT_SCHEDULE, Recipe


class Scheme(BaseModel):
    """A way to quantize and train a network.

    The defaults follow BinaryConnect and BinaryNet: every layer is quantized, first and last included.

    The constructor takes the three parts, or the fields of `FlatScheme`; these two are the same scheme:

    >>> parts = Scheme(name="mine", quantization=Quantization(weights="sign"), recipe=Recipe(learning_rate=0.01))
    >>> parts == Scheme(name="mine", weights="sign", learning_rate=0.01)
    True

    Attributes:
        name, description: for people.
        quantization: which quantizer serves which layer.
        recipe: how the network trains.
        post_training: None quantizes in training; otherwise the float network is trained, and quantized afterwards.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    description: str = ""
    quantization: Quantization = Quantization()
    recipe: Recipe = Recipe()
    post_training: PostTraining | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_flat_fields(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and not FLAT_FIELDS.isdisjoint(values):
            return FlatScheme.model_validate(values).in_parts()
        return values

    def flat(self) -> dict[str, Any]:
        """Return the fields of `FlatScheme` as plain values."""
        fields: dict[str, Any] = {"name": self.name, "description": self.description}
        for part in (self.quantization, self.recipe, self.post_training or PostTraining()):
            fields |= part.model_dump()
        return fields | {"stage": "training" if self.post_training is None else "post-training"}

    def settings(self) -> dict[str, Any]:
        """Return what decides a result, as plain values for a digest: `flat` without name and description.

        A digest sorts keys, and the order of overrides matters: it is a value of its own.
        """
        fields = {key: value for key, value in self.flat().items() if key not in ("name", "description")}
        return fields | {"layers_order": list(self.quantization.layers)}

    def replace(self, **options: Any) -> Scheme:
        """Return the scheme with other values of fields of `FlatScheme`, validated.

        Of `schedule` and `halve_every`, which say the same, the one that is given replaces the other.

        Raises:
            ConfigError: an unknown field or a bad value; a learning_rate_end that the schedule does not lead to.
        """
        fields = self.flat()
        if "schedule" in options:
            fields["halve_every"] = None
        elif options.get("halve_every") is not None:
            fields["schedule"] = DEFAULT_SCHEDULE
        try:
            found = Scheme.model_validate(fields | options)
        except ValidationError as error:
            place = error.errors(include_url=False)[0]["loc"]
            raise config_error(error, fields_at(place)) from None
        if "learning_rate_end" in options and not found.recipe.uses_learning_rate_end:
            raise ConfigError(f"the schedule {found.recipe.rate_schedule} does not use it", "learning_rate_end")
        return found

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
        """All quantizers that the scheme names."""
        return self.quantization.specs
