"""Checks of evaluation: its values, and that they depend on nothing but the tensor."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from quantizers.contract.fault import first, not_finite, number
from quantizers.contract.subject import Subject
from quantizers.contract.tensor import most_values, tensor_faults


def values(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the faults of `tensor_faults` as (check, message), the first of each check over all kinds of tensors."""
    seen = set[str]()
    for kind, x in subject.inputs.items():
        for fault in tensor_faults(subject.ready(), x, subject.role):
            if fault.check not in seen:
                seen.add(fault.check)
                yield fault.check, f"{fault.message} ({kind}, {list(subject.shape)})"


@torch.no_grad()
def levels(subject: Subject) -> Iterator[str]:
    """At most as many different values at one scale as the format has codes."""
    quantizer = subject.ready()
    limit = quantizer.format.levels
    if limit is None:
        return
    for kind, x in subject.inputs.items():
        found = most_values(quantizer(x), quantizer.quantize(x))
        if found > limit:
            yield (
                f"forward gives {found:,} different values at one scale, {quantizer.format} has {limit:,} codes "
                f"({kind}, {list(subject.shape)}): round to the format, or name the format that the values need"
            )
            return


@torch.no_grad()
def zeros(subject: Subject) -> Iterator[str]:
    """All zeros (a pruned layer, dead activations) give finite values, those that `quantize` gives."""
    x = torch.zeros(subject.shape)
    quantizer = subject.ready()
    result = quantizer(x)
    if (bad := not_finite(result)) is not None:
        yield f"a tensor of zeros gives {bad}: clamp what is divided by from below"
        return
    if not tensor_faults(quantizer, subject.x, subject.role):  # those of other tensors are told as such
        yield from (str(fault) for fault in tensor_faults(quantizer, x, subject.role)[:1])


@torch.no_grad()
def shape_and_dtype(subject: Subject) -> Iterator[str]:
    """`forward` keeps the shape and the dtype, in training and evaluation."""
    for x in (subject.x, subject.x.double()):
        for quantizer in (subject.ready(), subject.training()):
            mode = "training" if quantizer.training else "evaluation"
            y = quantizer(x)
            if y.shape != x.shape or y.dtype != x.dtype:
                yield (
                    f"forward of {_described(x)} returns {_described(y)} in {mode}: end it with .to(x.dtype), "
                    "in the shape of x"
                )
                return


@torch.no_grad()
def unchanged(subject: Subject) -> Iterator[str]:
    """Neither `forward` nor `quantize` writes into its input."""
    for name, quantizer in (("training", subject.training()), ("evaluation", subject.ready())):
        x = subject.x
        quantizer(x)
        if not torch.equal(x, subject.x):
            yield f"forward changes its input in place, in {name}: use operations without a trailing underscore"
            return
    quantizer.quantize(x)
    if not torch.equal(x, subject.x):
        yield "quantize changes its input in place: use operations without a trailing underscore"


@torch.no_grad()
def deterministic(subject: Subject) -> Iterator[str]:
    """Evaluation gives the same again: after other tensors, under another seed, before and after `reseed`."""
    quantizer, x = subject.ready(), subject.x

    def once(seed: int) -> tuple[Tensor, Tensor]:
        torch.default_generator.manual_seed(seed)
        return quantizer(x), quantizer.quantize(x).codes

    before = once(0)
    quantizer(3 * x)
    quantizer.quantize(3 * x)
    cases = [("after another tensor", once(0)), ("under another torch.manual_seed", once(1))]
    quantizer.reseed(7)
    cases.append(("after reseed", once(0)))
    for when, again in cases:
        for name, one, two in zip(("forward", "quantize"), before, again, strict=True):
            if not torch.equal(one, two):
                place = first(one != two)
                yield (
                    f"evaluation by {name} gives {number(one, place)}, then {number(two, place)} for "
                    f"x = {number(x, place)}, {when}: draw and follow statistics in training alone (self.training)"
                )
                return


@torch.no_grad()
def batch(subject: Subject) -> Iterator[str]:
    """Of inputs: an example's values do not depend on the other examples of its batch."""
    quantizer, x = subject.ready(), subject.x
    x[0] *= 10  # what a scale of the batch would follow
    together, alone = quantizer(x), torch.cat([quantizer(example) for example in x.split(1)])
    if not torch.equal(together, alone):
        place = first(together != alone)
        yield (
            f"{number(x, place)} becomes {number(together, place)} in a batch of {len(x)} and {number(alone, place)} "
            "alone: take the scale of inputs from training, or of each example by itself"
        )


def empty(subject: Subject) -> Iterator[str]:
    """Of inputs: a batch without examples passes, in training and evaluation, and leaves everything as it was."""
    x = torch.empty(0, *subject.shape[1:])
    quantizer = subject.ready()
    with torch.no_grad():
        before = quantizer(subject.x)
        codes = quantizer.quantize(x).codes
        if codes.shape != x.shape:
            yield f"quantize of {list(x.shape)} returns codes of the shape {list(codes.shape)}"
    for training in (False, True):
        given = x.clone().requires_grad_()
        y = quantizer.train(training)(given)
        if y.shape != x.shape:
            yield f"forward of {list(x.shape)} returns the shape {list(y.shape)}"
            return
        if y.requires_grad:
            y.sum().backward()
    with torch.no_grad():
        if not torch.equal(quantizer.eval()(subject.x), before):
            yield "a training batch without examples changes evaluation: return x where x.numel() is 0"


def _described(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {list(x.shape)}"
