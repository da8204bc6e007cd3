"""What a whole network costs: counts of operations and bytes, kept apart from their prices.

Counts follow from the layers' shapes and formats. Prices are a named, cited table. An energy is a price times a count:
always an *estimate*, of arithmetic and memory traffic alone (no control, no clock, no leakage).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor, nn

from qbench.cost.account import Account, account
from qbench.cost.energy import Energy
from qbench.cost.layer_cost import LayerCost
from qbench.cost.prices import HOROWITZ_45NM, Bounds, EnergyTable
from qbench.cost.training_memory import TrainingMemory
from qbench.nn.operations import Operations


@dataclass(frozen=True)
class NetworkCost:
    """A network's counts under one scheme, for one inference of one example.

    Attributes:
        layers: the rows: layers that are quantized, or could be, with the BatchNorms right behind them; and what else
            multiplies or adds (see `LayerCost`).
        training: memory of the training.
        uncounted_bytes: parameters of other modules (a PReLU's slope, say; a quantizer's that serves no layer): stored,
            but their operations are not counted.
        account: what the counts are read from: the graph of the network's operations, held against a meter of its
            products; or, where no graph can be read, the meter and the calls of layers on one example.
    """

    layers: tuple[LayerCost, ...]
    training: TrainingMemory
    uncounted_bytes: int = 0
    account: Literal["graph", "meter"] = "graph"

    def total(self, field: str) -> int:
        """Return the sum of one of LayerCost's integer fields over the layers."""
        return sum(getattr(layer, field) for layer in self.layers)

    @property
    def operations(self) -> Operations:
        """Operations of all layers."""
        return sum((layer.operations for layer in self.layers), Operations())

    @property
    def quantized_share(self) -> float | None:
        """The share of the MACs of which an operand is not float32; None where there are none."""
        macs = self.total("macs")
        return 1 - self.total("float_macs") / macs if macs else None

    @property
    def stored_bytes(self) -> int:
        """Bytes of the network at inference: weights, scales, biases, normalization."""
        return self.total("stored_bytes") + self.uncounted_bytes

    @property
    def peak_activation_bytes(self) -> int:
        """The most that the input and output of one layer's call take together."""
        return max((layer.peak_bytes for layer in self.layers), default=0)

    def energy(self, weight_level: str, activation_level: str, table: EnergyTable = HOROWITZ_45NM) -> Energy:
        """Estimate the energy of one inference at batch 1.

        Every weight (and scale, bias, threshold) is read once from `weight_level`; every layer reads its input from
        and writes its output to `activation_level` once a call. To compare schemes, give all of them the same levels:
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
            "account": self.account,
            "layers": [
                asdict(layer) | {"stored_bytes": layer.stored_bytes, "float_macs": layer.float_macs}
                for layer in self.layers
            ],
            "training": asdict(self.training),
            "weights": self.total("weights"),
            "macs": self.total("macs"),
            "float_macs": self.total("float_macs"),
            "quantized_share": self.quantized_share,
            "weight_bytes": self.total("weight_bytes"),
            "stored_bytes": self.stored_bytes,
            "uncounted_bytes": self.uncounted_bytes,
            "peak_activation_bytes": self.peak_activation_bytes,
            "operations": asdict(self.operations),
        }


def network_cost(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> NetworkCost:
    """Count what a network costs.

    Args:
        network: its layers have their quantizers (see `apply_scheme`); those of the weights are calibrated.
        input_shape: of one example, without the batch; or a batch of examples.

    Raises:
        UnaccountedError: the network runs other products than its graph shows; the message names them.
    """
    return cost_of(account(network, input_shape))


def cost_of(found: Account) -> NetworkCost:
    """Count what a network costs whose operations are known already."""
    rows = found.rows()
    trained = [parameter for parameter in found.network.parameters() if parameter.requires_grad]
    parameters = sum(parameter.numel() * parameter.element_size() for parameter in trained)
    return NetworkCost(
        layers=rows.layers,
        training=TrainingMemory(parameters, parameters, 2 * parameters, 4 * rows.kept_values),
        uncounted_bytes=rows.uncounted_bytes,
        account=found.source,
    )
