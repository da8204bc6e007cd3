import itertools

import pytest

from qbench.errors import ConfigError
from qbench.sweep.config import load_sweep
from qbench.sweep.search import search_of


def points(tmp_path, text, limit=None):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return list(search_of(load_sweep(path)).points(limit))


def test_a_grid_is_the_product_in_the_files_order(tmp_path):
    text = """
method: grid
parameters:
  scheme: {values: [b, a]}
  model_options: {parameters: {width: {values: [8, 4]}, depth: {value: 2}}}
  seed: {min: 0, max: 1}
"""
    expected = [
        {"scheme": scheme, "model_options": {"width": width, "depth": 2}, "seed": seed}
        for scheme, width, seed in itertools.product(["b", "a"], [8, 4], [0, 1])
    ]
    assert points(tmp_path, text) == expected
    assert points(tmp_path, text, 3) == expected[:3]


def test_a_huge_grid_is_refused_without_being_built(tmp_path):
    text = "method: grid\nparameters:\n  seed: {min: 0, max: 999}\n  split_seed: {min: 0, max: 999}\n"
    with pytest.raises(ConfigError, match="1,000,000 trials"):
        points(tmp_path, text)
    assert len(points(tmp_path, text, 5)) == 5


RANDOM = """
method: random
seed: {seed}
parameters:
  scheme: {{value: fp32}}
  learning_rate: {{distribution: log_uniform_values, min: 1e-4, max: 1e-2}}
  seed: {{min: 0, max: 1000000}}
"""


def test_a_random_search_repeats_itself_and_grows(tmp_path):
    ten = points(tmp_path, RANDOM.format(seed=1), 10)
    assert ten == points(tmp_path, RANDOM.format(seed=1), 10)
    assert ten[:4] == points(tmp_path, RANDOM.format(seed=1), 4)
    assert ten != points(tmp_path, RANDOM.format(seed=2), 10)
    assert len({point["learning_rate"] for point in ten}) == 10


def test_random_values_are_the_same_everywhere(tmp_path):
    # Fixed by hand: another platform or version must draw the same trials, or a resumed sweep starts anew.
    assert [point["seed"] for point in points(tmp_path, RANDOM.format(seed=1), 3)] == [441488, 95997, 17092]


def test_a_parameter_more_leaves_the_others_as_they_were(tmp_path):
    before = points(tmp_path, RANDOM.format(seed=1), 5)
    after = points(tmp_path, RANDOM.format(seed=1) + "  epochs: {min: 1, max: 9}\n", 5)
    assert [{**point, "epochs": None} for point in after] == [{**point, "epochs": None} for point in before]
    assert len({point["epochs"] for point in after}) > 1


def test_random_draws_do_not_repeat_and_end_with_the_space(tmp_path):
    text = "method: random\nparameters:\n  scheme: {values: [a, b, c]}\n  seed: {min: 0, max: 3}\n"
    found = points(tmp_path, text, 100)
    assert len(found) == 12
    assert len({repr(point) for point in found}) == 12


def test_a_random_search_without_end_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="run_cap in the file, or give --max-runs"):
        points(tmp_path, RANDOM.format(seed=1))
