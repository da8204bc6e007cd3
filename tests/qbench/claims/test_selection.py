"""Which trainings speak to a claim, and when they count as the paper's."""

import pytest
from stored_examples import LABELS, stored_sweep, stored_trial

from qbench.claims.selection import Setting, find_group, select_error, select_metrics, select_pair
from qbench.report.statistics.significance import mcnemar
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve

PAPER = Setting(
    "binarynet",
    "mnist",
    "mnist-mlp",
    1000,
    {"model_options.hidden": 4096, "batch_size": 100, "training/learning_rate_end": 3e-7},
)
FULL = {"epochs": 1000, "batch_size": 100, "training/learning_rate_end": 3e-7}


def test_a_full_training_counts_as_the_papers():
    trial = stored_trial(**FULL)  # hidden is not given: the builder's default is 4096
    group = find_group(PAPER, [stored_sweep(trial)])
    assert (group.standing, group.mismatches) == ("paper", ())
    almost = stored_trial(**FULL | {"training/learning_rate_end": 3e-7 * (1 + 1e-12)})
    assert find_group(PAPER, [stored_sweep(almost)]).standing == "paper"


@pytest.mark.parametrize("momentum", [0.1, None])
def test_the_default_may_be_given(momentum):
    trial = stored_trial(**FULL, **{"scheme_options.norm_momentum": momentum, "model_options.dropout": 0.5})
    assert find_group(PAPER, [stored_sweep(trial)]).mismatches == ()


def test_default_momentum_is_that_of_the_norm_that_is_built():
    for name in ("binarynet", "bnn-shift"):
        module = resolve(TrialConfig(scheme=name, model="digits-mlp", model_options={"hidden": 8})).build()
        norm = next(norm for norm in module.modules() if hasattr(norm, "momentum"))
        setting = Setting(name, "digits", "digits-mlp", 1)
        assert setting.required["scheme_options.norm_momentum"] == norm.momentum
        assert setting.required["model_options.layers"] == 3


@pytest.mark.parametrize(
    ("change", "settings", "mismatch"),
    [
        ({"epochs": 999}, "short", "epochs 999 for 1000"),
        ({"epochs": 1001}, "other", "epochs 1001 for 1000"),
        ({"batch_size": 50}, "other", "batch 50 for 100"),
        ({"model_options.hidden": 1024}, "other", "hidden 1024 for 4096"),
        ({"training/learning_rate_end": 3e-6}, "other", "final learning rate 3e-06 for 3e-07"),
        ({"data": "mnist-other"}, "other", "data mnist-other for mnist"),
        # Options that the setting does not name must have their defaults.
        ({"scheme_options.norm_momentum": 0.9}, "other", "norm_momentum 0.9 for 0.1"),
        ({"scheme_options.halve_every": 50}, "other", "halve_every 50 for default"),
        ({"model_options.dropout": 0.0}, "other", "dropout 0 for 0.5"),
    ],
)
def test_one_difference_is_enough(change, settings, mismatch):
    group = find_group(PAPER, [stored_sweep(stored_trial(**FULL | change))])
    assert (group.standing, group.mismatches) == (settings, (mismatch,))


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": "fp32"},
        {"data": "digits"},
        {"model": "digits-mlp"},
        {"module": "my.Module"},
        {"scheme_options.first_layer": "float"},
        {"scheme_options.weights.name": "sign"},
    ],
)
def test_another_scheme_or_network_says_nothing(change):
    assert find_group(PAPER, [stored_sweep(stored_trial(**FULL | change))]) is None
    assert find_group(PAPER, []) is None


def test_an_essential_key_decides_whether_a_training_speaks_at_all():
    keys = {"model_options.dropout": 0.5}
    needs = Setting("fp32", "mnist", "mnist-mlp", 250, keys, essential=("model_options.dropout",))
    dropped = stored_trial(scheme="fp32", **{"model_options.dropout": 0.5})
    plain = stored_trial(scheme="fp32", epochs=250, **{"model_options.dropout": 0.0})
    assert find_group(needs, [stored_sweep(plain)]) is None
    assert find_group(needs, [stored_sweep(plain, dropped)]).trials == (dropped,)


def test_unpublished_settings_are_never_the_papers():
    setting = Setting("binarynet", "mnist", "mnist-mlp", 1000, unpublished="its rate is unknown")
    group = find_group(setting, [stored_sweep(stored_trial(**FULL))])
    assert (group.standing, group.mismatches) == ("other", ("its rate is unknown",))


def test_the_closest_training_is_taken_whatever_its_error():
    full = [stored_trial(seed, 9, **FULL) for seed in (0, 1)]
    better_but_short = stored_trial(0, 0, epochs=30)
    longer = stored_trial(0, 5, epochs=60)
    found = select_error(PAPER, [stored_sweep(better_but_short, longer), stored_sweep(*full, name="full")])
    assert [sweep.name for sweep in found.sweeps] == ["full"]
    assert found.values["value"] == pytest.approx(4.5)
    found = select_error(PAPER, [stored_sweep(better_but_short, longer)])
    assert (found.values["standing"], found.values["value"]) == ("short", pytest.approx(2.5))


def test_mean_and_spread_over_seeds():
    trials = [stored_trial(seed, wrong, device=device) for seed, wrong, device in ((0, 2, "cpu"), (1, 6, "cuda"))]
    values = select_error(PAPER, [stored_sweep(*trials)]).values
    assert (values["value"], values["seeds"]) == (pytest.approx(2.0), 2)
    assert values["spread"] == pytest.approx(2**0.5)  # of 1 % and 3 %
    assert select_error(PAPER, [stored_sweep(trials[0])]).values["spread"] is None


def test_a_metric_that_one_training_lacks_is_none():
    keys = ("filters/unique_fraction",)
    one, none = stored_trial(0, **{keys[0]: 0.4}), stored_trial(1, **{keys[0]: None})
    assert select_metrics(PAPER, keys, [stored_sweep(one)]).values[keys[0]] == 0.4
    assert select_metrics(PAPER, keys, [stored_sweep(one, none)]) is None


OTHER = Setting("binaryconnect", "mnist", "mnist-mlp", 30)


def test_pairs_share_seeds_and_images():
    first = [stored_trial(seed, 10, scheme="binaryconnect") for seed in (0, 1, 2)]
    second = [stored_trial(1, 20), stored_trial(2, 30), stored_trial(3, 40)]
    found = select_pair(OTHER, PAPER, [stored_sweep(*first), stored_sweep(*second, name="second")])
    assert found.values["seeds"] == 2  # 1 and 2
    assert found.values["first"] == pytest.approx(5)
    assert found.values["second"] == pytest.approx(12.5)
    assert found.values["difference"] == pytest.approx(7.5)
    assert found.values["p_images"] == pytest.approx(2 * mcnemar(20, 0))  # images 10 to 29 in seed 2
    assert found.values["standing"] == "short"
    assert found.values["notes"].startswith("binarynet: epochs 30 for 1000")
    assert [sweep.name for sweep in found.sweeps] == ["tiny", "second"]


def test_other_test_images_make_no_pair():
    first = stored_trial(0, 10, scheme="binaryconnect")
    second = stored_trial(0, 10, labels=[9 - label for label in LABELS])
    assert select_pair(OTHER, PAPER, [stored_sweep(first, second)]) is None
    assert select_pair(OTHER, PAPER, [stored_sweep(first)]) is None
    assert select_pair(OTHER, PAPER, [stored_sweep(first, stored_trial(1))]) is None
