"""What one inference costs: counts of operations and bytes, kept apart from their prices.

Counts follow from a network's geometry and formats. Prices are a named, cited table. An energy is a price times a
count: always an *estimate*, of arithmetic and memory traffic alone (no control, no clock, no leakage).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

MEMORY_LEVELS = ("8 KB", "32 KB", "1 MB", "DRAM")


@dataclass(frozen=True)
class Operations:
    """Counts of arithmetic operations, by kind.

    Attributes:
        fp32_mul, fp32_add: 32-bit floating-point multiplications and additions.
        int8_mul, int32_mul: 8-bit and 32-bit integer multiplications.
        int32_add: 32-bit integer additions, comparisons and accumulations.
        xnor_popcount_word: XNOR (or AND), popcount and accumulation of one 32-bit word of binary values.
    """

    fp32_mul: int = 0
    fp32_add: int = 0
    int8_mul: int = 0
    int32_mul: int = 0
    int32_add: int = 0
    xnor_popcount_word: int = 0

    def __add__(self, other: Operations) -> Operations:
        return Operations(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def total(self) -> int:
        """All operations; an XNOR-popcount word counts as one."""
        return sum(asdict(self).values())


@dataclass(frozen=True)
class Interval:
    """A low and a high estimate of one quantity; `mid` is their mean."""

    low: float
    high: float

    @property
    def mid(self) -> float:
        return (self.low + self.high) / 2

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __mul__(self, count: float) -> Interval:
        return Interval(self.low * count, self.high * count)


@dataclass(frozen=True)
class EnergyTable:
    """Prices in picojoules.

    Attributes:
        name, source: what it is and where it was read.
        operations: the price of each kind of `Operations`.
        access: the price of one 64-bit access, by memory level.
        capacity: bytes that a memory level holds; None for DRAM (no bound).
    """

    name: str
    source: str
    operations: dict[str, Interval]
    access: dict[str, Interval]
    capacity: dict[str, int | None]

    def smallest_level(self, size: int) -> str:
        """The smallest memory level that holds `size` bytes."""
        for level in MEMORY_LEVELS:
            capacity = self.capacity[level]
            if capacity is None or size <= capacity:
                return level
        raise AssertionError("the last level holds everything")

    def arithmetic(self, operations: Operations) -> Interval:
        """Energy of `operations`, pJ."""
        total = Interval(0.0, 0.0)
        for kind, count in asdict(operations).items():
            total += self.operations[kind] * count
        return total

    def traffic(self, size: int, level: str) -> Interval:
        """Energy of moving `size` bytes to or from `level` in 64-bit accesses, pJ."""
        return self.access[level] * -(-size // 8)


# Horowitz has no price for a binary operation. An XNOR of 32 bits is 32 gates, far below the other terms; the popcount
# of 32 bits is a tree of 31 full adders, about one 32-bit addition; its accumulation is another. Low: those two
# additions. High: the 1 + 4 + 1 clocks of xnor, popcount and accumulate in BinaryNet section 4, at a 32-bit addition
# each. This is the project's own estimate, not a figure of the table.
_INT32_ADD = 0.1
HOROWITZ_45NM = EnergyTable(
    name="Horowitz 45 nm",
    source="M. Horowitz, Computing's energy problem, ISSCC 2014; XNOR-popcount price: this project's estimate",
    operations={
        "fp32_mul": Interval(3.7, 3.7),
        "fp32_add": Interval(0.9, 0.9),
        "int8_mul": Interval(0.2, 0.2),
        "int32_mul": Interval(3.1, 3.1),
        "int32_add": Interval(_INT32_ADD, _INT32_ADD),
        "xnor_popcount_word": Interval(2 * _INT32_ADD, 6 * _INT32_ADD),
    },
    access={
        "8 KB": Interval(10, 10),
        "32 KB": Interval(20, 20),
        "1 MB": Interval(100, 100),
        "DRAM": Interval(1300, 2600),
    },
    capacity={"8 KB": 8 * 1024, "32 KB": 32 * 1024, "1 MB": 1024 * 1024, "DRAM": None},
)


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
class Energy:
    """Estimated energy of one inference, in picojoules, and the conventions it was computed under."""

    arithmetic: Interval
    weight_traffic: Interval
    activation_traffic: Interval
    weight_level: str
    activation_level: str
    table: str

    @property
    def total(self) -> Interval:
        return self.arithmetic + self.weight_traffic + self.activation_traffic


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
                Interval(0.0, 0.0),
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
