"""The reference's formulas of groups, tables and odd codes, by hand, and networks under their schemes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qbench.conformance import formulas
from qbench.conformance.check import check_cell
from qbench.conformance.subject import Subject


def test_integers_in_groups_by_hand() -> None:
    weight = torch.tensor([[7.0, 0.5, 1.5, 14.0, 3.0]])
    assert formulas.group_integers(weight, 4, 3, 32).tolist() == [[7.0, 0.0, 2.0, 14.0, 4.0]]
    assert formulas.group_integers(torch.tensor([[9.0, 1.0]]), 4, 2, 8).tolist() == [[8.0, 0.0]]


def test_the_nearest_values_by_hand() -> None:
    weight = torch.tensor([[2.0, 0.4, -0.1, -1.2]])
    assert formulas.nearest_values(weight, (-1.0, 0.0, 0.25, 1.0), None, 32, True).tolist() == [[2.0, 0.5, 0.0, -2.0]]
    # Half to even among integers, and a power of two that saturates 7.
    assert formulas.nearest_values(torch.tensor([[4.0, 2.5, -0.5]]), range(-4, 5), None, 32, True).tolist() == [
        [4.0, 2.0, 0.0]
    ]
    assert formulas.nearest_values(torch.tensor([[7.0, 1.0]]), (0.0, 1.0, 4.0, 6.0), 2, 8, False).tolist() == [
        [6.0, 1.0]
    ]


def test_stored_scales_by_hand() -> None:
    assert [formulas.stored_scale(wanted, 8) for wanted in (1.0, 1.1, 0.5, 1e-60)] == [1.0, 2.0, 0.5, 2.0**-127]
    assert [formulas.stored_scale(wanted, 16) for wanted in (1.0, 1.0001, 1e9)] == [1.0, 1 + 2.0**-10, 65504.0]


def test_dorefa_by_hand() -> None:
    found = formulas.dorefa_weights(torch.tensor([9.0, -9.0, 0.0, 0.1]), 2)
    assert found.tolist() == pytest.approx([1.0, -1.0, 1 / 3, 1 / 3])
    assert formulas.dorefa_activations(torch.tensor([-1.0, 0.4, 0.5, 2.0]), 2).tolist() == pytest.approx(
        [0.0, 1 / 3, 2 / 3, 1.0]
    )


@pytest.mark.parametrize("scheme", ["int4-g32", "nf4-g64", "mxfp4", "dorefa-4bit"])
def test_networks_under_the_schemes_are_right(scheme: str) -> None:
    layers = (nn.Conv1d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(60, 40), nn.ReLU(), nn.Linear(40, 3))
    cell = check_cell(Subject("net", lambda: nn.Sequential(*layers), (2, 12)), scheme)
    assert (cell.verdict, cell.message) == ("right", "")
    packed = 1 if scheme == "dorefa-4bit" else 0
    assert cell.packed_layers == packed
    share = 1.0 if not packed else 60 * 40 / (2 * 3 * 6 * 10 + 60 * 40 + 40 * 3)
    assert cell.quantized_share == pytest.approx(share)
