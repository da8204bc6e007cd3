"""The schemes by name."""

from __future__ import annotations

from typing import Any

from qbench.errors import ConfigError, lookup
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.scheme import Scheme
from quantizers import Registry

SCHEMES: Registry[Scheme] = Registry("scheme", group="qbench.schemes")


def get_scheme(name: str, **options: Any) -> Scheme:
    """Return the scheme called `name` (or at a dotted path), with `options` replaced.

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


def _add(scheme: Scheme) -> None:
    SCHEMES.add(scheme.name, scheme)


def _scheme(**fields: Any) -> Scheme:
    """Build a scheme from flat fields, as a file gives them."""
    return Scheme.model_validate(fields)


_SIGN_WEIGHTS = QuantizerSpec(name="sign", options={"estimator": "identity"})
_SIGN_ACTIVATIONS = QuantizerSpec(name="sign")
# INT8. Weights have a scale per output channel and keep their full range; activations have one per tensor.
_INT8_WEIGHTS = QuantizerSpec(name="int8", options={"method": "minmax", "channel_axis": 0})
# Pixels fill a known range evenly spaced: there is nothing to saturate.
_INT8_PIXELS = QuantizerSpec(name="int8", options={"method": "minmax"})
_RULES = {
    "minmax": "the whole range",
    "mean-extremes": "the mean of the batches' extremes",
    "percentile": "all but a ten-thousandth",
    "mse": "the range of least squared error",
    "kl": "the range of least KL divergence",
}


def _post_training(name: str, description: str, weights: QuantizerSpec, activations: QuantizerSpec) -> None:
    _add(
        _scheme(
            name=name,
            description=description,
            weights=weights,
            activations=activations,
            network_input=_INT8_PIXELS,
            stage="post-training",
            fold_batch_norm=True,
        )
    )


_add(_scheme(name="fp32", description="float32 weights and activations: the reference"))
_add(
    _scheme(
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
    _scheme(
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
    _scheme(
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
    _scheme(
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
    _scheme(
        name="ternary-binary",
        description="weights -Δ, 0, +Δ and ±1 activations (Hwang & Sung)",
        weights=QuantizerSpec(name="ternary", options={"channel_axis": 0}),
        activations=_SIGN_ACTIVATIONS,
        activation_function="identity",
    )
)
_add(
    _scheme(
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
    _scheme(
        name="binarize-after",
        description="trained in float32 with hard tanh, binarized afterwards with a scale per channel: fails",
        weights=QuantizerSpec(name="scaled_sign"),
        activations=_SIGN_ACTIVATIONS,
        activation_function="hardtanh",
        stage="post-training",
    )
)


for _name, _text in _RULES.items():
    _rule = _name.replace("-", "_")
    _post_training(
        f"int8-{_name}",
        f"post-training INT8: per-channel weights, activations calibrated to {_text}",
        _INT8_WEIGHTS,
        QuantizerSpec(name="int8", options={"method": _rule}),
    )
for _name in ("minmax", "kl"):
    _post_training(
        f"uint8-{_name}",
        f"as int8-{_name}, with activations as unsigned codes with a zero point",
        _INT8_WEIGHTS,
        QuantizerSpec(name="uint8", options={"method": _name}),
    )
    _post_training(
        f"int8-{_name}-pow2",
        f"as int8-{_name}, with every scale a power of two (2^-fractional length)",
        QuantizerSpec(name="int8", options={"method": "minmax", "channel_axis": 0, "power_of_two": True}),
        QuantizerSpec(name="int8", options={"method": _name, "power_of_two": True}),
    )
# Four bits, where the rule for the weights decides. mean-extremes needs batches, and a weight has none.
for _name in ("minmax", "percentile", "mse", "kl"):
    _post_training(
        f"int4-weights-{_name}",
        f"post-training: per-channel 4-bit weights ranged to {_RULES[_name]}, 8-bit activations (min-max)",
        QuantizerSpec(name="int8", options={"bits": 4, "method": _name, "channel_axis": 0}),
        QuantizerSpec(name="int8", options={"method": "minmax"}),
    )
_add(
    _scheme(
        name="int8-qat",
        description="INT8 in training: per-channel weights, activation ranges by moving average (Jacob et al.)",
        weights=QuantizerSpec(name="int8_qat", options={"channel_axis": 0, "momentum": 1.0}),
        activations=QuantizerSpec(name="int8_qat"),
        network_input=QuantizerSpec(name="int8_qat"),
    )
)
_add(
    _scheme(
        name="int8-lsq",
        description="INT8 in training: learned step size for weights and activations (LSQ)",
        weights=QuantizerSpec(name="lsq"),
        # After a ReLU there is nothing below zero; pixels may be.
        activations=QuantizerSpec(name="lsq", options={"signed": False, "batch_axis": 0}),
        network_input=QuantizerSpec(name="lsq", options={"batch_axis": 0}),
    )
)
