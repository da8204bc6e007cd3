"""The views of memory and energy: their parts are those of the layers, and add up to the network's."""

from dataclasses import replace

import pytest
from planted import record, studies_of, study

from qbench.report.model.report_model import make_report
from qbench.report.views.energy import energy_by_cause, energy_by_layer
from qbench.report.views.memory import memory
from qbench.trial.details import TrialDetails

# Two layers: bytes of weights, scales, the rest; energy of arithmetic, weight traffic, activation traffic.
LAYERS = [
    {
        "name": "conv1", "op": "xnor", "weight_format": "binary", "input_format": "float32", "weight_bytes": 600,
        "scale_bytes": 40, "other_bytes": 10, "arithmetic_uj": [1.0, 3.0], "weight_traffic_uj": [0.5, 0.5],
        "activation_traffic_uj": [0.5, 0.5],
    },
    {
        "name": "fc1", "op": "float", "weight_format": "float32", "input_format": "float32", "weight_bytes": 300,
        "scale_bytes": 0, "other_bytes": 30, "arithmetic_uj": [2.0, 4.0], "weight_traffic_uj": [0.25, 0.25],
        "activation_traffic_uj": [0.75, 0.75],
    },
]  # fmt: skip


def model(total_bytes=980, low=5.0, high=9.0, details=None):
    costs = {"cost/weight_bytes": total_bytes, "cost/energy_uj_low": low, "cost/energy_uj_high": high}
    made = record("binarynet", 0, metrics=costs)
    (plain,) = studies_of([made])
    return make_report([replace(plain, details={made.trial_id: details or TrialDetails(layers=LAYERS)})])


def test_memory_adds_up():
    (row,) = memory(model()).records()
    assert (row["memory/weights"], row["memory/scales"], row["memory/other"]) == (900, 40, 40)
    assert row["cost/weight_bytes"] == 980


def test_parameters_outside_the_layers_belong_to_the_rest():
    (row,) = memory(model(total_bytes=1000)).records()
    assert (row["memory/weights"], row["memory/scales"], row["memory/other"]) == (900, 40, 60)


def test_energy_by_cause_is_the_sum_over_layers():
    found = {row["cause"]: row for row in energy_by_cause(model()).records()}
    assert {cause: (row["cost/energy_uj_low"], row["cost/energy_uj"], row["cost/energy_uj_high"])
            for cause, row in found.items()} == {
        "arithmetic": (3.0, 5.0, 7.0), "weight traffic": (0.75, 0.75, 0.75), "activation traffic": (1.25, 1.25, 1.25),
    }  # fmt: skip
    assert found["arithmetic"]["energy/share"] == pytest.approx(5 / 7)
    assert sum(row["energy/share"] for row in found.values()) == pytest.approx(1)
    assert {row["energy/network_uj"] for row in found.values()} == {7.0}


def test_energy_by_layer_is_the_sum_over_causes():
    found = energy_by_layer(model()).records()
    assert [(row["layer"], row["op"], row["cost/energy_uj_low"], row["cost/energy_uj_high"]) for row in found] == [
        ("conv1", "xnor", 2.0, 4.0),
        ("fc1", "float", 3.0, 5.0),
    ]
    assert [row["energy/share"] for row in found] == pytest.approx([3 / 7, 4 / 7])


def test_energy_outside_the_layers_is_a_part_of_its_own():
    more = model(low=6.0, high=10.0)
    by_layer, by_cause = energy_by_layer(more).records()[-1], energy_by_cause(more).records()[-1]
    assert (by_layer["layer"], by_layer["cost/energy_uj"]) == ("outside the layers", 1.0)
    assert (by_cause["cause"], by_cause["cost/energy_uj"]) == ("outside the layers", 1.0)


@pytest.mark.parametrize("make", [memory, energy_by_layer, energy_by_cause])
def test_records_without_details_say_what_to_do(make):
    old = replace(study(), details={})
    view = make(make_report([old]))
    assert view.rows == ()
    assert (
        view.missing == "these records were written by an earlier version, which kept no details; run the sweep again"
    )
    some = study()
    kept = {r.trial_id: some.details[r.trial_id] for r in some.records if r.row["scheme"] != "binarynet"}
    view = make(make_report([replace(some, details=kept)]))
    assert {row["group"] for row in view.records()} == {"fp32", "int8-kl"}
    assert any("not shown: binarynet" in note for note in view.notes)


def test_of_many_groups_the_chart_draws_the_first():
    many = {f"s{index}": (0.9, 1000 + index, 1.0) for index in range(41)}
    view = memory(make_report([study(many, seeds=(0,))]))
    assert len(view.rows) == 41
    assert view.notes[0].startswith("the chart draws the first 40 of the 41 schemes")
