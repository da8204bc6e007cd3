"""A network's costs under a scheme, from its shapes alone: no training, no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn

from qbench.cost.account import account
from qbench.cost.energy import Energy
from qbench.cost.filter_repetition import NetworkRepetition, network_filters
from qbench.cost.network_cost import NetworkCost, cost_of
from qbench.cost.prices import HOROWITZ_45NM, EnergyTable
from qbench.errors import ConfigError
from qbench.nn.folding import fold_batch_norms
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers, quantizing_only
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme

_FILTER_METRICS = (
    "unique_fraction",
    "unique_fraction_signed",
    "random_fraction",
    "random_fraction_signed",
    "op_reduction",
    "random_op_reduction",
    "op_reduction_with_additions",
)


@dataclass(frozen=True)
class Estimate:
    """A network's costs under a scheme beside its float32 costs, both priced at the same memory levels.

    Attributes:
        cost, energy: under the scheme.
        reference, reference_energy: of the same network in float32.
        filters: the repetition of its 2-D filters, of the weights it has now; None without binary convolutions.
    """

    cost: NetworkCost
    reference: NetworkCost
    energy: Energy
    reference_energy: Energy
    filters: NetworkRepetition | None

    @property
    def weight_compression(self) -> float:
        """float32 bytes over the scheme's bytes, everything stored at inference counted."""
        return self.reference.stored_bytes / self.cost.stored_bytes

    def metrics(self, batch_size: int) -> dict[str, float | int | str | None]:
        """Return the metrics of a result row, by name; `batch_size` is training's."""
        microjoules = self.energy.total * 1e-6
        cost = self.cost
        return {
            "cost/weight_bytes": cost.stored_bytes,
            "cost/weight_compression": self.weight_compression,
            "cost/weights": cost.total("weights"),
            "cost/macs": cost.total("macs"),
            "cost/float_macs": cost.total("float_macs"),
            "cost/quantized_share": cost.quantized_share,
            "cost/account": cost.account,
            "cost/peak_activation_bytes": cost.peak_activation_bytes,
            "cost/training_bytes": cost.training.total(batch_size),
            "cost/optimizer_bytes": cost.training.optimizer,
            "cost/training_activation_bytes": batch_size * cost.training.activations,
            "cost/energy_uj": microjoules.mid,
            "cost/energy_uj_low": microjoules.low,
            "cost/energy_uj_high": microjoules.high,
            "cost/energy_compression": self.reference_energy.total.mid / self.energy.total.mid,
            "cost/weight_level": self.energy.weight_level,
            "cost/activation_level": self.energy.activation_level,
            **{
                f"filters/{key}": None if self.filters is None else getattr(self.filters, key)
                for key in _FILTER_METRICS
            },
        }

    def to_dict(self, batch_size: int) -> dict[str, Any]:
        """Return plain values, for JSON; `batch_size` is training's."""
        return {
            "figures": self.metrics(batch_size),  # the key is part of the file format
            "cost": self.cost.to_dict(),
            "reference": self.reference.to_dict(),
            "energy_pj": asdict(self.energy),
            "reference_energy_pj": asdict(self.reference_energy),
            "filters": None if self.filters is None else self.filters.to_dict(),
        }


def estimate_network(
    network: nn.Module,
    input_shape: tuple[int, ...] | Tensor,
    *,
    weight_level: str | None = None,
    activation_level: str | None = None,
    table: EnergyTable = HOROWITZ_45NM,
    float_network: nn.Module | None = None,
    optimizer_moments: float = 2,
) -> Estimate:
    """Estimate the costs of a quantized network and of the same network in float32.

    Both are priced at the same memory levels, unless named the smallest that hold the *float32* network's weights and
    its peak activations: a smaller format is not also given a cheaper memory.

    Args:
        network: with its quantizers, those of the weights calibrated.
        input_shape: of one example, without the batch; or a batch of examples.
        weight_level, activation_level: the memory levels to price at, in place of the smallest.
        table: the prices.
        float_network: the same network in float32; None: `network` without its quantizers. To be given where BatchNorm
            was folded after training: every scheme is then compared with the same float32 network, and the training
            memory is that network's. Layers of torch's own in it become those of fp32.
        optimizer_moments: how many numbers the training's optimizer keeps for each parameter.

    Raises:
        ConfigError: an unknown memory level.
        UnaccountedError: the network runs other products than its graph shows.
    """
    for level in (weight_level, activation_level):
        if level is not None and level not in table.access:
            raise ConfigError(f"unknown level {level!r}. Known: {', '.join(table.access)}", "memory")
    found = account(network, input_shape)
    cost = cost_of(found)
    if float_network is not None and not quant_layers(float_network):
        float_network = apply_scheme(float_network, get_scheme("fp32"))  # a meter's account sees these layers alone
    reference_found = found if float_network is None else account(float_network, input_shape)
    with quantizing_only(reference_found.network):
        reference = cost_of(reference_found)
    training = cost.training if float_network is None else reference.training
    cost = replace(cost, training=replace(training, optimizer=round(optimizer_moments * training.parameters)))
    weight_level = weight_level or table.smallest_level(reference.stored_bytes)
    activation_level = activation_level or table.smallest_level(reference.peak_activation_bytes)
    return Estimate(
        cost,
        reference,
        cost.energy(weight_level, activation_level, table),
        reference.energy(weight_level, activation_level, table),
        network_filters(network, input_shape),
    )


def estimate(
    model_name: str,
    scheme_name: str | Scheme,
    *,
    model_options: Mapping[str, Any] | None = None,
    weight_level: str | None = None,
    activation_level: str | None = None,
) -> Estimate:
    """Estimate the costs of a named model under a named scheme, at its initial weights.

    Args:
        model_options: of the model's builder.
        weight_level, activation_level: see `estimate_network`.

    Raises:
        ConfigError: an unknown model, scheme, option or memory level.
    """
    chosen = scheme_name if isinstance(scheme_name, Scheme) else get_scheme(scheme_name)
    named = get_model(model_name)
    network = named.make(model_options or {})
    float_network = None
    if chosen.folds_batch_norm:
        float_network = named.make(model_options or {})  # not copied: torch copies no network with old weight_norm
        fold_batch_norms(network, named.input_shape)
    apply_scheme(network, chosen, input_shape=named.input_shape)
    for _, layer in quant_layers(network):
        layer.calibrate_weight()  # the scales are stored, whatever their values
    return estimate_network(
        network,
        named.input_shape,
        weight_level=weight_level,
        activation_level=activation_level,
        float_network=float_network,
        optimizer_moments=chosen.recipe.optimizer_moments,
    )
