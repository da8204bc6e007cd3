"""The sentences of a verdict, on planted groups whose differences are set by hand."""

import re
from dataclasses import replace

import pytest
from planted import labels, record, studies_of
from planted import study as plant

from qbench.report.model.comparison import Comparison
from qbench.report.model.report_model import make_report
from qbench.report.model.verdict import verdict
from qbench.report.statistics.difference import Difference

BOTH = "seeds and images"


def found(mean, low, high, p, *, over=BOTH, seeds=5, detectable=None, needed=None, images_needed=None):
    return Difference(mean, low, high, over, p, None, 1.0, seeds, 360, detectable, needed, images_needed)


def model_with(*pairs, study=None):
    """A planted comparison in which the pairs (first, second, difference, p adjusted) stand for those found."""
    made = make_report([study or plant(SCHEMES, seeds=range(5))])
    comparisons = tuple(
        Comparison(first, second, delta, None if delta else "why not", adjusted)
        for first, second, delta, adjusted in pairs
    )
    return replace(made, comparisons=comparisons)


SCHEMES = {"fp32": (0.99, 900, 30.0), "binarynet": (0.95, 30, 0.5), "int8-kl": (0.97, 225, 4.0)}


def sentence(text, model):
    (one,) = [each for each in verdict(model) if text in each]
    return one


def test_a_distinguishable_difference_is_that_of_the_group_minus_the_reference():
    # fp32 minus binarynet is +1.88 points, 0.31 to 3.47: binarynet's is the negative, its ends changed.
    model = model_with(
        ("fp32", "binarynet", found(0.0188, 0.0031, 0.0347, 0.002), 0.004), ("fp32", "int8-kl", None, None)
    )
    assert sentence("Distinguishably less", model) == (
        "Distinguishably less accurate than fp32 (99.00 %): binarynet (-1.88 points, 95 % interval -3.47 to -0.31)."
    )
    assert not any("Distinguishably more" in text or "Not distinguishable" in text for text in verdict(model))
    assert "Not compared with fp32: int8-kl (why not)." in verdict(model)


def test_a_group_that_is_more_accurate_than_float32():
    model = model_with(("binarynet", "fp32", found(0.01, 0.005, 0.015, 0.001), 0.001))
    assert sentence("Distinguishably more", model) == (
        "Distinguishably more accurate than fp32 (99.00 %): binarynet (+1.00 points, 95 % interval +0.50 to +1.50)."
    )


def test_what_is_not_distinguishable_is_not_called_equal_and_says_what_would_go_unseen():
    model = model_with(
        ("fp32", "binarynet", found(0.0188, 0.0031, 0.0347, 0.02, detectable=0.021, needed=9), 0.06),
        ("fp32", "int8-kl", found(0.002, -0.004, 0.008, 0.5, detectable=0.011, images_needed=12_000), 0.5),
    )
    assert sentence("Not distinguishable", model) == (
        "Not distinguishable from fp32 (99.00 %) in accuracy after correction for 2 comparisons, which does not make "
        "them equal: binarynet (-1.88 points, 95 % interval -3.47 to -0.31) and int8-kl (-0.20 points, 95 % interval "
        "-0.80 to +0.40). With 5 seeds and 360 images, a difference below 2.10 points is missed in more than one case "
        "of five in the least sure of these pairs, even before correction. To find a difference of the size seen, "
        "before correction, it takes about this many seeds: 9 for binarynet. These test images are too few to find "
        "one of the size seen with any number of seeds: int8-kl (with as many seeds, about 12,000 would do)."
    )
    assert sentence("alone,", model) == (
        "binarynet: alone, the comparison with fp32 would count as distinguishable (p at most 0.05); among 2 "
        "comparisons it does not."
    )


def test_predictions_right_on_the_same_images_are_said_to_be_so():
    # Planted predictions depend on accuracy and seed alone: those of equal accuracy are equal.
    study = plant({"fp32": (0.99, 900, 30.0), "int8-kl": (0.99, 225, 4.0)}, seeds=range(5))
    text = sentence("Not distinguishable", make_report([study]))
    assert "int8-kl (right on the same images, 95 % interval -" in text
    assert text.endswith(" over test images alone).")  # nothing is said of differences that would be missed


def test_what_the_groups_take_beside_the_reference():
    # Energies are planted 10 % to both sides: 27 / 0.55 = 49.1, 33 / 0.45 = 73.3; 27 / 4.4 = 6.1, 33 / 3.6 = 9.2.
    assert sentence("Beside fp32", model_with()) == (
        "Beside fp32, binarynet takes 30.0 times fewer weight bytes and 49.1 to 73.3 times less estimated energy; "
        "int8-kl takes 4.0 times fewer weight bytes and 6.1 to 9.2 times less estimated energy."
    )


def test_the_accuracy_that_may_be_lost_is_the_worse_end_of_the_interval():
    model = model_with(
        ("fp32", "binarynet", found(0.0188, 0.0031, 0.0347, 0.002), 0.004),  # binarynet minus fp32: -3.47 to -0.31
        ("int8-kl", "fp32", found(0.01, 0.005, 0.015, 0.001), 0.002),  # better even at its worse end
    )
    assert sentence("may be lost", model) == (
        "Accuracy that may be lost beside fp32, by the worse end of each 95 % interval by itself: 0.00 points "
        "(int8-kl) and 3.47 points (binarynet)."
    )
    texts = verdict(model)
    assert texts.index(sentence("Beside", model)) == 0
    assert texts.index(sentence("may be lost", model)) == 1
    assert not any("may be lost" in text for text in verdict(model_with(("fp32", "binarynet", None, None))))


def with_groups(model, **changes):
    """The model with other values in some groups, by name (with _ for -)."""
    groups = tuple(replace(g, **changes.get(g.name.replace("-", "_"), {})) for g in model.groups)
    return replace(model, groups=groups)


def test_the_front_and_how_surely_each_group_is_on_it():
    model = with_groups(
        model_with(),
        fp32={"pareto": False, "front_probability": 0.3},
        binarynet={"pareto": True, "front_probability": 1.0},
        int8_kl={"pareto": True, "front_probability": 0.9996},
    )
    text = (
        "On the Pareto front of accuracy, weight bytes and estimated energy, by means (in brackets: in how many "
        "bootstrap draws): binarynet (100 %) and int8-kl (more than 99 %)."
    )
    assert sentence("Pareto", model) == f"{text} Off it by means, but not surely: fp32 (30 %)."
    assert sentence("Pareto", with_groups(model, fp32={"front_probability": 0.04})) == text


def test_groups_without_costs_are_on_no_front():
    records = [record(name, seed, metrics={"cost/energy_uj": None}) for name in ("fp32", "x") for seed in range(3)]
    assert not any("Pareto" in text for text in verdict(make_report(studies_of(records))))


def test_an_incomplete_sweep_says_so_first():
    records = [record("fp32", 0), record("fp32", 1), record("x", 0), record("x", 1, status="failed")]
    assert verdict(make_report(studies_of(records, 9)))[0] == (
        "Incomplete: of 9 planned trials 1 failed and 5 have not run. What follows is about the 3 that are done."
    )
    assert verdict(make_report(studies_of(records[:3], 4)))[0].startswith(
        "Incomplete: of 4 planned trials 1 has not run."
    )
    assert not any("Incomplete" in text for text in verdict(make_report(studies_of(records[:3]))))


@pytest.mark.parametrize(
    ("records", "planned", "text"),
    [
        ([], 0, "No trial is planned: there is nothing to compare."),
        ([], 5, "None of 5 planned trials is done: there is nothing to compare."),
        (
            [record("fp32", 0, status="failed")],
            2,
            "None of 2 planned trials is done: there is nothing to compare. 1 trial failed.",
        ),
    ],
)
def test_without_a_trial_there_is_no_decision(records, planned, text):
    assert verdict(make_report(studies_of(records, planned))) == (text,)


def test_one_group_alone_has_its_interval_and_no_comparison():
    model = make_report(studies_of([record("x", seed, 0.9) for seed in range(3)]))
    interval = replace(model.groups[0].accuracy, low=0.83, high=0.956)
    assert verdict(with_groups(model, x={"accuracy": interval})) == (
        "x has 90.00 % accuracy (95 % interval 83.00 to 95.60 %, over seeds and test images); there is no other group "
        "to compare it with on the same images.",
    )


def test_fewer_than_three_seeds_say_nothing_of_others():
    model = model_with(
        ("fp32", "binarynet", found(0.02, 0.0, 0.04, 0.06, over="images", seeds=1), 0.06),
        ("fp32", "int8-kl", found(0.02, 0.0, 0.04, 0.06, over="images", seeds=2), 0.06),
        ("binarynet", "int8-kl", found(0.02, 0.0, 0.04, 0.06, seeds=3), 0.06),
    )
    assert sentence("nothing is said of other seeds", model) == (
        "In 2 of 3 pairs there are 1 or 2 seeds in common, fewer than 3: nothing is said of other seeds. Intervals "
        "and p-values of such pairs are over the test images alone and hold for these trainings."
    )
    one = make_report([plant(SCHEMES, seeds=(0,))])
    few = sentence("nothing is said of other", one)
    assert few.startswith("There is 1 seed, fewer than 3: nothing is said of other seeds.")
    assert not any("other seeds" in text for text in verdict(make_report([plant(SCHEMES, seeds=(0, 1, 2))])))


def test_several_test_sets_are_named_and_compared_apart():
    other = labels(seed=9)
    records = [record(name, s) for name in ("fp32", "x") for s in range(3)]
    records += [record(name, s, true=other) for name in ("y", "z") for s in range(3)]
    model = make_report(studies_of(records))
    assert verdict(model)[0] == (
        "The groups were tested on 2 different sets of images, and only those of one set are compared: fp32 and x; "
        "y and z."
    )
    assert sentence("no float32", model).startswith("There is no float32 group among y and z; the most accurate")
    assert not any("y" in text.split() for text in verdict(model) if "fp32 (" in text)


def test_without_float32_the_most_accurate_group_is_what_the_others_are_held_against():
    records = [record(name, s, accuracy) for name, accuracy in (("a", 0.5), ("b", 0.9)) for s in range(3)]
    texts = verdict(make_report(studies_of(records)))
    assert texts[0] == "There is no float32 group among a and b; the most accurate by its mean is b."
    assert texts[3].startswith("Distinguishably less accurate than b (90.00 %): a (-40.00 points,")


def test_packed_predictions_that_disagree_are_said_in_the_worst_training():
    agreement = {"kernel/agreement": 0.9972}
    records = [record("fp32", s) for s in range(3)]
    records += [record("binarynet", s, metrics=agreement if s == 1 else ()) for s in range(3)]
    model = make_report(studies_of(records))
    assert verdict(model)[0] == (
        "Packed execution predicts otherwise than the network that was tested, in its worst training: binarynet (on "
        "0.28 % of the images). The accuracies below are not those of the packed networks there."
    )
    assert not any("Packed" in text for text in verdict(make_report([plant()])))


def test_other_budgets_are_said():
    model = model_with()
    assert not any("Budgets" in text for text in verdict(model))
    assert sentence("Budgets", replace(model, budgets=("int8-kl: 60 epochs (most others: 30 epochs)",))) == (
        "Budgets differ: int8-kl has another number of epochs, initial learning rate, optimizer or loss than "
        "most. Part of a difference in accuracy may come from that."
    )


def test_many_groups_give_few_words():
    sizes = [{"cost/weight_bytes": 100 - n, "cost/energy_uj": 1 + n} for n in range(15)]
    records = [record(f"scheme-{n}", s, 0.9 - n / 100, metrics=size) for n, size in enumerate(sizes) for s in range(3)]
    texts = verdict(make_report(studies_of([*records, *(record("fp32", s, 0.95) for s in range(3))])))
    assert all(len(set(re.findall(r"scheme-\d+", text))) <= 10 for text in texts)
    assert next(text for text in texts if text.startswith("Beside")).endswith("; 5 more differ from these.")
