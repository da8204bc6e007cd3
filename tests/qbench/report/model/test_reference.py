from planted import labels, record, studies_of
from planted import study as plant

from qbench.report.model.report_model import make_report


def references(records):
    return {group.name: group.reference for group in make_report(studies_of(records)).groups}


def test_every_scheme_is_held_against_float32_and_float32_against_nothing():
    assert {g.name: g.reference for g in make_report([plant()]).groups} == {
        "fp32": None,
        "binarynet": "fp32",
        "int8-kl": "fp32",
    }


def test_the_reference_has_the_same_width_whatever_the_order():
    records = [
        record(scheme, seed, **{"model_options.width": width})
        for scheme in ("binarynet", "fp32")
        for width in (16, 32)
        for seed in (0, 1, 2)
    ]
    assert references(records) == {
        "binarynet width=16": "fp32 width=16",
        "binarynet width=32": "fp32 width=32",
        "fp32 width=16": None,
        "fp32 width=32": None,
    }


def test_options_of_the_scheme_do_not_keep_the_reference_away():
    records = [record("fp32", 0), record("binarynet", 0), record("binarynet", 0, **{"scheme_options.last_layer": "x"})]
    assert references(records)["binarynet last_layer=x"] == "fp32"


def test_float32_on_other_images_is_no_reference():
    records = [record("fp32", 0, true=labels(seed=1)), record("binarynet", 0, true=labels(seed=2))]
    assert references(records)["binarynet"] is None
    records = [record("fp32", 0, data="other"), record("binarynet", 0)]
    assert references(records)["binarynet"] is None


def test_a_float32_group_without_a_finished_trial_is_no_reference():
    assert references([record("fp32", 0, status="failed"), record("binarynet", 0)])["binarynet"] is None
