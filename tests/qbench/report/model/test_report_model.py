import json

import pytest
from planted import studies_of

from qbench.report.model.group import ReportError
from qbench.report.model.report_model import make_report
from qbench.trial.record import TrialRecord

LABELS = [1] * 20


def record(scheme, seed, right=18, *, status="done", labels=LABELS, metrics=(), **config):
    row = {"scheme": scheme, "seed": seed, **config, "trial_id": f"{scheme}{seed}{config}"}
    if status == "failed":
        return TrialRecord(row["trial_id"], "failed", row, [], [], "ValueError: no")
    row |= {
        "training_key": f"{scheme}-{seed}",
        "shared": False,
        "test/accuracy": right / 20,
        "cost/weight_bytes": 100,
        "cost/energy_uj": 2.0,
        "training/epochs": 30,
        "training/learning_rate_start": 3e-3,
        **dict(metrics),
    }
    return TrialRecord(row["trial_id"], "done", row, [1] * right + [0] * (20 - right), labels)


def test_seeds_are_one_group_and_metrics_their_means():
    records = [
        record("a", 0, 18, metrics={"time/train_s": 1.0, "kernel/agreement": 1.0, "kernel/ops": "xnor"}),
        record("a", 1, 16, metrics={"time/train_s": 3.0, "kernel/agreement": 0.95, "kernel/ops": "xnor"}),
        record("b", 0, 20),
    ]
    report = make_report(studies_of(records, 3))
    first, second = report.groups
    assert (first.name, first.seeds, first.runs) == ("a", (0, 1), 2)
    assert first.accuracy.mean == pytest.approx(0.85)
    assert first.metrics["time/train_s"] == 2.0
    assert first.metrics["kernel/agreement"] == 0.95  # the worst: a mean would hide a fault
    assert "kernel/ops" not in first.metrics
    assert second.metrics.get("kernel/agreement") is None
    assert (report.planned, report.done, report.failed) == (3, 3, 0)
    groups = json.loads(json.dumps(report.as_dict(), allow_nan=False))["groups"]
    assert [group["figures"] for group in groups] == [first.metrics, second.metrics]  # the name in the file
    assert "metrics" not in groups[0]


def test_what_varies_besides_the_seed_separates_groups():
    records = [record("a", seed, epochs=epochs, model="m") for epochs in (10, 20) for seed in (0, 1)]
    assert [(group.name, group.runs) for group in make_report(studies_of(records)).groups] == [
        ("a epochs=10", 2),
        ("a epochs=20", 2),
    ]


def test_failed_trials_are_counted_and_have_no_accuracy():
    records = [record("a", 0), record("a", 1, status="failed"), record("b", 0, status="failed")]
    report = make_report(studies_of(records, 5))
    assert [(group.runs, len(group.failed)) for group in report.groups] == [(1, 1), (0, 1)]
    assert report.groups[1].accuracy is None
    assert report.groups[1].pareto is None
    assert (report.done, report.failed, report.planned) == (1, 2, 5)


def test_no_trial_at_all_is_an_empty_report():
    assert make_report(studies_of([], 3)).groups == ()


def test_the_front_weighs_accuracy_bytes_and_energy():
    def costs(size, energy):
        return {"cost/weight_bytes": size, "cost/energy_uj": energy}

    records = [
        record("best", 0, 19, metrics=costs(400, 10.0)),
        record("small", 0, 17, metrics=costs(10, 1.0)),
        record("beaten", 0, 17, metrics=costs(20, 1.0)),
        record("frugal", 0, 17, metrics=costs(400, 0.5)),
    ]
    assert [group.pareto for group in make_report(studies_of(records)).groups] == [True, True, False, True]


def test_different_test_images_have_no_common_mean():
    records = [record("a", 0), record("a", 1, labels=[1] * 19 + [2])]
    with pytest.raises(ReportError, match="seeds 0 and 1 were tested on different images"):
        make_report(studies_of(records))


def test_another_budget_is_noted():
    odd = {"training/epochs": 60, "training/learning_rate_start": 1e-2}
    records = [record("a", 0), record("b", 0), record("c", 0, metrics=odd)]
    assert make_report(studies_of(records)).budgets == (
        "c: 60 epochs and an initial learning rate of 0.01 "
        "(most others: 30 epochs and an initial learning rate of 0.003)",
    )
    assert make_report(studies_of(records[:2])).budgets == ()


def test_another_loss_or_optimizer_is_noted():
    usual = {"training/optimizer": "Adam", "training/loss_function": "squared_hinge"}
    own = {"training/optimizer": "Adam", "training/loss_function": "distillation(teacher='fp32')"}
    records = [record(f"s{n}", 0, metrics=usual) for n in range(3)] + [record("student", 0, metrics=own)]
    assert make_report(studies_of(records)).budgets == (
        "student: the loss distillation(teacher='fp32') (most others: the loss squared_hinge)",
    )


def test_a_budget_that_the_sweep_varies_needs_no_note():
    records = [record("a", seed, epochs=n, metrics={"training/epochs": n}) for seed, n in ((0, 10), (1, 10), (0, 20))]
    assert make_report(studies_of(records)).budgets == ()


def test_shared_trainings_are_named():
    shared = {"training_key": "t"}
    report = make_report(studies_of([record("a", 0, metrics=shared), record("b", 0, metrics=shared), record("c", 0)]))
    assert [group.shares_training for group in report.groups] == [("b",), ("a",), ()]


@pytest.mark.parametrize(("goal", "name", "value"), [("maximize", "b", 0.95), ("minimize", "a", 0.5)])
def test_the_best_trial_follows_metric_and_goal(goal, name, value):
    records = [record("a", 0, 10), record("b", 3, 19), record("b", 4, status="failed")]
    best = make_report(studies_of(records, 3, metric="test/accuracy", goal=goal)).best
    assert (best.name, best.value, best.metric) == (name, value, "test/accuracy")
    assert make_report(studies_of(records)).best is None


def test_sweeps_with_different_metrics_have_no_common_best():
    first = studies_of([record("a", 0)], metric="test/accuracy", goal="maximize")
    second = studies_of([record("b", 0)], metric="val/accuracy", goal="maximize")
    assert make_report(first).best.name == "a"
    assert make_report([*first, *second]).best is None


def test_groups_tested_on_different_images_have_fronts_of_their_own():
    worse = {"cost/weight_bytes": 200, "cost/energy_uj": 4.0}  # than those of the others, and no more accurate
    records = [record("a", 0, 18), record("b", 0, 16, metrics=worse, labels=[1] * 19 + [2])]
    report = make_report(studies_of(records))
    assert [group.pareto for group in report.groups] == [True, True]
    (pair,) = report.comparisons
    assert pair.withheld == "they were tested on different images"
    same = [record("a", 0, 18), record("b", 0, 16, metrics=worse)]
    assert [group.pareto for group in make_report(studies_of(same)).groups] == [True, False]


def test_equal_costs_are_equal_whatever_the_number_of_seeds():
    # The sum of five times 26.9946628, rounded and divided by five, is another number.
    cost = {"cost/energy_uj": 26.9946628}
    for many in range(2, 8):
        records = [record("better", s, 18, metrics=cost) for s in range(many)] + [record("worse", 0, 16, metrics=cost)]
        better, worse = make_report(studies_of(records)).groups
        assert better.metrics["cost/energy_uj"] == worse.metrics["cost/energy_uj"] == 26.9946628
        assert (better.pareto, worse.pareto) == (True, False)


def test_letters_follow_the_comparisons_from_the_most_accurate_on():
    # 3 seeds, 20 images; b is right on every image that a is wrong on, and on no other.
    records = [record(name, seed, right) for name, right in (("low", 2), ("high", 20)) for seed in (0, 1, 2)]
    report = make_report(studies_of(records))
    assert report.comparisons[0].distinguishable
    assert {group.name: group.letters for group in report.groups} == {"high": "a", "low": "b"}
