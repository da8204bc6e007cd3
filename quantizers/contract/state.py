"""Checks of the state: what a checkpoint, a copy and another process get of a quantizer."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.contract.fault import first, number, raised
from quantizers.contract.subject import Subject

_MOVED = 3.0
"""How much larger the values are that move a state before it is stored."""


def state_dict(subject: Subject) -> Iterator[str]:
    """An untrained copy that loads the `state_dict` evaluates as the trained one; it holds no pickled code.

    The trained one has heard of a second epoch: a schedule that evaluation follows must be in the state, too.
    """
    trained = subject.ready()
    if not trained.needs_calibration:
        trained.on_epoch(1, 2)
        subject.train(trained, _MOVED)
        _learn(trained, subject.x)
    trained.eval()
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    try:
        stored = torch.load(file, weights_only=True)
    except pickle.UnpicklingError:
        yield "the state_dict holds more than tensors and plain values, which a checkpoint does not load: use buffers"
        return
    loaded = subject.fresh()
    loaded.load_state_dict(stored)
    yield from _differs(trained, loaded.eval(), subject.x, "a copy that loads the state_dict of a trained quantizer")


def _learn(quantizer: Quantizer, x: Tensor) -> None:
    """Move the learned parameters, so that a state without them shows."""
    with torch.no_grad():
        for each in quantizer.learned_parameters():
            each.parameter.mul_(1.25)


def copies(subject: Subject) -> Iterator[str]:
    """`copy.deepcopy` and `pickle` give quantizers that evaluate alike, and share no tensor with the original."""
    quantizer = subject.ready()
    try:
        copied = copy.deepcopy(quantizer)
    except Exception as error:
        yield raised(error, "copy.deepcopy")
        return
    yield from _differs(quantizer, copied, subject.x, "a deep copy")
    shared = {tensor.data_ptr() for _, tensor in _tensors(quantizer)}
    for name, tensor in _tensors(copied):
        if tensor.data_ptr() in shared:
            yield f"a deep copy shares {name!r} with the original: leave out __deepcopy__, or copy the tensor"
            return
    try:
        pickled = pickle.loads(pickle.dumps(quantizer))  # noqa: S301 - bytes of this process
    except Exception as error:
        yield f"{raised(error, 'pickle')}: define classes and functions at a module's top level, without lambdas"
        return
    yield from _differs(quantizer, pickled, subject.x, "a pickled copy")


def _tensors(quantizer: Quantizer) -> list[tuple[str, Tensor]]:
    """Return the parameters and buffers that have values."""
    own: list[tuple[str, Tensor]] = [*quantizer.named_parameters(), *quantizer.named_buffers()]
    return [(name, tensor) for name, tensor in own if tensor.numel()]


@torch.no_grad()
def _differs(one: Quantizer, other: Quantizer, x: Tensor, what: str) -> Iterator[str]:
    remedy = "keep what training or calibration sets in buffers (register_buffer) or parameters, or in get_extra_state"
    if one.is_ready != other.is_ready:
        yield f"{what} has is_ready = {other.is_ready}, the trained one {one.is_ready}: {remedy}"
        return
    try:
        theirs = other(x)
    except Exception as error:
        yield f"{raised(error, what)}; {remedy}"
        return
    ours = one(x)
    if not torch.equal(ours, theirs):
        place = first(ours != theirs)
        yield (
            f"{what} gives {number(theirs, place)} for x = {number(x, place)}, the trained one "
            f"{number(ours, place)}: {remedy}"
        )
