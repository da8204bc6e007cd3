"""torch's fused transformer layers, which read the weights of layers without calling them."""

from __future__ import annotations

from typing import Any

from torch import nn

from qbench.nn.quant_layer import QuantLayer


def switch_off_fast_paths(network: nn.Module) -> None:
    """Let transformer encoders that hold a quantized layer call their layers in evaluation, too.

    `nn.TransformerEncoderLayer` has a fused form for evaluation without gradients. It multiplies by the float weights
    of its layers, and not by quantized ones; its result is the same up to rounding where nothing is quantized.
    """
    for module in network.modules():
        if not isinstance(module, nn.TransformerEncoderLayer | nn.TransformerEncoder) or not _holds_quantized(module):
            continue
        # The attributes by which torch itself marks a layer that has no fused form.
        fused: Any = module
        if isinstance(module, nn.TransformerEncoderLayer):
            fused.activation_relu_or_gelu = 0
        else:
            fused.enable_nested_tensor = fused.use_nested_tensor = False


def _holds_quantized(module: nn.Module) -> bool:
    return any(layer.is_quantized for layer in module.modules() if isinstance(layer, QuantLayer))
