import pytest
from planted import labels, record, studies_of
from planted import study as plant

from qbench.report.model.report_model import make_report
from qbench.report.views.overview import overview

LABELS = labels(20)


def view_of(records, planned=None, **origin):
    return overview(make_report(studies_of(records, planned, **origin)))


def notes(*arguments, **options):
    return "\n".join(view_of(*arguments, **options).notes)


def test_each_group_has_its_means_and_costs():
    view = overview(make_report([plant(seeds=(0, 1, 2))]))
    rows = {row["group"]: row for row in view.records()}
    assert list(rows) == ["fp32", "binarynet", "int8-kl"]
    binary = rows["binarynet"]
    assert binary["test/accuracy"] == pytest.approx(0.95)
    assert (binary["cost/weight_bytes"], binary["cost/energy_uj"]) == (29_756, 0.445)
    assert binary["cost/weight_compression"] == pytest.approx(888_848 / 29_756)
    assert binary["time/train_s"] == pytest.approx(3.0)  # of 2, 3 and 4
    assert (binary["runs"], rows["fp32"]["kernel/agreement"]) == (3, None)
    model = make_report([plant(seeds=(0, 1, 2))])
    for group in model.groups:
        row = rows[group.name]
        assert (row["test/accuracy_low"], row["test/accuracy_high"]) == (group.accuracy.low, group.accuracy.high)
        assert (row["letters"], row["pareto"], row["front_probability"]) == (
            group.letters,
            group.pareto,
            group.front_probability,
        )


def test_every_column_says_where_its_values_come_from():
    sources = {column.name: column.source for column in overview(make_report([plant()])).columns}
    assert sources["cost/weight_bytes"] == "counted"
    assert sources["cost/energy_uj"] == "estimated"
    assert {sources[name] for name in sources if name.startswith(("time/", "filters/", "kernel/"))} == {"measured"}
    assert sources["test/accuracy"] == "measured"
    assert sources["test/accuracy_low"] == sources["pareto"] == sources["cost/energy_compression"] == "computed"


def test_the_share_of_quantized_macs_stands_in_the_table_and_is_explained():
    half = record("half", 0, metrics={"cost/quantized_share": 0.625, "cost/account": "meter"})
    view = view_of([record("fp32", 0), half])
    heading = next(column for column in view.columns if column.name == "cost/quantized_share")
    assert (heading.heading, heading.source) == ("quantized MACs", "counted")
    assert [row["cost/quantized_share"] for row in view.records()] == [0.0, 0.625]
    text = "\n".join(view.notes)
    assert "quantized MACs: share of all multiply-accumulates of which a weight or an input is quantized" in text
    assert "costs of half: from one run on zeros" in text
    before = dict.fromkeys(("cost/quantized_share", "cost/account"))
    old = view_of([record("fp32", s, metrics=before) for s in range(3)])
    assert "cost/quantized_share" not in {column.name for column in old.columns}
    assert "quantized MACs" not in "\n".join(old.notes)


def test_a_column_that_no_group_has_is_left_out():
    bare = {"time/inference_ms": None, "filters/unique_fraction": None}
    names = [column.name for column in view_of([record("fp32", s, metrics=bare) for s in range(3)]).columns]
    assert "time/inference_ms" not in names
    assert "filters/unique_fraction" not in names
    assert {"failed", "not_run", "test/accuracy_over", "letters"}.isdisjoint(names)
    assert {"group", "test/accuracy", "runs", "time/train_s"} <= set(names)


def test_failed_and_missing_trials_are_counted_beside_the_runs():
    waiting = {"scheme": "fp32", "seed": 3, "model": "digits-convnet", "data": "digits", "split_seed": 0, "epochs": 3}
    study = plant({"fp32": (0.9, 900, 30.0)}, seeds=(0, 1), not_run=(waiting,))
    records = [*study.records, record("fp32", 2, status="failed")]
    study = type(study)(study.name, study.folder, tuple(records), {}, study.not_run)
    (row,) = overview(make_report([study])).records()
    assert (row["runs"], row["failed"], row["not_run"]) == (2, 1, 1)


def test_nothing_known_is_said():
    view = view_of([], 5)
    assert view.rows == ()
    assert view.missing == "no trial is done, and nothing is known of those that are planned"
    assert view.notes == ("incomplete: 5 of 5 trials have not run",)


def test_what_an_interval_is_over_stands_in_the_row_and_in_the_notes():
    right = record("fp32", 0, 1.0, LABELS)
    view = view_of([right, record("x", 0, 0.8, LABELS)])
    assert [row["test/accuracy_over"] for row in view.records()] == ["images, exact", "images"]
    assert any("Clopper-Pearson" in note for note in view.notes)
    assert any("fewer than 3 seeds" in note and "says nothing of other seeds" in note for note in view.notes)
    assert "over seeds and test images" not in "".join(view.notes)
    records = [*(record("x", s, 0.8, LABELS) for s in range(3)), record("y", 0, 0.8, LABELS)]
    assert [row["test/accuracy_over"] for row in view_of(records).records()] == ["seeds and images", "images"]
    three = notes([record("x", s, 0.8) for s in range(3)])
    assert "interval: 95 %, over seeds and test images" in three
    assert "Clopper" not in three
    assert "fewer than" not in three


def test_the_random_baseline_stands_beside_the_unique_filters():
    assert "random weights would have 87.0 %" in notes([record("binarynet", 0)])
    assert "random weights" not in notes([record("fp32", 0)])


def test_the_energys_spread_is_said():
    ends = {"cost/energy_uj": 4.0, "cost/energy_uj_low": 3.0, "cost/energy_uj_high": 5.0}
    assert "a low and a high estimate, at most 25.0 % away" in notes([record("fp32", 0, metrics=ends)])
    exact = {"cost/energy_uj": 4.0, "cost/energy_uj_low": 4.0, "cost/energy_uj_high": 4.0}
    assert "a low and a high" not in notes([record("fp32", 0, metrics=exact)])


def test_the_notes_name_sources_of_what_is_there_and_of_nothing_else():
    text = notes([record("binarynet", 0)])
    assert "counted from shapes and formats: weight bytes, quantized MACs; estimated: energy of one inference" in text
    assert (
        "measured: accuracy, unique filters, kernel agreement (packed against fake-quantized), latency, training"
        in text
    )
    assert "other trials may have run meanwhile" in text
    bare = {name: None for name in record("fp32", 0).row if name.startswith(("cost/", "time/", "kernel/", "filters/"))}
    text = notes([record("fp32", 0, metrics=bare)])
    assert "counted" not in text
    assert "estimated" not in text
    assert "measured: accuracy\n" in f"{text}\n"
    assert "latency" not in text


def test_budgets_shared_trainings_and_the_best_trial_are_noted():
    records = [
        record("a", 0),
        record("b", 0, metrics={"training/epochs": 60, "training_key": "a-0"}),
        record("c", 0, 1.0),
    ]
    text = notes(records, metric="test/accuracy", goal="maximize")
    assert "other budget: b: 60 epochs (most others: 3 epochs)" in text
    assert "one training per seed is shared by a, b" in text
    assert "best test/accuracy: 100.00 % by c seed=0" in text


def test_letters_are_explained_with_the_number_of_comparisons():
    text = notes([record(name, seed) for name in ("a", "b", "c") for seed in range(3)])
    assert "p above 0.05 after Holm's correction for 3 comparisons" in text
    assert "that does not make them equal" in text


def test_a_training_that_many_groups_share_names_the_first_ten():
    shared = {"training_key": "t"}
    text = notes([record(f"s{n}", 0, true=LABELS, metrics=shared) for n in range(13)])
    assert "one training per seed is shared by s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 3 more" in text
    assert "s12" not in text
