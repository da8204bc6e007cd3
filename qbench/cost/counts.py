"""What one inference costs: counts of operations and bytes, kept apart from their prices.

Counts follow from a network's layer_shape and formats. Prices are a named, cited table. An energy is a price times a
count: always an *estimate*, of arithmetic and memory traffic alone (no control, no clock, no leakage).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from qbench.cost.energy import Energy
from qbench.cost.prices import HOROWITZ_45NM, Bounds, EnergyTable
from qbench.nn.operations import Operations


@dataclass(frozen=True)
class LayerCost:
    """One layer's counts, for one inference of one example.

    Attributes:
        name: of the layer in its network.
        op: of the QuantOp that computes it.
        weight_format, input_format: names of the number formats.
        weights: how many.
        macs: multiply-accumulates of the layer, whatever the formats.
        operations: of the QuantOp and the normalization after it, on operands packed without gaps.
        weight_bytes: codes at their packed width, each output channel's row padded to whole bytes.
        scale_bytes: scales and zero points, of the weights and of the input.
        other_bytes: bias, and the normalization folded to scale and shift (8 bytes a channel), or to a threshold
            (4 bytes a channel and one bit for its direction) where the next layer's input is binary. An int8 layer
            has neither: its normalization is in the scales and the int32 bias (4 bytes a channel).
        input_bytes, output_bytes: activations at the width they are stored with: the output has the next layer's
            input format; the last one is float32.
    """

    name: str
    op: str
    weight_format: str
    input_format: str
    weights: int
    macs: int
    operations: Operations
    weight_bytes: int
    scale_bytes: int
    other_bytes: int
    input_bytes: int
    output_bytes: int

    @property
    def stored_bytes(self) -> int:
        """Everything the layer needs at inference."""
        return self.weight_bytes + self.scale_bytes + self.other_bytes


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that training holds in float32 tensors.

    Attributes:
        parameters: trainable parameters, latent weights included.
        gradients: one per parameter.
        optimizer: its moments: two per parameter of Adam and AdaMax, none of SGD.
        activations: each layer's input and output, kept for the backward pass, for one example of a batch; a lower
            bound.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int

    def total(self, batch_size: int) -> int:
        """All of it, for batches of `batch_size` examples."""
        return self.parameters + self.gradients + self.optimizer + batch_size * self.activations


@dataclass(frozen=True)
class NetworkCost:
    """A network's counts under one scheme.

    Attributes:
        layers: those that are quantized, or could be, with the BatchNorms between them.
        training: memory of the training.
        uncounted_bytes: parameters of other modules (a LayerNorm, say), in float32: stored, but their operations are
            not counted.
    """

    layers: tuple[LayerCost, ...]
    training: TrainingMemory
    uncounted_bytes: int = 0

    def total(self, field: str) -> int:
        """Sum of one of LayerCost's integer fields over the layers."""
        return sum(getattr(layer, field) for layer in self.layers)

    @property
    def operations(self) -> Operations:
        return sum((layer.operations for layer in self.layers), Operations())

    @property
    def stored_bytes(self) -> int:
        """Bytes of the network at inference: weights, scales, biases, normalization."""
        return self.total("stored_bytes") + self.uncounted_bytes

    @property
    def peak_activation_bytes(self) -> int:
        """The most that one layer's input and output take together."""
        return max(layer.input_bytes + layer.output_bytes for layer in self.layers)

    def energy(self, weight_level: str, activation_level: str, table: EnergyTable = HOROWITZ_45NM) -> Energy:
        """Energy of one inference at batch 1.

        Every weight (and scale, bias, threshold) is read once from `weight_level`; every layer reads its input from
        and writes its output to `activation_level` once. To compare schemes, give all of them the same levels:
        those that the float32 network needs (`qbench.estimate` does).
        """
        return Energy(
            arithmetic=table.arithmetic(self.operations),
            weight_traffic=table.traffic(self.stored_bytes, weight_level),
            activation_traffic=sum(
                (
                    table.traffic(size, activation_level)
                    for layer in self.layers
                    for size in (layer.input_bytes, layer.output_bytes)
                ),
                Bounds(0.0, 0.0),
            ),
            weight_level=weight_level,
            activation_level=activation_level,
            table=table.name,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "layers": [asdict(layer) | {"stored_bytes": layer.stored_bytes} for layer in self.layers],
            "training": asdict(self.training),
            "weights": self.total("weights"),
            "macs": self.total("macs"),
            "weight_bytes": self.total("weight_bytes"),
            "stored_bytes": self.stored_bytes,
            "uncounted_bytes": self.uncounted_bytes,
            "peak_activation_bytes": self.peak_activation_bytes,
            "operations": asdict(self.operations),
        }
