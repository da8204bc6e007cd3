import dataclasses

import pytest
from planted import study

from qbench.report.model.report_model import make_report
from qbench.report.views.layers import layers


def tensor(sqnr, clipped):
    return {
        "format": "int8", "low": -1.0, "high": 1.0, "scale_low": 0.1, "scale_high": 0.1, "clipped": clipped,
        "sqnr_db": sqnr,
    }  # fmt: skip


def planted(*reports):
    """A study of int8-kl with a seed for each report."""
    made = study({"fp32": (0.9, 1, 1.0), "int8-kl": (0.9, 1, 1.0)}, seeds=range(len(reports)))
    kept = {
        r.trial_id: dataclasses.replace(made.details[r.trial_id], quantization=reports[r.row["seed"]])
        for r in made.records
        if r.row["scheme"] == "int8-kl"
    }
    return make_report([dataclasses.replace(made, details={**made.details, **kept})])


def report(weights, inputs, sensitivity, accuracy, images=400):
    layer = {"name": "conv1", "weights": weights, "inputs": inputs, "sensitivity": sensitivity}
    return {"layers": [layer], "float_accuracy": accuracy, "accuracy": 0.9, "images": images}


def test_a_layer_is_the_mean_of_the_seeds_and_its_change_is_to_each_seeds_own_float32():
    found = layers(
        planted(report(tensor(40.0, 0.0), tensor(30.0, 0.02), 0.96, 0.98), report(tensor(44.0, 0.01), None, 0.99, 0.99))
    )
    assert found.rows == (
        (
            "int8-kl", "conv1", "int8", pytest.approx(42.0), pytest.approx(0.005), "int8", pytest.approx(30.0),
            pytest.approx(0.02), pytest.approx(-1.0), 2,
        ),
    )  # fmt: skip
    assert "measured on 400 validation images: one image is 0.25 points of one training's accuracy" in found.notes
    assert not any("no SQNR" in note for note in found.notes)


def test_an_infinite_ratio_of_one_seed_leaves_no_mean():
    found = layers(
        planted(
            report(tensor(None, 0.0), None, 0.98, 0.98),
            report(tensor(44.0, 0.0), None, 0.98, 0.98),
        )
    )
    assert found.rows[0][2:8] == ("int8", None, 0.0, "float32", None, None)
    assert "no SQNR: nothing was lost, or the tensor stays float32" in found.notes


def test_without_integer_layers_it_says_so():
    assert layers(make_report([study({"binarynet": (0.9, 1, 1.0)})])).missing == "no scheme here has integer layers"
