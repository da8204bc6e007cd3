"""What a whole network costs: counts of operations and bytes, kept apart from their prices.

Counts follow from the layers' shapes and formats. Prices are a named, cited table. An energy is a price times a count:
always an *estimate*, of arithmetic and memory traffic alone (no control, no clock, no leakage).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from qbench.cost.energy import Energy
from qbench.cost.layer_cost import LayerCost, layer_cost
from qbench.cost.prices import HOROWITZ_45NM, Bounds, EnergyTable
from qbench.cost.training_memory import TrainingMemory
from qbench.nn.operations import Operations
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.trace import trace
from quantizers import Quantizer


@dataclass(frozen=True)
class NetworkCost:
    """A network's counts under one scheme, for one inference of one example.

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
        """Return the sum of one of LayerCost's integer fields over the layers."""
        return sum(getattr(layer, field) for layer in self.layers)

    @property
    def operations(self) -> Operations:
        """Operations of all layers."""
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
        """Estimate the energy of one inference at batch 1.

        Every weight (and scale, bias, threshold) is read once from `weight_level`; every layer reads its input from
        and writes its output to `activation_level` once. To compare schemes, give all of them the same levels:
        those that the float32 network needs (`estimate_network` does).
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
        """Return plain values, for JSON."""
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


def network_cost(network: nn.Module, input_shape: tuple[int, ...]) -> NetworkCost:
    """Count what a network costs.

    Args:
        network: its layers have their quantizers (see `apply_scheme`); those of the weights are calibrated.
        input_shape: of one example, without the batch.
    """
    layers = trace(network, input_shape)
    chain = zip(layers, [None, *layers[:-1]], [*layers[1:], None], strict=True)
    parameters = 4 * sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    kept = 4 * sum(traced.layer_shape.inputs + traced.layer_shape.outputs for traced in layers)
    counted = [module for module in network.modules() if isinstance(module, QuantLayer | _BatchNorm | Quantizer)]
    known = {parameter for module in counted for parameter in module.parameters()}
    return NetworkCost(
        layers=tuple(layer_cost(*place) for place in chain),
        training=TrainingMemory(parameters, parameters, 2 * parameters, kept),
        uncounted_bytes=4 * sum(parameter.numel() for parameter in network.parameters() if parameter not in known),
    )
