"""Optimizers by name: what they keep, what they compute, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError
from qbench.schemes.named import NamedSpec
from qbench.schemes.optimizers.registry import (
    OPTIMIZERS,
    build_optimizer,
    check_optimizer,
    optimizer_moments,
    rounds_rates,
)
from qbench.schemes.optimizers.shift_adamax import ShiftAdaMax
from qbench.schemes.recipe import Recipe


def spec(name: str, **options: Any) -> NamedSpec:
    return NamedSpec(name=name, options=options)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("adam", 2),
        ("sgd", 0),
        ("shift-adamax", 2),
        (spec("sgd", momentum=0.9), 1),
        (spec("sgd", momentum=0.9, nesterov=True, weight_decay=1e-4), 1),
        (spec("adam", weight_decay=1e-4), 2),
        (spec("adamw", amsgrad=True), 3),
        ("adamw", 2),
        ("rmsprop", 1),
        (spec("rmsprop", momentum=0.9, centered=True), 3),
        ("adagrad", 1),
        ("nadam", 2),
        ("torch.optim.Adadelta", 2),
        ("torch.optim.SGD", 0),
        ("torch.optim.Adafactor", 2 / 64),  # a row's and a column's for 64·64
    ],
)
def test_moments_are_what_the_formulas_keep(chosen: str | NamedSpec, expected: float) -> None:
    assert optimizer_moments(chosen) == expected
    assert Recipe(optimizer=chosen).optimizer_moments == expected


@pytest.mark.parametrize("name", ["adam", "sgd", "shift-adamax"])
def test_known_moments_are_the_counted_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = optimizer_moments(name)
    monkeypatch.setattr("qbench.schemes.optimizers.registry._MOMENTS", {})
    assert optimizer_moments(name) == known


def steps(make: Any, options: dict[str, Any]) -> torch.Tensor:
    """Return a parameter after five steps on seeded gradients."""
    generator = torch.Generator().manual_seed(1)
    parameter = nn.Parameter(torch.randn(7, 5, generator=generator))
    optimizer = make([{"params": [parameter], "lr": 0.1}], **options)
    for _ in range(5):
        parameter.grad = torch.randn(7, 5, generator=generator)
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize(
    ("name", "kind", "options", "implied"),
    [
        ("adam", torch.optim.Adam, {}, {"fused": True}),
        ("sgd", torch.optim.SGD, {}, {"fused": True}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, {"fused": True}),
        ("adamw", torch.optim.AdamW, {"betas": [0.8, 0.9]}, {"fused": True}),
        ("rmsprop", torch.optim.RMSprop, {"alpha": 0.5}, {}),
        ("shift-adamax", ShiftAdaMax, {}, {}),
        ("torch.optim.Adamax", torch.optim.Adamax, {"eps": 1e-3}, {}),
    ],
)
def test_bits_are_those_of_the_class_itself(
    name: str, kind: type, options: dict[str, Any], implied: dict[str, Any]
) -> None:
    found = steps(lambda groups, **given: build_optimizer(spec(name, **given), groups), options)
    assert torch.equal(found, steps(kind, options | implied))


def test_weight_decay_spares_groups_that_have_their_own() -> None:
    weight, step_size = (nn.Parameter(torch.full((2,), 4.0)) for _ in range(2))
    groups = [{"params": [weight], "lr": 0.5}, {"params": [step_size], "lr": 0.5, "weight_decay": 0.0}]
    optimizer = build_optimizer(spec("sgd", weight_decay=0.1), groups)
    for each in (weight, step_size):
        each.grad = torch.zeros(2)
    optimizer.step()
    assert weight.tolist() == pytest.approx([4 - 0.5 * 0.1 * 4] * 2)
    assert step_size.tolist() == [4.0, 4.0]


def test_a_rate_that_the_constructor_asks_for_is_the_groups() -> None:
    class NeedsRate(torch.optim.SGD):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, lr=lr)

    OPTIMIZERS.add("needs-rate", NeedsRate)
    try:
        optimizer = build_optimizer("needs-rate", [{"params": [nn.Parameter(torch.ones(1))], "lr": 0.25}])
    finally:
        del OPTIMIZERS._items["needs-rate"]
    assert optimizer.defaults["lr"] == 0.25


def test_only_shift_adamax_rounds_its_rates() -> None:
    assert [name for name in OPTIMIZERS if rounds_rates(name)] == ["shift-adamax"]
    assert rounds_rates("qbench.schemes.optimizers.shift_adamax.ShiftAdaMax")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("adamm", "optimizer: unknown optimizer 'adamm'; did you mean 'adam'"),
        ("torch.optim.Adamm", "has no attribute 'Adamm'"),
        ("torch.nn.Linear", "'torch.nn.Linear' is Linear, expected a class of optimizers"),
        ("torch.pi", "'torch.pi' is float, expected a class of optimizers"),
        (spec("sgd", momentom=0.9), "optimizer 'sgd' has no option 'momentom'; did you mean 'momentum'"),
        (spec("sgd", lr=0.1), "optimizer 'sgd': its rate is the recipe's: set learning_rate"),
        (spec("sgd", params=[]), "has no option 'params'"),
    ],
)
def test_unknown_names_and_options_are_refused(chosen: str | NamedSpec, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_optimizer(chosen)
    with pytest.raises(ConfigError, match=message):
        Recipe(optimizer=chosen)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (spec("sgd", momentum=-1), "Invalid momentum value"),
        (spec("sgd", nesterov=True), "Nesterov momentum requires"),
        ("torch.optim.LBFGS", "takes no step from gradients alone"),
        ("torch.optim.SparseAdam", "takes no step from gradients alone"),
    ],
)
def test_what_cannot_train_is_refused(chosen: str | NamedSpec, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        optimizer_moments(chosen)
