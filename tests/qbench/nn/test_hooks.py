"""What is told of modules while a network runs, and that nothing stays behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qbench.nn.hooks import hooked, watching


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU())


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_inputs_and_outputs_are_told_by_name_in_the_order_of_execution() -> None:
    model, told, x = network(), [], torch.randn(4, 3)
    named = {"first": model[0], "second": model[1]}
    with watching(
        named,
        inputs=lambda name, t: told.append((name, "in", t)),
        outputs=lambda name, t: told.append((name, "out", t)),
    ):
        y = model(x)
    hidden = model[0](x)
    expected = [("first", "in", x), ("first", "out", hidden), ("second", "in", hidden), ("second", "out", y)]
    assert [entry[:2] for entry in told] == [entry[:2] for entry in expected]
    for found, wanted in zip(told, expected, strict=True):
        assert torch.equal(found[2], wanted[2])
    model(x)
    assert len(told) == 4


def test_only_what_is_asked_for_is_hooked() -> None:
    model, seen = network(), []
    with watching({"relu": model[1]}, inputs=lambda name, t: seen.append(name)):
        assert hooks(model) == 1
        model(torch.ones(1, 3))
    assert seen == ["relu"]


def test_hooks_are_removed_after_an_error() -> None:
    model = network()

    def fail(name: str, x: Tensor) -> None:
        raise RuntimeError(name)

    def run() -> None:
        with watching({"linear": model[0], "relu": model[1]}, outputs=fail):
            assert hooks(model) == 2
            model[1](torch.ones(1))

    with pytest.raises(RuntimeError, match="relu"):
        run()
    assert hooks(model) == 0


def test_hooked_is_told_modules_with_all_their_inputs() -> None:
    bilinear, told = nn.Bilinear(2, 2, 1), []
    with hooked(
        [bilinear], before=lambda m, x: told.append((m, len(x))), after=lambda m, x, y: told.append((m, len(x)))
    ):
        bilinear(torch.ones(1, 2), torch.ones(1, 2))
    assert told == [(bilinear, 2)] * 2
    assert hooks(bilinear) == 0
