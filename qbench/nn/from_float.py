"""From torch's layers to quantizable ones."""

from __future__ import annotations

from torch import nn

from qbench.errors import ConfigError
from qbench.nn.graph.whole import is_plain_layer
from qbench.nn.hooks import hooks_of
from qbench.nn.quant_conv1d import QuantConv1d
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_embedding import QuantEmbedding
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_linear import QuantLinear

_CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
_TABLE = ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")

# Each of torch's layers: the quantizable one, and its settings: arguments that it keeps as attributes of their names.
_KINDS: tuple[tuple[type[nn.Module], type[QuantLayer], tuple[str, ...]], ...] = (
    (nn.Linear, QuantLinear, ("in_features", "out_features")),
    (nn.Conv1d, QuantConv1d, _CONVOLUTION),
    (nn.Conv2d, QuantConv2d, _CONVOLUTION),
    (nn.Embedding, QuantEmbedding, _TABLE),
)


def from_float(layer: nn.Module, name: str = "") -> QuantLayer:
    """Return the quantizable layer with the same settings, mode and parameters (shared, not copied).

    Args:
        layer: nn.Linear, nn.Conv1d, nn.Conv2d or nn.Embedding, or a subclass that computes as they do.
        name: of the layer in its network, for messages.

    Raises:
        ConfigError: a layer of another kind; one whose forward, parametrization or hooks would be lost; a setting that
            the quantizable layer refuses.
    """
    label = f"{name} ({type(layer).__name__})" if name else type(layer).__name__
    for kind, quantizable, settings in _KINDS:
        if isinstance(layer, kind):
            _check(layer, label)
            return _converted(layer, quantizable, settings, label)
    raise ConfigError(
        f"{label} is no nn.Linear, nn.Conv1d, nn.Conv2d or nn.Embedding and has no quantized form; "
        "leave it float (allow_float)"
    )


def _check(layer: nn.Module, label: str) -> None:
    """Raise a ConfigError where the quantizable layer would not compute what `layer` does."""
    if not is_plain_layer(layer):
        raise ConfigError(
            f"{label} has a forward, parameters or a parametrization of its own, which a quantized layer would lose; "
            "replace it by torch's own layer, or leave it float (allow_float)"
        )
    if hooks_of(layer):
        raise ConfigError(
            f"{label} has hooks, which a quantized layer would lose; register them after quantizing, "
            "or leave it float (allow_float)"
        )


def _converted(layer: nn.Module, kind: type[QuantLayer], settings: tuple[str, ...], label: str) -> QuantLayer:
    options = {name: getattr(layer, name) for name in settings}
    if kind is not QuantEmbedding:
        options["bias"] = layer.bias is not None
    try:
        new = kind(**options, device="meta")
    except ValueError as error:
        raise ConfigError(f"{label}: {error}; leave it float (allow_float)") from error
    new.weight = layer.weight  # type: ignore[assignment]
    new.bias = getattr(layer, "bias", None)
    return new.train(layer.training)
