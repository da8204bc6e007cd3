"""The energy of layers, by hand, and their sum against the network's."""

from __future__ import annotations

import pytest
from torch import nn

from qbench.cost.estimate import Estimate, estimate, estimate_network
from qbench.cost.layer_energy import UNCOUNTED, layer_energy, layer_rows, uncounted_energy
from qbench.cost.prices import Bounds
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import SCHEMES, get_scheme


def by_hand(scheme: str, *more: nn.Module) -> Estimate:
    """20 -> 3 scores on the level of 8 KB: 10 pJ an access of 8 bytes."""
    network = apply_scheme(nn.Sequential(nn.Linear(20, 3, bias=False), *more), get_scheme(scheme))
    return estimate_network(network, (20,), weight_level="8 KB", activation_level="8 KB")


def test_one_layer_by_hand() -> None:
    (row,) = layer_rows((found := by_hand("fp32")).cost, found.energy)
    # 60 multiplications at 3.7 pJ and additions at 0.9; 240 bytes of weights; 80 bytes in, 12 bytes (2 accesses) out.
    assert row["arithmetic_uj"] == pytest.approx([60 * 4.6e-6] * 2)
    assert row["weight_traffic_uj"] == pytest.approx([30 * 10e-6] * 2)
    assert row["activation_traffic_uj"] == pytest.approx([12 * 10e-6] * 2)
    assert (row["name"], row["op"], row["macs"], row["weight_bytes"], row["other_bytes"]) == ("0", "float", 60, 240, 0)
    assert "operations" not in row


def test_parameters_outside_the_layers_have_a_row_of_their_own() -> None:
    found = by_hand("fp32", nn.PReLU(3))
    layer, other = layer_rows(found.cost, found.energy)
    assert (other["name"], other["op"], other["other_bytes"]) == (UNCOUNTED, "not counted", 12)
    # 252 bytes are 32 accesses, of which 12 bytes are 12/252.
    assert layer["weight_traffic_uj"] == pytest.approx([32 * 10e-6 * 240 / 252] * 2)
    assert other["weight_traffic_uj"] == pytest.approx([32 * 10e-6 * 12 / 252] * 2)
    assert other["arithmetic_uj"] == other["activation_traffic_uj"] == [0.0, 0.0]


@pytest.mark.parametrize("model", ["digits-convnet", "digits-mlp"])
@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_layers_add_up_to_the_network(model: str, scheme: str) -> None:
    found = estimate(model, scheme)
    parts = [layer_energy(layer, found.cost, found.energy) for layer in found.cost.layers]
    parts.append(uncounted_energy(found.cost, found.energy))
    for field in ("arithmetic", "weight_traffic", "activation_traffic", "total"):
        total = sum((getattr(part, field) for part in parts), Bounds(0.0, 0.0))
        expected = getattr(found.energy, field)
        assert (total.low, total.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    metrics = found.metrics(64)
    rows = layer_rows(found.cost, found.energy)
    kinds = ("arithmetic_uj", "weight_traffic_uj", "activation_traffic_uj")
    for end, key in enumerate(("cost/energy_uj_low", "cost/energy_uj_high")):
        assert sum(row[kind][end] for row in rows for kind in kinds) == pytest.approx(metrics[key], rel=1e-12)
    stored = sum(row["weight_bytes"] + row["scale_bytes"] + row["other_bytes"] for row in rows)
    assert stored == metrics["cost/weight_bytes"]


def test_energy_of_another_table_is_refused() -> None:
    from dataclasses import replace

    from qbench.cost.prices import HOROWITZ_45NM

    found = by_hand("fp32")
    with pytest.raises(ValueError, match="the energy is of the table 'Horowitz 45 nm', not of 'mine'"):
        layer_rows(found.cost, found.energy, replace(HOROWITZ_45NM, name="mine"))
