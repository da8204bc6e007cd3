"""How a network trains: the second part of a scheme."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from qbench.schemes.named import Named, NamedSpec, spelled_out
from qbench.schemes.optimizers.registry import check_optimizer, optimizer_moments
from qbench.schemes.schedules import check_schedule, uses_end

_Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _kept(value: Any) -> Any:
    return "keep" if value == "default" else value  # its earlier name


DEFAULT_SCHEDULE = "exponential"
"""The schedule of a recipe that names none."""


class Recipe(BaseModel):
    """The settings of a training.

    What has a name may have options, too: `{name: sgd, options: {momentum: 0.9}}`. A name is one of a registry, or a
    dotted path.

    Attributes:
        activation_function: what fills the model's activation slots: a name of `qbench.nn.activation.ACTIVATIONS`, or a
            dotted path, with options or without. "identity" where a binary quantizer takes the place of the ReLU.
        norm: "shift" makes every BatchNorm before the last quantizable layer shift-based; "none" leaves all out.
        norm_momentum: of BatchNorm's running averages, in torch's sense; None keeps the model's (shift-based: 1/8).
        loss: of the scores, a name of `qbench.training.losses.LOSSES`; "distillation" trains the float teacher first.
        optimizer: a name of `qbench.schemes.optimizers.OPTIMIZERS`, or a dotted path (`torch.optim.Adadelta`). The
            option weight_decay holds for all parameters but those of quantizers, which say their own.
        relaxed_share: share of the epochs in which quantizers that have a relaxed form (`TanhSign`) train with it.
        initial_weights: "uniform" draws latent weights from U(-1, 1); "keep" starts from those that the network has:
            torch's, or trained ones (a warm start). Files of old call it "default".
        learning_rate_scale: "glorot" multiplies a quantized layer's update by sqrt((fan_in + fan_out) / 1.5).
        learning_rate: the initial learning rate; 0 trains nothing but the norms' statistics.
        learning_rate_end: the learning rate after the last epoch, of schedules that lead to one (exponential, cosine,
            linear). An exponential decay ends at 0 only where it starts there.
        schedule: how the rate goes from epoch to epoch: a name of `qbench.schemes.schedules.SCHEDULES`, or a dotted
            path to a class of `torch.optim.lr_scheduler`. The option warmup, of each of them, is in epochs.
        halve_every: short for the schedule `{name: halve, options: {every: N}}`.
        epoch_factor: epochs for each epoch of the budget; 1 unless a scheme cannot converge within it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    activation_function: Named = "relu"
    norm: Literal["batch", "shift", "none"] = "batch"
    norm_momentum: Annotated[float, Field(gt=0, le=1)] | None = None
    loss: Named = "squared_hinge"
    optimizer: Named = "adam"
    relaxed_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initial_weights: Annotated[Literal["keep", "uniform"], BeforeValidator(_kept)] = "keep"
    learning_rate_scale: Literal["none", "glorot"] = "none"
    learning_rate: _Rate = 3e-3
    learning_rate_end: _Rate = 3e-5
    schedule: Named = DEFAULT_SCHEDULE
    halve_every: Annotated[int, Field(ge=1)] | None = None
    epoch_factor: Annotated[int, Field(ge=1)] = 1

    @field_validator("optimizer")
    @classmethod
    def _is_optimizer(cls, value: str | NamedSpec) -> str | NamedSpec:
        check_optimizer(value)
        return value

    @field_validator("schedule")
    @classmethod
    def _is_schedule(cls, value: str | NamedSpec) -> str | NamedSpec:
        check_schedule(value)
        return value

    @model_validator(mode="after")
    def _decays(self) -> Recipe:
        if self.halve_every is not None and self.schedule != DEFAULT_SCHEDULE:
            raise ValueError(f"halve_every and the schedule {self.schedule} both say how the rate decays: set one")
        if self.rate_schedule.name == "exponential" and self.learning_rate > 0 and self.learning_rate_end == 0:
            raise ValueError("learning_rate_end must be positive: no exponential decay reaches 0")
        return self

    @property
    def rate_schedule(self) -> NamedSpec:
        """The schedule of the learning rate, `halve_every` included."""
        if self.halve_every is not None:
            return NamedSpec(name="halve", options={"every": self.halve_every})
        return spelled_out(self.schedule)

    @property
    def uses_learning_rate_end(self) -> bool:
        """Whether the schedule leads to `learning_rate_end`."""
        return uses_end(self.rate_schedule)

    @property
    def optimizer_moments(self) -> int | float:
        """Numbers that the optimizer keeps for each parameter."""
        return optimizer_moments(self.optimizer)
