import pytest
from planted import labels, record, studies_of, study

from qbench.report.model.report_model import make_report
from qbench.report.views.tradeoff import tradeoff_bytes, tradeoff_energy, tradeoff_latency


def rows(view):
    return {row["group"]: row for row in view.records()}


def test_the_front_is_of_this_cost_alone():
    # c is dominated in bytes by b (as accurate, smaller), and on the front of energy (the cheapest).
    schemes = {"a": (0.95, 300, 3.0), "b": (0.90, 100, 2.0), "c": (0.90, 200, 1.0), "d": (0.80, 400, 4.0)}
    model = make_report([study(schemes)])
    assert {name: row["front"] for name, row in rows(tradeoff_bytes(model)).items()} == {
        "a": True, "b": True, "c": False, "d": False,
    }  # fmt: skip
    assert {name: row["front"] for name, row in rows(tradeoff_energy(model)).items()} == {
        "a": True, "b": False, "c": True, "d": False,
    }  # fmt: skip


def test_values_and_what_they_are():
    view = tradeoff_energy(make_report([study({"fp32": (0.9, 1000, 20.0)})]))
    row = rows(view)["fp32"]
    assert row["test/accuracy"] == pytest.approx(0.9)
    assert (row["cost/energy_uj"], row["cost/energy_uj_low"], row["cost/energy_uj_high"]) == pytest.approx((20, 18, 22))
    assert row["test/accuracy_low"] < 0.9 < row["test/accuracy_high"]
    sources = {column.name: column.source for column in view.columns}
    assert (sources["test/accuracy"], sources["cost/energy_uj"], sources["front"]) == (
        "measured", "estimated", "computed",
    )  # fmt: skip
    bytes_view, time_view = (make(make_report([study()])) for make in (tradeoff_bytes, tradeoff_latency))
    assert {column.name: column.source for column in bytes_view.columns}["cost/weight_bytes"] == "counted"
    assert {column.name: column.source for column in time_view.columns}["time/inference_ms"] == "measured"
    assert [word in tradeoff(make_report([study()])).caption for word, tradeoff in (
        ("counted", tradeoff_bytes), ("estimated", tradeoff_energy), ("measured", tradeoff_latency)
    )] == [True] * 3  # fmt: skip


def test_groups_without_the_cost_are_named():
    true = labels()
    records = [record("a", 0, 0.9, true), record("b", 0, 0.9, true, metrics={"time/inference_ms": None})]
    view = tradeoff_latency(make_report(studies_of(records)))
    assert list(rows(view)) == ["a"]
    assert view.notes == ("not shown: b, whose records have no time/inference_ms",)


def test_why_there_are_no_rows():
    untimed = make_report(studies_of([record("a", 0, metrics={"time/inference_ms": None})]))
    assert "earlier version, which timed no inference; run the sweep again" in tradeoff_latency(untimed).missing
    failed = make_report(studies_of([record("a", 0, status="failed")]))
    assert tradeoff_bytes(failed).missing == "no trial is done"
    assert tradeoff_bytes(failed).rows == ()


def test_each_set_of_test_images_has_a_front_of_its_own():
    true, other = labels(100, 0), labels(100, 1)
    records = [record("a", 0, 0.9, true), record("b", 0, 0.8, other, data="mnist")]
    view = tradeoff_bytes(make_report(studies_of(records)))
    assert [(row["test_set"], row["front"]) for row in view.records()] == [(1, True), (2, True)]
    assert view.notes[-1].startswith("2 sets of test images")
