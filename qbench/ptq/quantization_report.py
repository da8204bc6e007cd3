"""The report on a network's quantization: ranges, clipping, noise and cost in accuracy of each layer."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.data.splits import Examples
from qbench.io import finite
from qbench.nn.hooks import watching
from qbench.nn.quant_layer import QuantLayer, quant_layers, quantizing_only
from qbench.training.accuracy import accuracy
from quantizers import Quantized, Quantizer

IMAGES = 1000
"""The number of images that a report is made from, at most."""
_BATCH = 100  # fewer than in evaluation: there are float64 copies of every layer's input


@dataclass(frozen=True)
class TensorReport:
    """One quantized tensor: a layer's weights or inputs.

    Attributes:
        format: name of the number format.
        low, high: the smallest and the largest value, over all channels.
        scale_low, scale_high: the smallest and the largest scale of a channel or group; equal for a scale per tensor.
        clipped: share of values beyond low..high of their channel or group.
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
    """One layer.

    Attributes:
        name: of the layer.
        weights: None where they stay float32.
        inputs: as the layer receives them in the float32 network, so that the noise is the layer's own and not that of
            the layers before it; None where they stay float32.
        sensitivity: accuracy with this layer quantized and all others in float32.
    """

    name: str
    weights: TensorReport | None
    inputs: TensorReport | None
    sensitivity: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: an infinite SQNR is None."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain


@dataclass(frozen=True)
class QuantizationReport:
    """What quantization does to a network.

    Attributes:
        layers: in the network's order.
        float_accuracy, accuracy: with no layer and with every layer quantized.
        images: the number of images that these and the sensitivities were measured on.
    """

    layers: tuple[LayerReport, ...]
    float_accuracy: float
    accuracy: float
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**asdict(self), "layers": [layer.to_dict() for layer in self.layers]}


@torch.no_grad()
def report_quantization(network: nn.Module, images: Tensor, labels: Tensor) -> QuantizationReport:
    """Report on a calibrated or trained network, in evaluation mode, over the first `IMAGES` images.

    Args:
        network: its layers have their quantizers; they are taken off and put back.
        images, labels: of validation: test images are kept for the final accuracy.

    Raises:
        ValueError: no images.
    """
    examples = Examples(images[:IMAGES], labels[:IMAGES])
    if len(examples) == 0:
        raise ValueError("a report needs at least one image")
    layers = quant_layers(network)
    quantizers = {name: layer.input_quantizer for name, layer in layers if layer.input_quantizer is not None}
    with quantizing_only(network):
        inputs = _input_reports(network, quantizers, examples.images)
        float_accuracy = accuracy(network, examples)
    found = []
    for name, layer in layers:
        with quantizing_only(network, name):
            sensitivity = accuracy(network, examples)
        found.append(LayerReport(name, _weight_report(layer), inputs.get(name), sensitivity))
    return QuantizationReport(tuple(found), float_accuracy, accuracy(network, examples), len(examples))


class _Tally:
    """The sums over batches that a `TensorReport` is made from."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0
        self.clipped = self.count = 0
        self.last: Quantized | None = None

    def add(self, x: Tensor, quantized: Quantized) -> None:
        """Take in a batch and its quantized form."""
        low, high = _ends(quantized)
        self.clipped += int(((x < low) | (x > high)).sum())
        self.count += x.numel()
        x = x.double()
        self.signal += float(x.square().sum())
        self.noise += float((x - quantized.dequantize().double()).square().sum())
        self.last = quantized

    def report(self) -> TensorReport:
        """Return the report on all batches so far."""
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
    """Return the smallest and the largest value of each channel or group; they broadcast against the codes."""
    zero_point = 0 if quantized.zero_point is None else quantized.per_code(quantized.zero_point)
    (low, high), scale = quantized.format.extremes, quantized.per_code(quantized.scale)
    return (low - zero_point) * scale, (high - zero_point) * scale


def _weight_report(layer: QuantLayer) -> TensorReport | None:
    """Return the report on a layer's weights, None where evaluation uses them in float32."""
    if layer.weight_quantizer is None or layer.latent_evaluation:
        return None
    tally = _Tally()
    tally.add(layer.weight, layer.quantized_weight())
    return tally.report()


def _input_reports(network: nn.Module, quantizers: dict[str, Quantizer], images: Tensor) -> dict[str, TensorReport]:
    """Return the reports on what the layers that `quantizers` names receive, by layer name."""
    tallies = {name: _Tally() for name in quantizers}

    def record(name: str, x: Tensor) -> None:
        tallies[name].add(x, quantizers[name].quantize(x))

    layers = {name: layer for name, layer in quant_layers(network) if name in quantizers}
    with watching(layers, inputs=record):
        for batch in images.split(_BATCH):
            network(batch)
    return {name: tally.report() for name, tally in tallies.items()}
