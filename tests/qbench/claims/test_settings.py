"""The sweeps of the papers' tables: valid, and each trial at the setting that its claim calls the paper's."""

from collections import Counter
from pathlib import Path

import pytest
import yaml
from stored_examples import stored_sweep, stored_trial

from qbench.claims import settings
from qbench.claims.selection import find_group
from qbench.schemes.catalogue import get_scheme
from qbench.sweep.config import load_sweep
from qbench.sweep.search import search_of
from qbench.training.module import QuantModule
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial
from qbench.trial.run import check, resolve

SWEEPS = Path(__file__).parents[3] / "sweeps"
EXPECTED = {
    "paper_mnist": [
        settings.BINARYNET_MNIST,
        settings.BNN_MNIST,
        settings.BINARYCONNECT_MNIST,
        settings.BINARYCONNECT_MNIST_STOCHASTIC,
        settings.FLOAT_MNIST,
        settings.DROPOUT_MNIST,
        settings.BITWISE_MNIST,
        settings.TERNARY_MNIST,
    ],
    "paper_cifar10": [
        settings.BINARYNET_CIFAR10,
        settings.BNN_CIFAR10,
        settings.BINARYCONNECT_CIFAR10,
        settings.BINARYCONNECT_CIFAR10_STOCHASTIC,
        settings.FLOAT_CIFAR10,
    ],
    "paper_svhn": [
        settings.BINARYNET_SVHN,
        settings.BNN_SVHN,
        settings.BINARYCONNECT_SVHN,
        settings.BINARYCONNECT_SVHN_STOCHASTIC,
        settings.FLOAT_SVHN,
    ],
}


def trials(name):
    config = load_sweep(SWEEPS / f"{name}.yaml")
    return [TrialConfig.from_mapping(point) for point in search_of(config).points(None)]


def row(config):
    """The keys of a result row that training would give."""
    named = get_scheme(config.scheme, **config.scheme_options)
    start = config.learning_rate or named.recipe.learning_rate
    return {
        **config.flat(),
        "training/epochs": config.epochs * named.recipe.epoch_factor,
        "training/learning_rate_start": start,
        "training/learning_rate_end": config.learning_rate_end,
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_every_row_runs_at_its_papers_setting(name):
    found = [trial for trial in trials(name) if trial.seed == 0]
    assert len(found) == len(EXPECTED[name])
    for config, setting in zip(found, EXPECTED[name], strict=True):
        group = find_group(setting, [stored_sweep(stored_trial(**row(config)))])
        assert group is not None
        assert group.mismatches == ((setting.unpublished,) if setting.unpublished else ())


@pytest.mark.parametrize("name", [*EXPECTED, "paper_mnist_short"])
def test_three_seeds_each_and_the_first_of_all_first(name):
    found = trials(name)
    assert Counter(trial.seed for trial in found) == dict.fromkeys((0, 1, 2), len(found) // 3)
    if name in EXPECTED:
        assert [trial.seed for trial in found] == sorted(trial.seed for trial in found)


def test_the_settings_of_the_papers_table():
    # PAPERS.md, section 9, by hand: batch, epochs, initial and final learning rate.
    table = [
        (settings.BINARYNET_MNIST, 100, 1000, 3e-3, 3e-7),
        (settings.BINARYNET_CIFAR10, 50, 500, 1e-3, 3e-7),
        (settings.BINARYNET_SVHN, 50, 200, 1e-3, 1e-6),
        (settings.BINARYCONNECT_MNIST, 100, 250, 1e-3, 3e-6),
        (settings.BINARYCONNECT_CIFAR10, 50, 500, 3e-3, 2e-6),
        (settings.BINARYCONNECT_SVHN, 50, 200, 1e-2, 3e-6),
    ]
    keys = ("batch_size", "training/epochs", "training/learning_rate_start", "training/learning_rate_end")
    for setting, *values in table:
        assert [setting.required[key] for key in keys] == values


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (settings.BNN_MNIST, "length is not published"),
        (settings.BNN_CIFAR10, "length is not published"),
        (settings.BNN_SVHN, "not known here"),
        (settings.FLOAT_CIFAR10, "rates are not published"),
        (settings.FLOAT_SVHN, "rates are not published"),
        (settings.FLOAT_MNIST, "centred"),
        (settings.BINARYCONNECT_MNIST, "centred"),
    ],
)
def test_what_is_this_projects_own_choice_is_not_judged(setting, reason):
    assert reason in setting.unpublished


def test_the_short_sweep_is_short_and_small():
    text = (SWEEPS / "paper_mnist_short.yaml").read_text()
    assert text.startswith("# SHORT")
    for config in trials("paper_mnist_short"):
        assert config.model_options == {"hidden": 1024, "layers": 3, "input_dropout": 0.0, "dropout": 0.0}
        assert resolve(config).epochs <= 30
    names = {config.scheme for config in trials("paper_mnist_short")}
    assert names == {"fp32", "binaryconnect", "binaryconnect-stochastic", "binarynet", "bnn-shift"}


def test_the_short_cifar10_sweep_differs_in_its_length_alone():
    (config,) = trials("paper_cifar10_short")
    group = find_group(settings.BINARYNET_CIFAR10, [stored_sweep(stored_trial(**row(config)))])
    assert (group.standing, group.mismatches) == ("short", ("epochs 1 for 500",))


@pytest.fixture
def no_data_needed(monkeypatch):
    """Let a text stand for the data's content: their files are gigabytes, and it is the networks that are built."""
    monkeypatch.setattr(ResolvedTrial, "data_digest", "digest")


@pytest.mark.parametrize("name", ["paper_mnist_short", "paper_svhn"])
def test_trials_can_be_built(name, no_data_needed):
    # The first seed of each; `qbench validate` builds all, and the wide networks take their time.
    for config in trials(name):
        if config.seed == 0:
            check(resolve(config))


@pytest.mark.parametrize("name", ["paper_mnist", "paper_cifar10"])
def test_trials_of_wide_networks_resolve(name, no_data_needed):
    for config in trials(name):
        if config.seed == 0:
            narrow = config.model_copy(
                update={"model_options": config.model_options | ({"hidden": 8} if "mnist" in name else {"width": 8})}
            )
            check(resolve(narrow))


def test_norm_momentum_reaches_the_norms():
    config = next(trial for trial in trials("paper_mnist") if trial.scheme == "binaryconnect")
    parts = resolve(config.model_copy(update={"model_options": {"hidden": 8}}))
    module = parts.build()
    assert isinstance(module, QuantModule)
    assert {norm.momentum for norm in module.modules() if hasattr(norm, "momentum")} == {0.15}


def test_no_key_is_given_twice():
    for name in (*EXPECTED, "paper_mnist_short"):
        parameters = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text())["parameters"]
        for values in parameters["settings"]["values"]:
            assert not set(values) & (set(parameters) - {"settings"})
