import json
import re
from pathlib import Path

import pytest
from planted import record, studies_of, study
from scipy.stats import binom

from qbench.errors import UserError
from qbench.report.model.report_model import make_report
from qbench.report.study import Study
from qbench.report.views.accuracy_by_size import accuracy_by_energy, accuracy_by_size
from qbench.report.views.equal_accuracy import by_target, equal_accuracy

# By scheme and number of units: accuracy, bytes, µJ.
CURVES = {
    "fp32": {32: (0.90, 1000, 1.0), 64: (0.94, 4000, 3.0), 128: (0.98, 16_000, 9.0)},
    "binarynet": {32: (0.80, 40, 0.1), 64: (0.86, 150, 0.2), 128: (0.94, 600, 0.4)},
}


def sweep(curves=None, name="width", seeds=(0, 1, 2), images=200, **config):
    made = [
        study({scheme: figures}, seeds, images=images, **{"model_options.hidden": size}, **config)
        for scheme, sizes in (curves or CURVES).items()
        for size, figures in sizes.items()
    ]
    return Study(name, Path(name), tuple(each for one in made for each in one.records))


def report(*studies):
    return make_report(studies or [sweep()])


def row(view, scheme, target):
    return next(r for r in view.records() if (r["scheme"], r["target"]) == (scheme, target))


def test_a_row_for_each_target_and_scheme():
    view = equal_accuracy(report())
    assert view.missing is None
    assert [(r["target"], r["scheme"]) for r in view.records()] == [
        (target, scheme)
        for target in ("fp32 at 128 units", "fp32 at 128 units minus 0.5 points", "fp32 at 128 units minus 1 point")
        for scheme in CURVES
    ]
    accuracies = [r["target/accuracy"] for r in view.records()[::2]]
    assert accuracies == pytest.approx([0.98, 0.975, 0.97])


def test_costs_and_ratios_are_those_at_the_same_accuracy():
    view = equal_accuracy(report(), [0.94, 0.90])
    found = row(view, "binarynet", "94 %")
    assert (found["size"], found["cost/weight_bytes"], found["cost/energy_uj"]) == pytest.approx((128, 600, 0.4))
    assert found["cost/weight_bytes_ratio"] == pytest.approx(4000 / 600)
    assert found["cost/energy_uj_ratio"] == pytest.approx(3.0 / 0.4)
    found = row(view, "binarynet", "90 %")  # halfway from 86 to 94
    assert found["size"] == pytest.approx((64 * 128) ** 0.5)
    assert found["cost/weight_bytes_ratio"] == pytest.approx(1000 / (150 * 600) ** 0.5)
    assert row(view, "fp32", "90 %")["cost/energy_uj_ratio"] == 1


def test_what_is_not_reached_is_said_and_not_extrapolated():
    found = row(equal_accuracy(report()), "binarynet", "fp32 at 128 units")
    assert found["size"] is None
    assert found["cost/weight_bytes"] is None
    assert found["cost/weight_bytes_ratio"] is None
    assert "not reached at up to 128 units (best 94.00 %)" in found["remark"]
    assert "times less" not in found["remark"]  # a bound on what is not reached would be read as a saving


def test_a_size_above_its_fit_is_said_where_the_fit_is_not_enough():
    curves = {**CURVES, "binarynet": {32: (0.80, 40, 0.1), 64: (0.95, 150, 0.2), 128: (0.91, 600, 0.4)}}
    found = row(equal_accuracy(report(sweep(curves)), [0.94]), "binarynet", "94 %")
    assert found["cost/weight_bytes"] is None
    assert "(best 93.00 % on the isotonic fit; 64 units alone have 95.00 %)" in found["remark"]


def test_what_is_reached_at_the_smallest_size_is_bounded():
    found = row(equal_accuracy(report(), [0.75]), "binarynet", "75 %")
    assert found["cost/weight_bytes"] is None
    assert "reached already at the smallest (32 units): at most 40 bytes and at most 0.1 µJ" in found["remark"]
    assert found["cost/weight_bytes_ratio"] is None


def test_a_target_above_every_schemes_best():
    view = equal_accuracy(report(), [0.999])
    assert all(r["cost/weight_bytes"] is None and "not reached" in r["remark"] for r in view.records())
    assert json.dumps(view.as_dict(), allow_nan=False)


def test_an_open_interval_says_the_end_that_is_known():
    view = equal_accuracy(report(), [0.93])
    found = row(view, "binarynet", "93 %")
    assert found["cost/weight_bytes"] is not None
    assert found["cost/weight_bytes_high"] is None
    assert found["cost/weight_bytes_low"] is not None
    assert found["not_reached"] > 0.025
    share, low = 100 * found["not_reached"], found["cost/weight_bytes_low"]
    assert (
        f"not reached in {share:.1f} % of draws: the interval is open, from {low:,.0f} bytes (at most"
        in found["remark"]
    )


def test_a_falling_curve_is_fitted_and_it_is_said():
    curves = {**CURVES, "binarynet": {32: (0.80, 40, 0.1), 64: (0.95, 150, 0.2), 128: (0.91, 600, 0.4)}}
    view = equal_accuracy(report(sweep(curves)), [0.93])
    said = next(note for note in view.notes if note.startswith("binarynet"))
    assert "isotonic fit" in said
    assert "80.00, 95.00, 91.00 %" in said
    assert row(view, "binarynet", "93 %")["cost/weight_bytes"] == pytest.approx(150)  # pooled: (95 + 91)/2
    assert not any("isotonic" in note for note in equal_accuracy(report()).notes)


def test_fewer_than_three_sizes_are_refused_by_name():
    curves = {**CURVES, "binaryconnect": {32: (0.9, 50, 0.1), 64: (0.93, 160, 0.2)}}
    view = equal_accuracy(report(sweep(curves)))
    assert "binaryconnect" not in {r["scheme"] for r in view.records()}
    assert "binaryconnect is left out: results at 2 sizes (hidden: 32, 64), a curve needs 3" in view.notes


def test_a_size_whose_trials_all_failed_is_no_size():
    records = [
        *sweep({"fp32": CURVES["fp32"]}).records,
        *(record("binarynet", 0, status="failed", **{"model_options.hidden": size}) for size in CURVES["binarynet"]),
    ]
    view = equal_accuracy(make_report(studies_of(records)))
    assert any("binarynet is left out: results at 0 sizes (hidden: none)" in note for note in view.notes)


def test_a_sweep_of_one_size_has_no_rows_and_says_why():
    for view in (equal_accuracy(report(study())), accuracy_by_size(report(study()))):
        assert view.rows == ()
        assert view.missing == "no model option varies over at least 3 sizes: see sweeps/width.yaml"


def test_energy_that_jumps_between_memories_is_said():
    levels = {32: "32 KB", 64: "32 KB", 128: "1 MB"}
    records = [
        record("fp32", 0, accuracy, metrics={"cost/weight_level": levels[size]}, **{"model_options.hidden": size})
        for size, (accuracy, _, _) in CURVES["fp32"].items()
    ]
    notes = equal_accuracy(make_report(studies_of(records))).notes
    assert any("larger memories with size (32 KB, 1 MB), where energy jumps" in note for note in notes)
    assert not any("larger memories" in note for note in equal_accuracy(report()).notes)


def test_an_option_that_is_no_number_is_no_size():
    records = [r for norm in ("a", "b", "c") for r in study(**{"model_options.norm": norm}).records]
    assert equal_accuracy(make_report(studies_of(records))).missing is not None


def test_without_float32_targets_have_to_be_given():
    model = report(sweep({"binarynet": CURVES["binarynet"]}))
    assert "--at-accuracy" in equal_accuracy(model).missing
    found = equal_accuracy(model, [0.94]).records()[0]
    assert found["cost/weight_bytes"] == pytest.approx(600)
    assert found["cost/weight_bytes_ratio"] is None


def test_the_reference_size_can_be_named():
    view = equal_accuracy(report(), reference_size=64)
    found = row(view, "binarynet", "fp32 at 64 units")
    assert found["target/accuracy"] == pytest.approx(0.94)
    assert found["cost/weight_bytes_ratio"] == pytest.approx(4000 / 600)
    with pytest.raises(UserError, match="no float32 network has hidden 65: it has 32, 64, 128"):
        equal_accuracy(report(), reference_size=65)


def test_other_settings_make_other_curves_each_with_its_own_float32():
    first, second = (
        sweep(epochs=3),
        sweep({s: {n: (f[0] - 0.05, *f[1:]) for n, f in c.items()} for s, c in CURVES.items()}, epochs=9),
    )
    records = [*first.records, *second.records]
    view = equal_accuracy(make_report(studies_of(records)))
    targets = {r["target"]: r["target/accuracy"] for r in view.records()}
    assert targets["fp32 epochs=3 at 128 units"] == pytest.approx(0.98)
    assert targets["fp32 epochs=9 at 128 units"] == pytest.approx(0.93)
    assert {r["scheme"] for r in view.records() if "epochs=9" in r["target"]} == {"fp32 epochs=9", "binarynet epochs=9"}


def test_each_target_is_a_table_of_its_own_for_a_terminal():
    view = equal_accuracy(report())
    tables = by_target(view)
    assert [each.title for each in tables] == [
        "At 98.00 % (fp32 at 128 units):",
        "At 97.50 % (fp32 at 128 units minus 0.5 points):",
        "At 97.00 % (fp32 at 128 units minus 1 point):",
    ]
    assert [column.name for column in tables[0].columns][:2] == ["scheme", "size"]
    assert tables[0].notes == (f"binarynet: {row(view, 'binarynet', 'fp32 at 128 units')['remark']}",)


def test_points_and_targets_of_the_curves():
    view = accuracy_by_size(report())
    points = [r for r in view.records() if r["kind"] == "size"]
    planted = [(scheme, size, *figures[1:]) for scheme, sizes in CURVES.items() for size, figures in sizes.items()]
    assert [(r["scheme"], r["size"]) for r in points] == [each[:2] for each in planted]
    assert [r["cost/weight_bytes"] for r in points] == pytest.approx([each[2] for each in planted])
    assert [r["cost/energy_uj"] for r in points] == pytest.approx([each[3] for each in planted])
    assert [r["test/accuracy"] for r in points] == pytest.approx([f[0] for s in CURVES.values() for f in s.values()])
    assert all(r["test/accuracy_low"] < r["test/accuracy"] < r["test/accuracy_high"] for r in points)
    targets = [r for r in view.records() if r["kind"] == "target"]
    assert [r["test/accuracy"] for r in targets] == pytest.approx([0.98, 0.975, 0.97])
    assert "cost/weight_bytes" not in {column.name for column in accuracy_by_energy(report()).columns}


def test_a_target_that_is_not_reached_by_the_means_says_in_how_many_draws_it_is():
    curves = {**CURVES, "binarynet": {32: (0.80, 40, 0.1), 64: (0.86, 150, 0.2), 128: (0.94, 600, 0.4)}}
    view = equal_accuracy(report(sweep(curves, seeds=(0,))), [0.945])
    # One training, right on 188 of 200 images: 189 or more right in a resample is Binomial(200, 0.94)'s upper tail.
    expected = 100 * float(binom.sf(188, 200, 0.94))
    (share,) = re.findall(r"reached in ([0-9.]+) % of draws", str(row(view, "binarynet", "94.5 %")["remark"]))
    assert float(share) == pytest.approx(expected, abs=4 * 100 * (0.25 / 4000) ** 0.5)


def test_energy_is_said_to_be_the_middle_of_its_estimate():
    # Planted low and high are 10 % to both sides; without them nothing is said.
    assert any("up to 10 % away" in note for note in equal_accuracy(report()).notes)
    ends = {"cost/energy_uj_low": 2.0, "cost/energy_uj": 2.0, "cost/energy_uj_high": 2.0}
    records = [
        record("fp32", seed, accuracy, metrics=ends, **{"model_options.hidden": size})
        for size, (accuracy, _, _) in CURVES["fp32"].items()
        for seed in (0, 1, 2)
    ]
    assert not any("middle" in note for note in equal_accuracy(make_report(studies_of(records))).notes)
