import dataclasses

from planted import record, studies_of, study

from qbench.report.model.report_model import make_report
from qbench.report.study import Study
from qbench.report.views.agreement import agreement


def model(*metrics, scheme="int8-kl"):
    """A group with a trial for each mapping of metrics, and float32."""
    records = [record(scheme, seed, metrics=each) for seed, each in enumerate(metrics)]
    return make_report(studies_of([record("fp32"), *records]))


CHAIN = {"kernel/execution": "integer chain", "kernel/ops": "int8 int8", "kernel/backend": "gfni"}


def test_the_lowest_of_the_seeds_is_shown_and_a_fault_is_said_in_words():
    found = model(
        CHAIN | {"kernel/agreement": 1.0, "int8/equal_outputs": 1.0, "int8/within_one": 1.0},
        CHAIN | {"kernel/agreement": 0.98, "int8/equal_outputs": 0.9999999, "int8/within_one": 1.0},
    )
    view = agreement(found)
    assert view.rows == (("int8-kl", 0.98, 100, 2, "integer chain", "2 × int8", 0.9999999, 1.0, "gfni"),)
    assert view.notes == (
        "int8-kl: below 100 %: with seed 1 packed execution puts 2 of 100 test images in another class",
        "int8-kl: below 100 %: 1e-05 % of the integers between layers differ; all differ by one",
        "nothing is packed, so that nothing can disagree: fp32",
    )


def test_lost_signs_are_said():
    found = agreement(model({"kernel/agreement": 1.0, "int8/negative_inputs": 1234}, {"int8/negative_inputs": 0}))
    assert (
        "int8-kl: 1,234 inputs of layers with unsigned codes were below zero and became 0 (test images, one seed)"
        in (found.notes)
    )


def test_full_agreement_needs_no_words():
    notes = agreement(model({"kernel/agreement": 1.0, "int8/equal_outputs": 1.0, "int8/within_one": 1.0})).notes
    assert notes == ("nothing is packed, so that nothing can disagree: fp32",)


def test_differences_above_one_are_said():
    found = agreement(model({"kernel/agreement": 1.0, "int8/equal_outputs": 0.5, "int8/within_one": 0.75}))
    assert found.notes[0] == "int8-kl: below 100 %: 50 % of the integers between layers differ; some by more than one"


def test_ops_are_counted_in_their_order():
    found = agreement(model({"kernel/ops": "binary-weight xnor xnor float"}, scheme="binarynet"))
    assert found.rows[0][5] == "binary-weight, 2 × xnor, float"


def test_a_network_that_is_no_chain_says_why():
    found = agreement(model({"int8/no_chain": "a skip connection"}))
    assert "int8-kl: no integer chain, layers run one by one: a skip connection" in found.notes


def test_it_needs_no_details_and_says_what_is_missing():
    assert agreement(make_report([dataclasses.replace(study(), details={})])).rows
    assert agreement(make_report(studies_of([record("fp32")]))).missing == "no scheme here runs bit-packed"
    assert agreement(make_report([Study("empty", study().folder, ())])).missing == "no trial is done"
