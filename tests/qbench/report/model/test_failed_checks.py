"""Groups whose packed predictions are not those of the network that was tested."""

import json

import pytest
from planted import labels, record, studies_of

from qbench.report.model.report_model import make_report
from qbench.report.model.savings import savings
from qbench.report.model.verdict import verdict
from qbench.report.render.terminal import plain
from qbench.report.views.overview import overview
from qbench.report.views.tradeoff import tradeoff_bytes

LABELS = labels(100)


def report(agreement, **origin):
    """Three schemes; int8-kl, as accurate as float32 and smaller than all, agrees so on its second seed."""
    records = [
        record(scheme, seed, accuracy, LABELS, metrics=own)
        for seed in range(3)
        for scheme, accuracy, own in (
            ("fp32", 0.9, {}),
            ("binarynet", 0.8, {}),
            ("int8-kl", 0.9, {"cost/weight_bytes": 1000, "kernel/agreement": agreement if seed == 1 else 1.0}),
        )
    ]
    return make_report(studies_of(records, metric="test/accuracy", goal="maximize", **origin))


def test_a_failed_group_has_no_star_and_keeps_nobody_off_the_front():
    failed, passed = report(0.37), report(0.99)
    assert [group.pareto for group in passed.groups] == [False, True, True]  # fp32 costs more
    assert passed.groups[2].failed_checks == ()
    assert [(group.pareto, group.front_probability is None) for group in failed.groups] == [
        (True, False),
        (True, False),
        (None, True),
    ]
    (text,) = failed.groups[2].failed_checks
    assert text.startswith("seed 1: packed execution predicts 37.00 % of the test images")
    assert "(63 of 100 differ)" in text


def test_it_dominates_nobody():
    # Of equal accuracy and cheaper in bytes and energy than fp32, it would keep fp32 off; a failed check does not.
    records = [record("fp32", s, 0.9, LABELS) for s in range(3)]
    for agreement, on_front in ((1.0, False), (0.5, True)):
        cheap = [record("int8-kl", s, 0.9, LABELS, metrics={"kernel/agreement": agreement}) for s in range(3)]
        model = make_report(studies_of([*records, *cheap]))
        assert model.group("fp32").pareto is on_front
        rows = {row["group"]: row["front"] for row in tradeoff_bytes(model).records()}
        assert rows["fp32"] is on_front
        assert rows["int8-kl"] is (None if agreement == 0.5 else True)


def test_the_table_has_a_mark_and_the_reason():
    view = overview(report(0.37))
    assert [row["failed_checks"] for row in view.records()] == [None, None, "FAILED"]
    assert any(note.startswith("check FAILED: int8-kl, seed 1: ") and "no Pareto mark" in note for note in view.notes)
    (line,) = [line for line in plain(view).splitlines() if line.startswith("int8-kl ")]
    assert "37.00 %" in line
    assert "FAILED" in line
    assert "*" not in line
    assert "failed_checks" not in {column.name for column in overview(report(0.99)).columns}


def test_the_verdict_names_it_and_says_no_saving():
    text = "\n".join(verdict(report(0.37)))
    assert "A check failed: int8-kl (seed 1: packed execution predicts 37.00 %" in text
    assert "int8-kl takes" not in text
    assert "int8-kl" not in text.partition("On the Pareto front")[2].partition(".\n")[0]
    assert "int8-kl takes" in "\n".join(verdict(report(0.99)))
    model = report(0.37)
    assert savings(model.group("int8-kl"), model.group("fp32")) is None
    assert savings(model.group("binarynet"), model.group("fp32")) is not None


def test_it_is_not_the_best_trial():
    records = [record("fp32", 0, 0.9, LABELS), record("int8-kl", 0, 0.95, LABELS, metrics={"kernel/agreement": 0.4})]
    model = make_report(studies_of(records, metric="test/accuracy", goal="maximize"))
    assert model.best.name == "fp32"


@pytest.mark.parametrize(("agreement", "count"), [(0.37, 1), (0.99, 0)])
def test_json_has_them(agreement, count):
    groups = json.loads(json.dumps(report(agreement).as_dict()))["groups"]
    assert [len(group["failed_checks"]) for group in groups] == [0, 0, count]
