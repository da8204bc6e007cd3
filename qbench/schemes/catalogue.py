"""The schemes by name."""

from __future__ import annotations

from typing import Any

from qbench.errors import ConfigError, lookup
from qbench.schemes.post_training import PostTraining
from qbench.schemes.quantization import Quantization
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.recipe import Recipe
from qbench.schemes.scheme import Scheme
from quantizers import Registry

SCHEMES: Registry[Scheme] = Registry("scheme", group="qbench.schemes")
"""The schemes by name; a plug-in adds its own under the entry-point group `qbench.schemes`."""


def get_scheme(name: str, /, **options: Any) -> Scheme:
    """Return the scheme called `name` (or at a dotted path), with `options` replaced.

    Raises:
        ConfigError: no such scheme, with the nearest one; a path to something else; an unknown option or a bad value.
    """
    found = lookup(SCHEMES, name, Scheme, "scheme")
    if not options:
        return found
    try:
        return found.replace(**options)
    except ConfigError as error:
        raise error.within(prefix="scheme_options") from None


_FLOAT32 = Quantization()
_DEFAULTS = Recipe()


def _add(
    name: str,
    description: str,
    quantization: Quantization = _FLOAT32,
    recipe: Recipe = _DEFAULTS,
    post_training: PostTraining | None = None,
) -> None:
    scheme = Scheme(
        name=name, description=description, quantization=quantization, recipe=recipe, post_training=post_training
    )
    SCHEMES.add(name, scheme)


def _spec(name: str, **options: Any) -> QuantizerSpec:
    return QuantizerSpec(name=name, options=options)


# Binary. Latent weights start in U(-1, 1), and their updates are scaled by layer.
_SIGN_WEIGHTS = _spec("sign", estimator="identity")
_LATENT = Recipe(initial_weights="uniform", learning_rate_scale="glorot", learning_rate=1e-2, learning_rate_end=1e-4)
_BINARYNET = _LATENT.model_copy(update={"activation_function": "identity"})

_add("fp32", "float32 weights and activations: the reference")
_add(
    "binaryconnect",
    "±1 weights by the deterministic sign, float activations (BinaryConnect)",
    Quantization(weights=_SIGN_WEIGHTS),
    _LATENT,
)
_add(
    "binaryconnect-stochastic",
    "±1 weights drawn anew at each step, the latent float weights at evaluation (BinaryConnect)",
    Quantization(weights=_spec("stochastic_sign", estimator="identity"), evaluation_weights="latent"),
    _LATENT.model_copy(update={"epoch_factor": 2}),
)
_add(
    "binarynet",
    "±1 weights and activations by the deterministic sign (BinaryNet)",
    Quantization(weights=_SIGN_WEIGHTS, activations=_spec("sign")),
    _BINARYNET,
)
_add(
    "binarynet-stochastic",
    "±1 weights by the deterministic sign, ±1 activations drawn in training (BinaryNet)",
    Quantization(weights=_SIGN_WEIGHTS, activations=_spec("stochastic_sign")),
    _BINARYNET,
)
_add(
    "bnn-shift",
    "±1 weights, ±1 activations drawn in training, shift-based BatchNorm and AdaMax (BNN, Torch7)",
    Quantization(weights=_SIGN_WEIGHTS, activations=_spec("stochastic_sign")),
    Recipe(
        activation_function="identity",
        norm="shift",
        optimizer="shift-adamax",
        initial_weights="uniform",
        learning_rate_scale="glorot",
        learning_rate=2.0**-6,
        halve_every=10,
    ),
)
_add(
    "xnor-net",
    "binarynet with a scale per output channel, the mean magnitude of its latent weights (XNOR-Net)",
    Quantization(weights=_spec("scaled_sign", estimator="identity"), activations=_spec("sign")),
    _BINARYNET,
)
_add(
    "ternary-binary",
    "weights -Δ, 0, +Δ and ±1 activations (Hwang & Sung)",
    Quantization(weights=_spec("ternary", channel_axis=0), activations=_spec("sign")),
    Recipe(activation_function="identity"),
)
_add(
    "bitwise",
    "tanh-compressed real weights and activations first, then their signs (Kim & Smaragdis)",
    Quantization(weights=_spec("tanh_sign"), activations=_spec("tanh_sign")),
    Recipe(activation_function="identity", relaxed_share=0.5, learning_rate_end=1e-3),
)
_add(
    "binarize-after",
    "trained in float32 with hard tanh, binarized afterwards with a scale per channel: fails",
    Quantization(weights=_spec("scaled_sign"), activations=_spec("sign")),
    Recipe(activation_function="hardtanh"),
    PostTraining(),
)

# INT8 after training. Weights have a scale per output channel and keep their full range; activations have one scale.
# Pixels fill a known range evenly: there is nothing to clip.
_INT8_WEIGHTS = _spec("int8", method="minmax", channel_axis=0)
_INT8_PIXELS = _spec("int8", method="minmax")
_RANGES = {
    "minmax": "the whole range",
    "mean-extremes": "the mean of the batches' extremes",
    "percentile": "all but a ten-thousandth",
    "mse": "the range of least squared error",
    "kl": "the range of least KL divergence",
}


def _add_post_training(name: str, description: str, weights: QuantizerSpec, activations: QuantizerSpec) -> None:
    quantization = Quantization(weights=weights, activations=activations, network_input=_INT8_PIXELS)
    _add(name, description, quantization, post_training=PostTraining(fold_batch_norm=True))


for _method, _range in _RANGES.items():
    _add_post_training(
        f"int8-{_method}",
        f"post-training INT8: per-channel weights, activations calibrated to {_range}",
        _INT8_WEIGHTS,
        _spec("int8", method=_method.replace("-", "_")),
    )
for _method in ("minmax", "kl"):
    _add_post_training(
        f"uint8-{_method}",
        f"as int8-{_method}, with activations as unsigned codes with a zero point",
        _INT8_WEIGHTS,
        _spec("uint8", method=_method),
    )
    _add_post_training(
        f"int8-{_method}-pow2",
        f"as int8-{_method}, with every scale a power of two (2^-fractional length)",
        _spec("int8", method="minmax", channel_axis=0, power_of_two=True),
        _spec("int8", method=_method, power_of_two=True),
    )
# With four bits the calibration method of the weights decides. mean-extremes needs batches, and a weight has none.
for _method in ("minmax", "percentile", "mse", "kl"):
    _add_post_training(
        f"int4-weights-{_method}",
        f"post-training: per-channel 4-bit weights ranged to {_RANGES[_method]}, 8-bit activations (min-max)",
        _spec("int8", bits=4, method=_method, channel_axis=0),
        _spec("int8", method="minmax"),
    )

# Weights alone, after training: 4 bits with a scale for each group of a row, activations in float32. Scales of 16 bits
# add 1/2 bit a weight in groups of 32 and 1/4 in groups of 64, those of 8 bits 1/4 in groups of 32.
_GROUPED = {
    "int4-g32": ("4-bit integer weights in groups of 32 with 16-bit scales", _spec("group_integer", group_size=32)),
    "nf4-g64": (
        "4-bit NormalFloat weights in groups of 64 with 16-bit scales (QLoRA)",
        _spec("table", values="nf4", group_size=64, scale_bits=16),
    ),
    "mxfp4": (
        "E2M1 weights in groups of 32 with power-of-two scales, as OCP's MX specification converts",
        _spec("table", values="e2m1", group_size=32, scale_bits=8, cover=False),
    ),
}
for _name, (_what, _weights) in _GROUPED.items():
    _add(
        _name,
        f"post-training, weights only: {_what}",
        Quantization(weights=_weights),
        post_training=PostTraining(fold_batch_norm=True),
    )

# A few bits in training.
_add(
    "dorefa-4bit",
    "4-bit weights (tanh-normalized odd codes) and 4-bit activations in [0, 1], ends in float32 (DoReFa-Net)",
    Quantization(
        weights=_spec("odd", bits=4),
        activations=_spec("unit_range", bits=4),
        first_layer="float",
        last_layer="float",
    ),
)

# INT8 in training.
_add(
    "int8-qat",
    "INT8 in training: per-channel weights, activation ranges by moving average (Jacob et al.)",
    Quantization(
        weights=_spec("int8_qat", channel_axis=0, momentum=1.0),
        activations=_spec("int8_qat"),
        network_input=_spec("int8_qat"),
    ),
)
_add(
    "int8-lsq",
    "INT8 in training: learned step size for weights and activations (LSQ)",
    Quantization(
        weights=_spec("lsq"),
        # Where the network's operations, or else the first batch, show nothing below zero, codes are unsigned.
        activations=_spec("lsq", signed=None, batch_axis=0),
        network_input=_spec("lsq", batch_axis=0),
    ),
)
