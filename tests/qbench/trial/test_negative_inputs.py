"""Counted negative inputs against a count of the inputs themselves."""

import logging

import pytest
import torch
from torch import nn

from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.trial.negative_inputs import counting_negative_inputs


def network(*, relu: bool) -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 5), nn.ReLU() if relu else nn.Tanh(), nn.Linear(5, 3))
    apply_scheme(made, get_scheme("int8-lsq"), input_shape=(6,))
    made.train()(torch.randn(8, 6))
    return made.eval()


def test_signed_codes_count_nothing() -> None:
    signed = network(relu=False)
    with counting_negative_inputs(signed) as counts:
        signed(torch.randn(8, 6))
    assert counts == {}


def test_inputs_that_were_promised_to_be_positive_are_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    unsigned = network(relu=True)
    with counting_negative_inputs(unsigned) as counts:
        unsigned(torch.randn(8, 6))
    assert counts == {"2": 0}
    assert "unsigned" not in caplog.text
    unsigned[1] = nn.Identity()  # the promise is broken afterwards
    x = torch.randn(8, 6)
    expected = int((unsigned[0](x) < 0).sum())
    with caplog.at_level(logging.WARNING), counting_negative_inputs(unsigned) as counts:
        unsigned(x)
    assert expected > 0
    assert counts == {"2": expected}
    assert f"codes are unsigned: 2 {expected}" in caplog.text
