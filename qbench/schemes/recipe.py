"""How a network trains: the second part of a scheme."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from qbench.schemes.named import Named

_Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _kept(value: Any) -> Any:
    return "keep" if value == "default" else value  # its earlier name


class Recipe(BaseModel):
    """The settings of a training.

    Attributes:
        activation_function: what fills the model's activation slots: a name of `qbench.nn.activation.ACTIVATIONS`, or a
            dotted path, with options or without. "identity" where a binary quantizer takes the place of the ReLU.
        norm: "shift" makes every BatchNorm before the last quantizable layer shift-based; "none" leaves all out.
        norm_momentum: of BatchNorm's running averages, in torch's sense; None keeps the model's (shift-based: 1/8).
        optimizer: "adam", "shift-adamax", or "sgd" without momentum.
        relaxed_share: share of the epochs in which quantizers that have a relaxed form (`TanhSign`) train with it.
        initial_weights: "uniform" draws latent weights from U(-1, 1); "keep" starts from those that the network has:
            torch's, or trained ones (a warm start). Files of old call it "default".
        learning_rate_scale: "glorot" multiplies a quantized layer's update by sqrt((fan_in + fan_out) / 1.5).
        learning_rate: the initial learning rate; 0 trains nothing but the norms' statistics.
        learning_rate_end: the learning rate after the last epoch; it decays exponentially per epoch, so it is 0 only
            where learning_rate is.
        halve_every: the learning rate is halved every so many epochs instead, and learning_rate_end is not used.
        epoch_factor: epochs for each epoch of the budget; 1 unless a scheme cannot converge within it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    activation_function: Named = "relu"
    norm: Literal["batch", "shift", "none"] = "batch"
    norm_momentum: Annotated[float, Field(gt=0, le=1)] | None = None
    optimizer: Literal["adam", "shift-adamax", "sgd"] = "adam"
    relaxed_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initial_weights: Annotated[Literal["keep", "uniform"], BeforeValidator(_kept)] = "keep"
    learning_rate_scale: Literal["none", "glorot"] = "none"
    learning_rate: _Rate = 3e-3
    learning_rate_end: _Rate = 3e-5
    halve_every: Annotated[int, Field(ge=1)] | None = None
    epoch_factor: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _decays(self) -> Recipe:
        if self.learning_rate > 0 and self.learning_rate_end == 0 and self.halve_every is None:
            raise ValueError("learning_rate_end must be positive: no exponential decay reaches 0")
        return self

    @property
    def optimizer_moments(self) -> int:
        """Numbers that the optimizer keeps for each parameter."""
        return 0 if self.optimizer == "sgd" else 2
