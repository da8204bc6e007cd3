"""What of a network is quantized by what: schemes, as data."""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import quantizers
from qbench.errors import ConfigError, config_error
from qbench.layers import Activation, QuantLayer, from_float, quant_layers
from qbench.lookup import lookup
from qbench.seeds import derive
from qbench.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from quantizers import Quantizer, Registry


class QuantizerSpec(BaseModel):
    """A quantizer by name (or dotted path) and the options of its constructor.

    In a YAML file: `sign`, or `{name: int8, options: {rule: kl}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = {}

    def build(self) -> Quantizer:
        """The quantizer, new.

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
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
POST_TRAINING_FIELDS = ("fold_batch_norm", "clip_outliers", "bias_correction")


class Scheme(BaseModel):
    """A way to quantize and train a network.

    Attributes:
        name, description: for people.
        weights: quantizer of the weights; None keeps float32.
        activations: quantizer of every layer's input but the first's; None keeps float32.
        network_input: quantizer of the first layer's input, the data.
        first_layer, last_layer: "same" as the others, or "float": weights and input (the last layer's) stay float32.
        activation_function: what fills the model's activation slots. A binary activation replaces the ReLU: identity.
        stage: "training" quantizes in training; "post-training" trains the float network and quantizes it then.
        norm: "shift" makes every BatchNorm before the last quantizable layer shift-based; "none" leaves all out.
        norm_momentum: of BatchNorm's running averages, in torch's sense; None keeps the model's (shift-based: 1/8).
        optimizer: "adam", "shift-adamax", or "sgd" without momentum.
        relaxed_share: share of the epochs in which quantizers that have a relaxed form (`TanhSign`) train with it.
        initial_weights: "uniform" draws latent weights from U(-1, 1); "default" keeps torch's.
        learning_rate_scale: "glorot" multiplies a quantized layer's update by sqrt((fan_in + fan_out) / 1.5).
        learning_rate, learning_rate_end: of the first epoch and after the last; decays exponentially per epoch.
        halve_every: instead, the rate is halved every so many epochs, and learning_rate_end has no say.
        epoch_factor: epochs for each epoch of the budget; 1 unless a scheme cannot converge within it.
        evaluation_weights: "quantized", or "latent": evaluation uses the real-valued weights.
        fold_batch_norm: post-training: BatchNorm goes into weights and bias before they are quantized.
        clip_outliers: post-training: weights beyond that many robust standard deviations are clipped for the choice
            of the range (see `quantizers.analyse_outliers`); None clips none.
        bias_correction: post-training: the mean shift that quantization causes is taken out of each channel's bias.

    The settings follow BinaryConnect and BinaryNet: no bias, every layer quantized, first and last included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    description: str = ""
    weights: Spec | None = None
    activations: Spec | None = None
    network_input: Spec | None = None
    first_layer: Literal["same", "float"] = "same"
    last_layer: Literal["same", "float"] = "same"
    activation_function: Literal["relu", "hardtanh", "identity"] = "relu"
    stage: Literal["training", "post-training"] = "training"
    norm: Literal["batch", "shift", "none"] = "batch"
    norm_momentum: Annotated[float, Field(gt=0, le=1)] | None = None
    optimizer: Literal["adam", "shift-adamax", "sgd"] = "adam"
    relaxed_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initial_weights: Literal["default", "uniform"] = "default"
    learning_rate_scale: Literal["none", "glorot"] = "none"
    learning_rate: Rate = 3e-3
    learning_rate_end: Rate = 3e-5
    halve_every: Annotated[int, Field(ge=1)] | None = None
    epoch_factor: Annotated[int, Field(ge=1)] = 1
    evaluation_weights: Literal["quantized", "latent"] = "quantized"
    fold_batch_norm: bool = False
    clip_outliers: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    bias_correction: bool = False

    @model_validator(mode="after")
    def _stages_fit(self) -> Scheme:
        if self.stage == "training":
            for name in POST_TRAINING_FIELDS:
                if getattr(self, name):
                    raise ValueError(f"{name} is a step of post-training schemes: {self.name} quantizes in training")
        return self

    def replace(self, **options: Any) -> Scheme:
        """The scheme with other field values, validated.

        Raises:
            ConfigError: an unknown field or a bad value.
        """
        try:
            return Scheme.model_validate(self.model_dump() | options)
        except ValidationError as error:
            raise config_error(error, list(Scheme.model_fields)) from None

    def training_scheme(self) -> Scheme:
        """The scheme that training runs: without the quantizers, if this one quantizes afterwards."""
        if self.stage == "training":
            return self
        off = dict.fromkeys(POST_TRAINING_FIELDS, None) | {"fold_batch_norm": False, "bias_correction": False}
        return self.replace(weights=None, activations=None, network_input=None, stage="training", **off)

    @property
    def specs(self) -> list[QuantizerSpec]:
        """The quantizers it names."""
        return [spec for spec in (self.weights, self.activations, self.network_input) if spec is not None]

    @property
    def optimizer_moments(self) -> int:
        """Numbers that the optimizer keeps for each parameter."""
        return 0 if self.optimizer == "sgd" else 2

    def weight_spec(self, position: int, count: int) -> QuantizerSpec | None:
        """The weights' quantizer of layer `position` of `count`."""
        return None if self._is_float(position, count) else self.weights

    def input_spec(self, position: int, count: int) -> QuantizerSpec | None:
        """The input's quantizer of layer `position` of `count`."""
        if self._is_float(position, count):
            return None
        return self.network_input if position == 0 else self.activations

    def _is_float(self, position: int, count: int) -> bool:
        return (position == 0 and self.first_layer == "float") or (position == count - 1 and self.last_layer == "float")


SCHEMES: Registry[Scheme] = Registry("scheme", group="qbench.schemes")


def scheme(name: str, **options: Any) -> Scheme:
    """The scheme called `name` (or at a dotted path), with `options` replaced.

    Raises:
        ConfigError: no such scheme, with the nearest one; a path that is no Scheme; an unknown option.
    """
    found = lookup(SCHEMES, name, Scheme, "scheme")
    if not options:
        return found
    try:
        return found.replace(**options)
    except ConfigError as error:
        raise error.within(prefix="scheme_options") from None


def glorot_scale(weight: torch.Tensor) -> float:
    """`sqrt((fan_in + fan_out) / 1.5)`, fans times k·k for a convolution.

    The factor by which a binary layer's update is multiplied (after Glorot); without it, deep binary nets stop early.
    Source: the authors' published code of BinaryConnect and BinaryNet.

    >>> round(glorot_scale(torch.empty(128, 3, 3, 3)), 2)
    28.04
    """
    window = prod(weight.shape[2:])
    return sqrt((weight.shape[0] + weight.shape[1]) * window / 1.5)


QuantizerOf = Callable[[QuantLayer], Quantizer | None]


def apply_scheme(
    model: nn.Module,
    scheme: Scheme,
    *,
    seed: int = 0,
    weight_quantizer: QuantizerOf | None = None,
    activation_quantizer: QuantizerOf | None = None,
) -> nn.Module:
    """Quantize `model` in place as `scheme` says, and return it.

    Its `nn.Linear` and `nn.Conv2d` become quantizable (parameters kept); every layer, in the order of declaration,
    gets a weight and an input quantizer; activation slots (`Activation`, `nn.ReLU`) get the scheme's function, and
    BatchNorms its kind of norm. Weights are not initialized here: see `initialize`.

    Args:
        seed: of the stochastic quantizers; each layer draws from its own stream.
        weight_quantizer, activation_quantizer: what decides a layer's quantizers instead of the scheme.

    Raises:
        ConfigError: a model without a layer to quantize, or a quantizer that cannot be built.
    """
    _make_quantizable(model, scheme)
    layers = quant_layers(model)
    if not layers:
        raise ConfigError(f"{type(model).__name__} has no nn.Linear or nn.Conv2d to quantize", "model")
    for position, (name, layer) in enumerate(layers):
        layer.position, layer.layer_count = position, len(layers)
        layer.weight_quantizer = (weight_quantizer or default_weight_quantizer(scheme))(layer)
        layer.input_quantizer = (activation_quantizer or default_activation_quantizer(scheme))(layer)
        layer.latent_evaluation = scheme.evaluation_weights == "latent"
        for role, quantizer in (("weight", layer.weight_quantizer), ("input", layer.input_quantizer)):
            if quantizer is not None:
                quantizer.layer_name = f"{name}.{role}"
                quantizer.reseed(derive(seed, role, position))
    return model


def default_weight_quantizer(scheme: Scheme) -> QuantizerOf:
    """What chooses a layer's weight quantizer when nothing else does: the scheme."""

    def choose(layer: QuantLayer) -> Quantizer | None:
        spec = scheme.weight_spec(layer.position, layer.layer_count)
        return None if spec is None else _build(spec, "weights")

    return choose


def default_activation_quantizer(scheme: Scheme) -> QuantizerOf:
    """What chooses a layer's input quantizer when nothing else does: the scheme."""

    def choose(layer: QuantLayer) -> Quantizer | None:
        spec = scheme.input_spec(layer.position, layer.layer_count)
        return None if spec is None else _build(spec, "network_input" if layer.position == 0 else "activations")

    return choose


def _build(spec: QuantizerSpec, field: str) -> Quantizer:
    try:
        return spec.build()
    except ConfigError as error:
        raise error.within(prefix=f"scheme_options.{field}") from error


def _make_quantizable(model: nn.Module, scheme: Scheme) -> None:
    replaced: dict[nn.Module, nn.Module] = {}  # one module in two places stays one module
    for module in list(model.modules()):
        # Not named_children(), which passes over a module's second place.
        for name, child in module._modules.items():
            if isinstance(child, nn.Linear | nn.Conv2d) and not isinstance(child, QuantLayer):
                setattr(module, name, replaced.setdefault(child, from_float(child)))
            elif isinstance(child, Activation | nn.ReLU):
                setattr(module, name, replaced.setdefault(child, Activation(scheme.activation_function)))
    _replace_norms(model, scheme)


def _replace_norms(model: nn.Module, scheme: Scheme) -> None:
    """The scheme's kind of norm. The output layer's stays plain BatchNorm, as in the authors' shift-based networks."""
    hidden: set[nn.Module] = set()
    waiting: set[nn.Module] = set()  # norms of which it is not known yet whether a layer follows
    for module in model.modules():
        if isinstance(module, QuantLayer):
            hidden |= waiting
        elif isinstance(module, _BatchNorm):
            waiting.add(module)
    replaced: dict[nn.Module, nn.Module] = {}
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if isinstance(child, _BatchNorm):
                if child not in replaced:
                    replaced[child] = _norm(child, scheme, child in hidden)
                setattr(module, name, replaced[child])


def _norm(norm: _BatchNorm, scheme: Scheme, hidden: bool) -> nn.Module:
    if scheme.norm == "none":
        return nn.Identity()
    if scheme.norm == "shift" and hidden and type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d):
        kind = ShiftBatchNorm1d if isinstance(norm, nn.BatchNorm1d) else ShiftBatchNorm2d
        norm = kind.from_batch_norm(norm)
    if scheme.norm_momentum is not None:
        norm.momentum = scheme.norm_momentum
    return norm


@torch.no_grad()
def initialize(model: nn.Module, scheme: Scheme, seed: int) -> None:
    """Draw the latent weights of quantized layers from U(-1, 1), where the scheme says so; a function of `seed`.

    Source: BinaryConnect's and BinaryNet's published code.
    """
    generator = torch.Generator().manual_seed(derive(seed, "latent"))
    if scheme.initial_weights == "uniform":
        for _, layer in quant_layers(model):
            if layer.weight_quantizer is not None:
                layer.weight.uniform_(-1, 1, generator=generator)


def _add(scheme: Scheme) -> None:
    SCHEMES.add(scheme.name, scheme)


_SIGN_WEIGHTS = QuantizerSpec(name="sign", options={"estimator": "identity"})
_SIGN_ACTIVATIONS = QuantizerSpec(name="sign")

_add(Scheme(name="fp32", description="float32 weights and activations: the reference"))
_add(
    Scheme(
        name="binaryconnect",
        description="±1 weights by the deterministic sign, float activations (BinaryConnect)",
        weights=_SIGN_WEIGHTS,
        initial_weights="uniform",
        learning_rate_scale="glorot",
        learning_rate=1e-2,
        learning_rate_end=1e-4,
    )
)
_add(
    Scheme(
        name="binaryconnect-stochastic",
        description="±1 weights drawn anew at each step, the latent float weights at evaluation (BinaryConnect)",
        weights=QuantizerSpec(name="stochastic_sign", options={"estimator": "identity"}),
        initial_weights="uniform",
        learning_rate_scale="glorot",
        learning_rate=1e-2,
        learning_rate_end=1e-4,
        epoch_factor=2,
        evaluation_weights="latent",
    )
)
_add(
    Scheme(
        name="binarynet",
        description="±1 weights and activations by the deterministic sign (BinaryNet)",
        weights=_SIGN_WEIGHTS,
        activations=_SIGN_ACTIVATIONS,
        activation_function="identity",
        initial_weights="uniform",
        learning_rate_scale="glorot",
        learning_rate=1e-2,
        learning_rate_end=1e-4,
    )
)
_add(
    SCHEMES.get("binarynet").replace(
        name="binarynet-stochastic",
        description="±1 weights by the deterministic sign, ±1 activations drawn in training (BinaryNet)",
        activations="stochastic_sign",
    )
)
_add(
    Scheme(
        name="bnn-shift",
        description="±1 weights, ±1 activations drawn in training, shift-based BatchNorm and AdaMax (BNN, Torch7)",
        weights=_SIGN_WEIGHTS,
        activations=QuantizerSpec(name="stochastic_sign"),
        activation_function="identity",
        norm="shift",
        optimizer="shift-adamax",
        initial_weights="uniform",
        learning_rate_scale="glorot",
        learning_rate=2.0**-6,
        halve_every=10,
    )
)
_add(
    SCHEMES.get("binarynet").replace(
        name="xnor-net",
        description="binarynet with a scale per output channel, the mean magnitude of its latent weights (XNOR-Net)",
        weights={"name": "scaled_sign", "options": {"estimator": "identity"}},
    )
)
_add(
    Scheme(
        name="ternary-binary",
        description="weights -Δ, 0, +Δ and ±1 activations (Hwang & Sung)",
        weights=QuantizerSpec(name="ternary", options={"channel_axis": 0}),
        activations=_SIGN_ACTIVATIONS,
        activation_function="identity",
    )
)
_add(
    Scheme(
        name="bitwise",
        description="tanh-compressed real weights and activations first, then their signs (Kim & Smaragdis)",
        weights=QuantizerSpec(name="tanh_sign"),
        activations=QuantizerSpec(name="tanh_sign"),
        activation_function="identity",
        relaxed_share=0.5,
        learning_rate_end=1e-3,
    )
)
_add(
    Scheme(
        name="binarize-after",
        description="trained in float32 with hard tanh, binarized afterwards with a scale per channel: fails",
        weights=QuantizerSpec(name="scaled_sign"),
        activations=_SIGN_ACTIVATIONS,
        activation_function="hardtanh",
        stage="post-training",
    )
)
# INT8. Weights have a scale per output channel and keep their full range; activations have one per tensor.
_INT8_WEIGHTS = QuantizerSpec(name="int8", options={"rule": "minmax", "channel_axis": 0})
# Pixels fill a known range evenly spaced: there is nothing to saturate.
_INT8_PIXELS = QuantizerSpec(name="int8", options={"rule": "minmax"})
_RULES = {
    "minmax": "the whole range",
    "mean-extremes": "the mean of the batches' extremes",
    "percentile": "all but a ten-thousandth",
    "mse": "the range of least squared error",
    "kl": "the range of least KL divergence",
}


def _post_training(name: str, description: str, weights: QuantizerSpec, activations: QuantizerSpec) -> None:
    _add(
        Scheme(
            name=name,
            description=description,
            weights=weights,
            activations=activations,
            network_input=_INT8_PIXELS,
            stage="post-training",
            fold_batch_norm=True,
        )
    )


for _name, _text in _RULES.items():
    _rule = _name.replace("-", "_")
    _post_training(
        f"int8-{_name}",
        f"post-training INT8: per-channel weights, activations calibrated to {_text}",
        _INT8_WEIGHTS,
        QuantizerSpec(name="int8", options={"rule": _rule}),
    )
for _name in ("minmax", "kl"):
    _post_training(
        f"uint8-{_name}",
        f"as int8-{_name}, with activations as unsigned codes with a zero point",
        _INT8_WEIGHTS,
        QuantizerSpec(name="uint8", options={"rule": _name}),
    )
    _post_training(
        f"int8-{_name}-pow2",
        f"as int8-{_name}, with every scale a power of two (2^-fractional length)",
        QuantizerSpec(name="int8", options={"rule": "minmax", "channel_axis": 0, "power_of_two": True}),
        QuantizerSpec(name="int8", options={"rule": _name, "power_of_two": True}),
    )
# Four bits, where the rule for the weights decides. mean-extremes needs batches, and a weight has none.
for _name in ("minmax", "percentile", "mse", "kl"):
    _post_training(
        f"int4-weights-{_name}",
        f"post-training: per-channel 4-bit weights ranged to {_RULES[_name]}, 8-bit activations (min-max)",
        QuantizerSpec(name="int8", options={"bits": 4, "rule": _name, "channel_axis": 0}),
        QuantizerSpec(name="int8", options={"rule": "minmax"}),
    )
_add(
    Scheme(
        name="int8-qat",
        description="INT8 in training: per-channel weights, activation ranges by moving average (Jacob et al.)",
        weights=QuantizerSpec(name="int8_qat", options={"channel_axis": 0, "momentum": 1.0}),
        activations=QuantizerSpec(name="int8_qat"),
        network_input=QuantizerSpec(name="int8_qat"),
    )
)
_add(
    Scheme(
        name="int8-lsq",
        description="INT8 in training: learned step size for weights and activations (LSQ)",
        weights=QuantizerSpec(name="lsq"),
        # After a ReLU there is nothing below zero; pixels may be.
        activations=QuantizerSpec(name="lsq", options={"signed": False, "batch_axis": 0}),
        network_input=QuantizerSpec(name="lsq", options={"batch_axis": 0}),
    )
)
