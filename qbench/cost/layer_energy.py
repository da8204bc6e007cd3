"""A network's estimated energy, shared out among its layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qbench.cost.energy import Energy
from qbench.cost.layer_cost import LayerCost
from qbench.cost.network_cost import NetworkCost
from qbench.cost.prices import HOROWITZ_45NM, Bounds, EnergyTable
from qbench.nn.operations import Operations

UNCOUNTED = "other parameters"
"""The name of the row for parameters outside the counted layers."""


def layer_energy(layer: LayerCost, cost: NetworkCost, energy: Energy, table: EnergyTable = HOROWITZ_45NM) -> Energy:
    """Return a layer's part of its network's energy; the parts of all layers and `uncounted_energy` add up to it.

    Arithmetic and activation traffic are the layer's own. A network reads its weights in whole 64-bit accesses, one
    layer's after the other's, so that less than one access in all is padding: each layer has the share of the
    network's weight traffic that it has of the stored bytes.

    Args:
        layer: one of `cost.layers`.
        cost: of the network.
        energy: `cost.energy(...)`, with the levels that traffic is priced at.
        table: the prices that `energy` was computed with.

    Raises:
        ValueError: `energy` is of another table.
    """
    if energy.table != table.name:
        raise ValueError(f"the energy is of the table {energy.table!r}, not of {table.name!r}")
    return replace(
        energy,
        arithmetic=table.arithmetic(layer.operations),
        weight_traffic=energy.weight_traffic * (layer.stored_bytes / cost.stored_bytes),
        activation_traffic=table.traffic(layer.input_bytes, energy.activation_level)
        + table.traffic(layer.output_bytes, energy.activation_level),
    )


def uncounted_energy(cost: NetworkCost, energy: Energy) -> Energy:
    """Return the energy of reading the parameters that belong to no counted layer: weight traffic, nothing else."""
    nothing = Bounds(0.0, 0.0)
    traffic = energy.weight_traffic * (cost.uncounted_bytes / cost.stored_bytes)
    return replace(energy, arithmetic=nothing, weight_traffic=traffic, activation_traffic=nothing)


def layer_rows(cost: NetworkCost, energy: Energy, table: EnergyTable = HOROWITZ_45NM) -> list[dict[str, Any]]:
    """Return what each layer costs as plain values; the energies are [low, high] in µJ, and add up to the network's.

    A network with parameters outside its counted layers has one row more, `UNCOUNTED`, whose `op` is `not counted`.
    """
    rows = [_row(layer, layer_energy(layer, cost, energy, table)) for layer in cost.layers]
    if cost.uncounted_bytes:
        other = LayerCost(
            UNCOUNTED, "not counted", "float32", "float32", cost.uncounted_bytes // 4, 0, Operations(), 0, 0,
            cost.uncounted_bytes, 0, 0,
        )  # fmt: skip
        rows.append(_row(other, uncounted_energy(cost, energy)))
    return rows


def _row(layer: LayerCost, energy: Energy) -> dict[str, Any]:
    """Return a layer's counts, without its operations, and its energy."""
    counts = {key: value for key, value in vars(layer).items() if key != "operations"}
    return counts | {
        "arithmetic_uj": _microjoules(energy.arithmetic),
        "weight_traffic_uj": _microjoules(energy.weight_traffic),
        "activation_traffic_uj": _microjoules(energy.activation_traffic),
    }


def _microjoules(energy: Bounds) -> list[float]:
    return [energy.low * 1e-6, energy.high * 1e-6]
