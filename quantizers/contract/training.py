"""Checks of training: the gradient, and the parameters that a quantizer learns."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.contract.fault import first, not_finite, number
from quantizers.contract.subject import Subject

_RATE = 0.01


def gradient(subject: Subject) -> Iterator[str]:
    """The gradient reaches x, is finite, has its dtype, and is not 0 everywhere."""
    x = subject.x.requires_grad_()
    result = subject.training()(x)
    if not result.requires_grad:
        yield "forward's result has no gradient: pass one on, by quantizers.straight_through for example"
        return
    result.backward(_upstream(x))
    grad = x.grad
    if grad is None:
        yield "no gradient reaches x: pass one on, by quantizers.straight_through for example"
    elif (bad := not_finite(grad)) is not None:
        yield (
            f"{int((~torch.isfinite(grad)).sum()):,} of {grad.numel():,} gradients are NaN or infinite, e.g. {bad} at "
            f"x = {number(x, first(~torch.isfinite(grad)))}: clamp what is divided by, or is under a root, from below"
        )
    elif not bool(grad.any()):
        yield (
            "the gradient of x is 0 everywhere, as that of torch.round and torch.sign is: nothing would be trained; "
            "use quantizers.straight_through"
        )


def learned(subject: Subject) -> Iterator[str]:
    """Every learned parameter is the quantizer's own, gets a finite gradient, and stays finite after a step of SGD."""
    quantizer = subject.training()
    names = {id(parameter): name for name, parameter in quantizer.named_parameters()}
    wanted = quantizer.learned_parameters()
    if foreign := [each for each in wanted if id(each.parameter) not in names]:
        yield (
            f"learned_parameters names a parameter of shape {list(foreign[0].parameter.shape)} that the quantizer does "
            "not have: assign it to self as an nn.Parameter"
        )
        return
    if not wanted:
        return
    x = subject.x.requires_grad_()
    quantizer(x).backward(_upstream(x))
    for each in wanted:
        name, grad = names[id(each.parameter)], each.parameter.grad
        if grad is None:
            yield (
                f"no gradient reaches the learned parameter {name!r}: use it in forward, or leave it out of "
                "learned_parameters (a value that nothing learns is a buffer)"
            )
            return
        if (bad := not_finite(grad)) is not None:
            yield f"the gradient of the learned parameter {name!r} is {bad}: clamp what is divided by from below"
            return
    yield from _after_a_step(quantizer, x.detach(), {names[id(each.parameter)]: each.rate for each in wanted})


@torch.no_grad()
def _after_a_step(quantizer: Quantizer, x: Tensor, rates: dict[str, float]) -> Iterator[str]:
    for name, rate in rates.items():
        parameter = quantizer.get_parameter(name)
        assert parameter.grad is not None  # checked before
        parameter.sub_(parameter.grad, alpha=_RATE * rate)
        if (bad := not_finite(parameter)) is not None:
            yield f"the learned parameter {name!r} is {bad} after one step of SGD"
            return
    if (bad := not_finite(quantizer.eval()(x))) is not None:
        yield f"evaluation gives {bad} after one step of SGD on {', '.join(rates)}: bound them where they are used"


def _upstream(x: Tensor) -> Tensor:
    """Return a gradient for the result, none of it 0; as different from value to value as a loss's."""
    return torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) + 0.5
