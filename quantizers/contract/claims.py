"""Checks of what a quantizer says of itself: `is_binary`, `encoding` and `codes_and_scale`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from quantizers.contract.fault import number
from quantizers.contract.subject import Subject

_CLOSE = 1e-4  # of two float32 gradients that are computed in another order


@torch.no_grad()
def is_binary(subject: Subject) -> Iterator[str]:
    """A quantizer that claims to be binary gives -1 and +1 alone, in training, relaxed or not, and evaluation."""
    if not subject.ready().is_binary:
        return
    for mode in ("evaluation", "training", "relaxed training"):
        quantizer = subject.ready().train(mode != "evaluation")
        quantizer.set_relaxed(mode == "relaxed training")
        values = quantizer(subject.x)
        other = values[values.abs() != 1]
        if other.numel():
            yield f"is_binary is True, but {mode} gives {number(other, 0)}: return False, or -1 and +1 alone"
            return


@torch.no_grad()
def encoding(subject: Subject) -> Iterator[str]:
    """`encoding` is the format, scale and zero point that every tensor is quantized with."""
    quantizer = subject.ready()
    said = quantizer.encoding()
    if said is None:
        return
    for x in (subject.x, 100 * subject.x):
        used = quantizer.quantize(x)
        if said.format != used.format:
            yield f"encoding says {said.format}, quantize uses {used.format}"
            return
        for name, one, two in (("scale", said.scale, used.scale), ("zero point", said.zero_point, used.zero_point)):
            if _unlike(one, two):
                yield (
                    f"encoding says the {name} {_first(one)}, quantize uses {_first(two)} for a tensor of magnitude "
                    f"{float(x.abs().max()):.3g}: return None where the scale follows the tensor"
                )
                return


def _unlike(said: Tensor | None, used: Tensor | None) -> bool:
    if said is None or used is None:
        return said is not used
    return said.numel() != used.numel() or not torch.equal(said.reshape(-1).double(), used.reshape(-1).double())


def _first(x: Tensor | None) -> str:
    if x is None:
        return "None"
    return f"{float(x.reshape(-1)[0]):.9g}" + (f" (the first of {x.numel()})" if x.numel() > 1 else "")


def codes_and_scale(subject: Subject) -> Iterator[str]:
    """The product of codes and scale has the gradient of `forward`; its values are checked with the others."""
    found = []
    for product in (False, True):
        torch.default_generator.manual_seed(0)
        quantizer, x = subject.training(), subject.x.requires_grad_()
        if product:
            given = quantizer.codes_and_scale(x)
            if given is None:
                return
            y = given[0] * given[1]
        else:
            y = quantizer(x)
        if not y.requires_grad:
            if product:
                yield "the gradient does not reach x through codes and scale, as it does through forward"
            return  # without one of forward `gradient` says so
        y.backward(torch.linspace(0.5, 1.5, x.numel()).view(x.shape))
        found.append(torch.zeros_like(x) if x.grad is None else x.grad)
    forward, through = found
    if not torch.allclose(forward, through, rtol=_CLOSE, atol=_CLOSE * float(forward.abs().max())):
        place = int((forward - through).abs().argmax())
        yield (
            f"the gradient through codes and scale is {number(through, place)} where that of forward is "
            f"{number(forward, place)}: layers train by the one, forward says the other"
        )
