import math
import random

import pytest
from scipy import stats

from qbench.errors import ConfigError
from qbench.sweep.distribution import parse_distribution

# The quantile function of each distribution, from scipy; the semantics are those of wandb's `sweeps` package.
CONTINUOUS = {
    "uniform": ({"min": -1.0, "max": 3.0}, stats.uniform(-1, 4)),
    "log_uniform": ({"min": -4, "max": 1}, stats.loguniform(math.exp(-4), math.exp(1))),
    "log_uniform_values": ({"min": 1e-4, "max": 1e-1}, stats.loguniform(1e-4, 1e-1)),
    "inv_log_uniform_values": ({"min": 1e-4, "max": 1e-1}, stats.loguniform(1e-4, 1e-1)),
    "inv_log_uniform": ({"min": 1, "max": 4}, stats.loguniform(math.exp(-4), math.exp(-1))),
    "normal": ({"mu": 2.0, "sigma": 0.5}, stats.norm(2, 0.5)),
    "log_normal": ({"mu": 1.0, "sigma": 0.25}, stats.lognorm(s=0.25, scale=math.exp(1))),
    "beta": ({"a": 2, "b": 5}, stats.beta(2, 5)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_quantiles_are_the_distributions(name):
    keys, reference = CONTINUOUS[name]
    distribution = parse_distribution({"distribution": name, **keys})
    for u in (0.001, 0.1, 0.5, 0.77, 0.999):
        assert distribution.quantile(u) == pytest.approx(float(reference.ppf(u)), rel=1e-9)
    assert distribution.values is None


@pytest.mark.parametrize(
    ("name", "keys", "reference"),
    [
        ("q_uniform", {"min": 0, "max": 10, "q": 2.5}, stats.uniform(0, 10)),
        ("q_log_uniform_values", {"min": 1, "max": 100, "q": 5}, stats.loguniform(1, 100)),
        ("q_log_uniform", {"min": 0, "max": 4, "q": 0.5}, stats.loguniform(1, math.exp(4))),
        ("q_normal", {"mu": 3, "sigma": 2, "q": 0.25}, stats.norm(3, 2)),
        ("q_log_normal", {"mu": 1, "sigma": 1, "q": 3}, stats.lognorm(s=1, scale=math.e)),
        ("q_beta", {"a": 2, "b": 2, "q": 0.1}, stats.beta(2, 2)),
    ],
)
def test_q_rounds_to_multiples(name, keys, reference):
    distribution = parse_distribution({"distribution": name, **keys})
    for u in (0.03, 0.42, 0.9):
        expected = round(float(reference.ppf(u)) / keys["q"]) * keys["q"]
        value = distribution.quantile(u)
        assert value == pytest.approx(expected)
        assert isinstance(value, int) == isinstance(keys["q"], int)  # epochs and widths must come out as integers


def test_the_kind_follows_from_the_keys():
    kinds = {
        "constant": {"value": None},
        "categorical": {"values": ["a", 1]},
        "categorical_w_probabilities": {"values": ["a", 1], "probabilities": [0.25, 0.75]},
        "int_uniform": {"min": 1, "max": 3},
        "uniform": {"min": 1, "max": 3.0},
    }
    assert {name: parse_distribution(keys).name for name, keys in kinds.items()} == {name: name for name in kinds}


def test_a_grid_lists_what_is_finite():
    assert parse_distribution({"values": [3, 1, 2]}).values == (3, 1, 2)
    assert parse_distribution({"value": {"a": 1}}).values == ({"a": 1},)
    assert parse_distribution({"min": -1, "max": 2}).values == (-1, 0, 1, 2)
    # As wandb's grid (numpy's arange), max is left out.
    assert parse_distribution({"distribution": "q_uniform", "min": 0, "max": 10, "q": 4}).values == (0, 4, 8)
    assert parse_distribution({"distribution": "q_uniform", "min": 0, "max": 8, "q": 4}).values == (0, 4)
    assert parse_distribution({"values": [1, 2], "probabilities": [0.5, 0.5]}).values is None


def test_int_uniform_reaches_both_ends_evenly():
    quantile = parse_distribution({"min": 1, "max": 4}).quantile
    assert [quantile(u) for u in (0.0, 0.2499, 0.25, 0.5, 0.75, 0.9999999)] == [1, 1, 2, 3, 4, 4]


def test_probabilities_are_followed_and_zero_is_never_drawn():
    distribution = parse_distribution({"values": ["a", "b", "c"], "probabilities": [0.2, 0.8, 0.0]})
    assert distribution.support == 2
    draws = [distribution.quantile(random.Random(i).random()) for i in range(2000)]
    assert draws.count("a") == pytest.approx(400, abs=60)
    assert "c" not in draws
    assert distribution.quantile(1 - 2**-53) == "b"


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ({}, None, "needs `value`"),
        ({"values": []}, "values", "empty list"),
        ({"values": "fp32"}, "values", "must be a list"),
        ({"values": [0, 1, 0]}, "values", "holds 0 twice"),
        ({"values": [1, 1.0]}, "values", "twice"),
        ({"values": [1], "value": 1}, "value", "no such key"),
        ({"distribution": "unifrom", "min": 0, "max": 1}, "distribution", "did you mean 'uniform'"),
        ({"distribution": ["uniform"]}, "distribution", "unknown distribution"),
        ({"distribution": "uniform", "min": 0}, "max", "is required"),
        ({"distribution": "uniform", "min": "1e-4", "max": 1}, "min", "must be a number, got '1e-4'"),
        ({"distribution": "uniform", "min": True, "max": 2}, "min", "must be a number"),
        ({"min": 3, "max": 1}, "max", "is empty"),
        ({"min": 2.0, "max": 1.0}, "max", "is empty"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "min", "must be an integer"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "min", "must be above 0"),
        ({"distribution": "log_uniform", "min": 1, "max": 1e4}, "max", "exponents"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q", "must be above 0"),
        ({"distribution": "normal", "sigma": -1}, "sigma", "must be above 0"),
        ({"distribution": "normal", "mean": 1}, "mean", "no such key"),
        ({"distribution": "beta", "a": 0}, "a", "must be above 0"),
        ({"values": [1, 2], "probabilities": [0.5]}, "probabilities", "list of 2 numbers"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "probabilities", "sum to 1"),
        ({"values": [1, 2], "probabilities": [1.5, -0.5]}, "probabilities", "from 0 to 1"),
    ],
)
def test_malformed_distributions_are_refused_by_key(keys, key, message):
    with pytest.raises(ConfigError) as error:
        parse_distribution(keys)
    assert error.value.key == key
    assert message in error.value.message


def test_true_and_one_are_different_values():
    assert parse_distribution({"values": [1, True]}).values == (1, True)
