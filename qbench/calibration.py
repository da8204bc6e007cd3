"""Post-training calibration: what activations look like on training images, and the ranges that follow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qbench.layers import quant_layers
from quantizers import Uniform


def calibrate_weights(network: nn.Module) -> None:
    """Give every weight quantizer that waits for statistics those of its own weight."""
    for _, layer in quant_layers(network):
        quantizer = layer.weight_quantizer
        if isinstance(quantizer, Uniform) and not quantizer.is_ready:
            quantizer.observe(layer.weight)
            quantizer.freeze()


def calibrate(network: nn.Module, images: Tensor, batch_size: int = 1000) -> None:
    """Calibrate every quantizer that waits: inputs on `images`, through the float network, then weights.

    Args:
        network: quantized by a post-training scheme.
        images: [N, ...]; their order does not matter.
        batch_size: images in one forward pass.

    Raises:
        ValueError: no images, or NaN or infinity in an activation, naming the layer.
    """
    observe(network, images, batch_size)
    freeze(network)


@torch.no_grad()
def observe(network: nn.Module, images: Tensor, batch_size: int = 1000) -> None:
    """Collect the statistics of every input quantizer that waits for them."""
    if len(images) == 0:
        raise ValueError("calibration needs at least one image")
    waiting = input_quantizers(network)
    for quantizer in waiting.values():
        quantizer.start_observing()
    training = network.training
    network.eval()
    for batch in images.split(batch_size):
        network(batch)
    network.train(training)


def freeze(network: nn.Module) -> None:
    """Turn the statistics into ranges, and quantize from now on."""
    for quantizer in input_quantizers(network).values():
        quantizer.freeze()
    calibrate_weights(network)


def input_quantizers(network: nn.Module) -> dict[str, Uniform]:
    """The input quantizers that wait for calibration, by layer name."""
    return {
        name: layer.input_quantizer
        for name, layer in quant_layers(network)
        if isinstance(layer.input_quantizer, Uniform) and not layer.input_quantizer.is_ready
    }


def observer_settings(network: nn.Module) -> dict[str, Any]:
    """What the waiting observers record, by layer name, as plain values; equal settings can share statistics."""
    return {
        name: [type(quantizer.observer).__qualname__]
        + [[key, tensor.tolist()] for key, tensor in sorted(quantizer.observer.to_tensors().items())]
        for name, quantizer in input_quantizers(network).items()
    }


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """What `observe` collected, as tensors, to be stored and shared by every rule."""
    return {
        f"{name}/{key}": tensor
        for name, quantizer in input_quantizers(network).items()
        for key, tensor in quantizer.observer.to_tensors().items()
    }


def load_statistics(network: nn.Module, stored: dict[str, Tensor]) -> None:
    """Put stored statistics in the place of an `observe` pass."""
    for name, quantizer in input_quantizers(network).items():
        own = {key.removeprefix(f"{name}/"): tensor for key, tensor in stored.items() if key.startswith(f"{name}/")}
        quantizer.observer = type(quantizer.observer).from_tensors(own)
