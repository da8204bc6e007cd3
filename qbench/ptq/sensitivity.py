"""What quantization does to each layer of a network: ranges, clipping, noise, and what it costs in accuracy."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.nn.quant_layer import QuantLayer, quant_layers, quantizing_only
from quantizers import Quantized, Quantizer

IMAGES = 1000
"""Images that a report looks at, at most."""
_BATCH = 100


@dataclass(frozen=True)
class TensorReport:
    """One quantized tensor.

    Attributes:
        format: name of the number format.
        low, high: the values of the lowest and the highest code; of the widest channel.
        scale_low, scale_high: the smallest and the largest scale of a channel; equal for a scale per tensor.
        clipped: share of values beyond low..high of their channel.
        sqnr_db: `10·log10(Σ x² / Σ (x - x̂)²)`; infinite where nothing was lost.
    """

    format: str
    low: float
    high: float
    scale_low: float
    scale_high: float
    clipped: float
    sqnr_db: float


@dataclass(frozen=True)
class LayerReport:
    """One layer; None for what stays float32.

    Attributes:
        inputs: as the layer receives them in the float32 network (each layer's own noise, not that of those before).
        sensitivity: accuracy with this layer quantized and all others in float32.
    """

    name: str
    weights: TensorReport | None
    inputs: TensorReport | None
    sensitivity: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: an infinite SQNR is None."""
        return {key: _plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class NetworkReport:
    """The layers of a network, in their order.

    Attributes:
        float_accuracy, accuracy: with no and with every layer quantized.
        images: how many these and the sensitivities were measured on.
    """

    layers: tuple[LayerReport, ...]
    float_accuracy: float
    accuracy: float
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "layers": [layer.to_dict() for layer in self.layers]}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@torch.no_grad()
def report_layers(network: nn.Module, images: Tensor, labels: Tensor) -> NetworkReport:
    """The report of a calibrated or trained network, in evaluation mode, over the first 1000 images.

    Args:
        images, labels: of validation: test images are kept for the final figure.

    Raises:
        ValueError: no images.
    """
    images, labels = images[:IMAGES], labels[:IMAGES]
    if len(images) == 0:
        raise ValueError("a report needs at least one image")
    layers = quant_layers(network)
    quantizers = {name: layer.input_quantizer for name, layer in layers if layer.input_quantizer is not None}
    with quantizing_only(network):
        inputs = _input_reports(network, quantizers, images)
        float_accuracy = _accuracy(network, images, labels)
    found = []
    for name, layer in layers:
        with quantizing_only(network, name):
            sensitivity = _accuracy(network, images, labels)
        found.append(LayerReport(name, _weight_report(layer), inputs.get(name), sensitivity))
    return NetworkReport(tuple(found), float_accuracy, _accuracy(network, images, labels), len(images))


class _Tally:
    """Sums over batches."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0
        self.clipped = self.count = 0
        self.last: Quantized | None = None

    def add(self, x: Tensor, quantized: Quantized) -> None:
        low, high = _ends(quantized)
        self.clipped += int(((x < low) | (x > high)).sum())
        self.count += x.numel()
        x = x.double()
        self.signal += float(x.square().sum())
        self.noise += float((x - quantized.dequantize().double()).square().sum())
        self.last = quantized

    def report(self) -> TensorReport:
        assert self.last is not None
        low, high = _ends(self.last)
        sqnr = math.inf
        if self.noise > 0:
            sqnr = 10 * math.log10(self.signal / self.noise) if self.signal > 0 else -math.inf
        scale = self.last.scale
        return TensorReport(
            self.last.format.name,
            float(low.min()),
            float(high.max()),
            float(scale.min()),
            float(scale.max()),
            self.clipped / self.count,
            sqnr,
        )


def _ends(quantized: Quantized) -> tuple[Tensor, Tensor]:
    zero_point = 0 if quantized.zero_point is None else quantized.zero_point
    format, scale = quantized.format, quantized.scale
    return (format.minimum - zero_point) * scale, (format.maximum - zero_point) * scale


def _weight_report(layer: QuantLayer) -> TensorReport | None:
    if layer.weight_quantizer is None or layer.latent_evaluation:
        return None
    tally = _Tally()
    tally.add(layer.weight, layer.quantized_weight())
    return tally.report()


def _input_reports(network: nn.Module, quantizers: dict[str, Quantizer], images: Tensor) -> dict[str, TensorReport]:
    tallies = {name: _Tally() for name in quantizers}

    def record(name: str, x: Tensor) -> None:
        tallies[name].add(x, quantizers[name].quantize(x))

    handles = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: record(name, inputs[0]))
        for name, layer in quant_layers(network)
        if name in quantizers
    ]
    try:
        for batch in images.split(_BATCH):
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: tally.report() for name, tally in tallies.items()}


def _accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    correct = sum(
        int((network(batch).argmax(1) == truth).sum())
        for batch, truth in zip(images.split(_BATCH), labels.split(_BATCH), strict=True)
    )
    return correct / len(images)
