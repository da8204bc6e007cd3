"""The reference's formulas, by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from qbench.conformance import formulas


def test_the_sign_of_zero_is_plus_one() -> None:
    assert formulas.signs(torch.tensor([-2.0, -0.0, 0.0, 3.0])).tolist() == [-1, 1, 1, 1]


def test_scaled_signs_have_the_mean_magnitude_of_their_channel() -> None:
    weight = torch.tensor([[1.0, -3.0], [0.0, 0.5]])
    assert formulas.scaled_signs(weight).tolist() == [[2.0, -2.0], [0.25, 0.25]]


def test_ternary_takes_the_step_of_least_error() -> None:
    # Keeping 4 and -3: step 3.5, error 0.25 + 0.25 + 1 = 1.5; one: 9 + 1 = 10; all: step 8/3, error 4.67.
    assert formulas.ternary(torch.tensor([[4.0, -3.0, 1.0]]), per_channel=True).tolist() == [[3.5, -3.5, 0.0]]


def test_ternary_has_a_step_for_each_channel_or_one() -> None:
    weight = torch.tensor([[4.0, 4.0], [1.0, 1.0]])
    assert formulas.ternary(weight, per_channel=True).tolist() == weight.tolist()
    # Together: two of 4 alone leave 2; all four, step 2.5, leave 9.
    assert formulas.ternary(weight, per_channel=False).tolist() == [[4.0, 4.0], [0.0, 0.0]]


def test_integers_round_half_to_even_and_saturate() -> None:
    x = torch.tensor([0.25, 0.75, -0.25, 100.0, -100.0])
    assert formulas.integers(x, torch.tensor(0.5), 0.0, -127, 127).tolist() == [0.0, 1.0, 0.0, 63.5, -63.5]


def test_unsigned_integers_have_a_zero_point() -> None:
    x = torch.tensor([-10.0, -1.0, 0.0, 1.0])
    assert formulas.integers(x, torch.tensor(0.5), 4.0, 0, 255).tolist() == [-2.0, -1.0, 0.0, 1.0]


def test_a_channels_largest_weight_is_code_127() -> None:
    scales: Tensor = formulas.channel_scales(torch.tensor([[254.0, -10.0], [0.0, 0.0]]))
    assert scales.tolist() == [2.0, 1.0]
