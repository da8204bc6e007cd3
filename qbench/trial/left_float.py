"""Layers that a network leaves float32 where its scheme names a quantizer."""

from __future__ import annotations

import logging

from torch import nn

from qbench.nn.quant_layer import quant_layers
from qbench.schemes.quantization import Role
from qbench.schemes.scheme import Scheme
from quantizers import FLOAT32

_log = logging.getLogger(__name__)


def warn_of_float_layers(scheme: Scheme, network: nn.Module) -> None:
    """Warn where the tested network is less quantized than the scheme that its row is named after.

    A module of somebody's own may do so (`QuantModule.weight_quantizer`, a `quantize` of its own): costs are counted of
    what is there, but the row has the scheme's name. What `evaluation_weights` and `allow_float` leave float is meant.
    """
    found = left_float(scheme, network)
    if found:
        _log.warning(
            "%s names quantizers, and the tested network has none for %s: its row is not that of the scheme (see "
            "quantized_share)",
            scheme.name,
            ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else ""),
        )


def left_float(scheme: Scheme, network: nn.Module) -> list[str]:
    """Return what stays float32 against the scheme, as `fc1 (weights)`; `every layer` where none is quantizable."""
    quantization = scheme.quantization
    layers = quant_layers(network)
    if not layers:
        return ["every layer"] if quantization.quantizes and not quantization.allows_float("") else []
    found = []
    for name, layer in layers:
        if not layer.name or quantization.allows_float(layer.name):  # never called, or meant to stay float
            continue
        roles: list[tuple[Role, bool]] = [
            ("weights", layer.weight_format == FLOAT32 and quantization.evaluation_weights == "quantized"),
            ("activations", layer.input_quantizer is None and layer.quantizes_inputs),
        ]
        for role, is_float in roles:
            chosen = quantization.choose(role, layer.name, layer.position, layer.layer_count)
            if is_float and chosen.spec is not None:
                found.append(f"{name} ({role})")
    return found
