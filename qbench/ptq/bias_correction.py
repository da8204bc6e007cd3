"""Bias correction: quantization shifts the mean of a layer's output, and the bias can take the shift back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qbench.data.batches import EVALUATION_BATCH
from qbench.nn.hooks import watching
from qbench.nn.quant_layer import QuantLayer, quant_layers, quantizing_only


@torch.no_grad()
def correct_biases(network: nn.Module, images: Tensor, batch_size: int = EVALUATION_BATCH) -> dict[str, Tensor]:
    """Add `E[y_float] - E[y_quantized]` per output channel to each quantized layer's bias, in place.

    The means are over images and positions. Layers are corrected in the order of execution, and each one after the
    layers before it, so that it also takes back what is left of their shifts. A layer without a bias gets one; an
    embedding, whose output is its table, is left as it is.

    Args:
        network: calibrated by a post-training scheme, in evaluation mode.
        images: [N, ...], those of the calibration.
        batch_size: images in one forward pass.

    Returns: the corrections that were added, float32 [C] by layer name.

    Raises:
        ValueError: no images.

    Source: Nagel et al., Data-free quantization through weight equalization and bias correction (ICCV 2019) section
        4.2, with measured instead of analytic means.
    """
    if len(images) == 0:
        raise ValueError("bias correction needs at least one image")
    layers = {name: layer for name, layer in quant_layers(network) if layer.quantizes_inputs}
    with quantizing_only(network):
        wanted = _mean_outputs(network, layers, images, batch_size)
    corrections = {}
    for name in wanted:
        layer = layers[name]
        if not layer.is_quantized:
            continue
        found = _mean_outputs(network, {name: layer}, images, batch_size)[name]
        corrections[name] = (wanted[name] - found).to(layer.weight)
        before = torch.zeros_like(corrections[name]) if layer.bias is None else layer.bias
        layer.bias = nn.Parameter(before + corrections[name], layer.weight.requires_grad)
    return corrections


def _mean_outputs(
    network: nn.Module, layers: dict[str, QuantLayer], images: Tensor, batch_size: int
) -> dict[str, Tensor]:
    """Return the mean output of each layer's channels, float64 [C], by name in the order of execution."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def record(name: str, output: Tensor) -> None:
        # A linear layer has its channels last, whatever comes before them; a convolution behind the batch.
        axis = -1 if layers[name].weight.dim() == 2 else 1
        rows = output.movedim(axis, 0).flatten(1).double()
        sums[name] = sums.get(name, 0) + rows.sum(1)
        counts[name] = counts.get(name, 0) + rows.shape[1]

    with watching(layers, outputs=record):
        for batch in images.split(batch_size):
            network(batch)
    return {name: total / counts[name] for name, total in sums.items()}
