"""Post-training calibration: what activations look like on training images, and the ranges that follow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qbench.data.splits import Examples, Splits
from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.seeds import derive
from quantizers import LSQ, OutlierReport, Uniform, analyse_outliers, clip_outliers

CALIBRATION_BATCH = 32  # what a batch is to the mean_extremes rule; no other rule sees it


def calibration_images(splits: Splits, count: int, seed: int) -> Examples:
    """`count` training images drawn without replacement by `seed`.

    Raises:
        ConfigError: more images than there are.
    """
    if count > len(splits.train):
        raise ConfigError(f"{count} images of {len(splits.train)} training images", "calibration_images")
    order = torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(derive(seed, "calibration")))
    return splits.train[order[:count]]


def calibrate_weights(network: nn.Module, outlier_sigmas: float | None = None) -> None:
    """Give every weight quantizer that waits for statistics those of its own weight.

    Args:
        outlier_sigmas: ranges come from the weights clipped at that many robust standard deviations (see
            `outlier_reports`); the weights themselves stay, and saturate. None clips nothing.
    """
    reports = {} if outlier_sigmas is None else outlier_reports(network, outlier_sigmas)
    for name, layer in quant_layers(network):
        quantizer = layer.weight_quantizer
        if isinstance(quantizer, Uniform | LSQ) and not quantizer.is_ready:
            weight = layer.weight.detach()
            quantizer.observe(clip_outliers(weight, reports[name]) if name in reports else weight)
            quantizer.freeze()


def outlier_reports(network: nn.Module, sigmas: float) -> dict[str, OutlierReport]:
    """What `analyse_outliers` finds in each layer's weights, by layer name.

    Channels that never fire are looked for where a ReLU network's layer has a bias (BatchNorm folded) and its input's
    range is known; the last layer has no ReLU.
    """
    relu = any(isinstance(module, Activation) and module.function == "relu" for module in network.modules())
    found = {}
    for name, layer in quant_layers(network):
        weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
        hidden = relu and bias is not None and layer.position < layer.layer_count - 1
        found[name] = analyse_outliers(weight, bias, _input_range(layer) if hidden else None, sigmas)
    return found


def _input_range(layer: QuantLayer) -> tuple[float, float] | None:
    quantizer = layer.input_quantizer
    if not isinstance(quantizer, Uniform) or not quantizer.is_ready:
        return None
    covered = quantizer.covered()
    # A symmetric format covers values below zero that a ReLU never sends.
    return 0.0 if layer.position > 0 else float(covered.low), float(covered.high)


def calibrate(
    network: nn.Module, images: Tensor, batch_size: int = CALIBRATION_BATCH, outlier_sigmas: float | None = None
) -> None:
    """Calibrate every quantizer that waits: inputs on `images`, through the float network, then weights.

    Args:
        network: quantized by a post-training scheme.
        images: [N, ...]; their order does not matter.
        batch_size: images in one forward pass, at most; batches are as equal as they can be, for the mean_extremes
            rule, the only one that knows batches.
        outlier_sigmas: see `calibrate_weights`.

    Raises:
        ValueError: no images, or NaN or infinity in an activation, naming the layer.
    """
    observe(network, images, batch_size)
    freeze(network, outlier_sigmas)
    round_biases(network)


@torch.no_grad()
def observe(network: nn.Module, images: Tensor, batch_size: int = CALIBRATION_BATCH) -> None:
    """Collect the statistics of every input quantizer that waits for them."""
    if len(images) == 0:
        raise ValueError("calibration needs at least one image")
    waiting = input_quantizers(network)
    for quantizer in waiting.values():
        quantizer.start_observing()
    training = network.training
    network.eval()
    for batch in images.tensor_split(-(-len(images) // batch_size)):
        network(batch)
    network.train(training)


def freeze(network: nn.Module, outlier_sigmas: float | None = None) -> None:
    """Turn the statistics into ranges, and quantize from now on."""
    for quantizer in input_quantizers(network).values():
        quantizer.freeze()
    calibrate_weights(network, outlier_sigmas)


@torch.no_grad()
def round_biases(network: nn.Module) -> None:
    """Round the biases of integer layers to what an int32 accumulator holds: `b = S_x·S_w · round(b / (S_x·S_w))`.

    Evaluation then adds the bias that integer execution adds. (Where |b| is beyond 2^30 units, which happens to
    channels whose weights have vanished, float32 has no such digits to round.)

    Source: Jacob et al. (CVPR 2018) section 2.4.
    """
    for _, layer in quant_layers(network):
        weight, source = layer.weight_quantizer, layer.input_quantizer
        if layer.bias is None or not isinstance(weight, Uniform) or not isinstance(source, Uniform):
            continue
        if weight.is_ready and source.is_ready and source.scale.numel() == 1:
            unit = weight.scale.double() * source.scale.double()
            layer.bias.copy_(torch.round(layer.bias.double() / unit) * unit)


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
