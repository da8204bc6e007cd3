"""The contract of a quantizer, checked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from quantizers.base import Quantizer
from quantizers.contract import claims, evaluation, state, storage, training
from quantizers.contract.examples import Shape, default_shapes, shape_at, smaller_shapes
from quantizers.contract.fault import Fault, raised
from quantizers.contract.processes import rank_faults
from quantizers.contract.subject import Role, Subject
from quantizers.layer_place import LayerPlace

CHECKS = {
    "ready": "calibration, or two training batches, make it ready, and it quantizes",
    "format": "quantize returns codes of the quantizer's format",
    "codes": "codes have x's shape, an integer dtype, and are codes of the format",
    "scale": "scales are positive, stored as the format says, and not one for each value",
    "values": "in evaluation forward(x) is quantize(x).dequantize(), to the last bit",
    "codes_and_scale": "codes times scale are forward's values, with its gradient",
    "levels": "no more values at one scale than the format has codes",
    "zeros": "zeros alone give finite values",
    "shape": "forward keeps shape and dtype",
    "input": "forward and quantize leave their input as it is",
    "deterministic": "evaluation gives the same again, whatever came before",
    "batch": "an input's values do not depend on the rest of the batch",
    "empty": "a batch without examples passes",
    "gradient": "the gradient reaches x, finite and not 0 everywhere",
    "learned": "learned parameters get finite gradients and stay finite",
    "state_dict": "a copy that loads the state_dict evaluates alike",
    "copies": "deepcopy and pickle give independent copies that evaluate alike",
    "hidden": "evaluation reads parameters and buffers alone",
    "storage": "what evaluation of inputs reads is counted: inference_tensors, scale and zero point",
    "is_binary": "a quantizer that claims it gives -1 and +1 alone",
    "encoding": "encoding() is what every tensor is quantized with",
    "ranks": "two training processes stay equal",
}
"""What each check asks, by its name, in the order in which they are told."""

_Run = Callable[[Subject], Iterable[str]]
_ALWAYS: dict[str, _Run] = {
    "levels": evaluation.levels,
    "shape": evaluation.shape_and_dtype,
    "input": evaluation.unchanged,
    "deterministic": evaluation.deterministic,
    "gradient": training.gradient,
    "learned": training.learned,
    "state_dict": state.state_dict,
    "copies": state.copies,
    "hidden": storage.hidden,
    "is_binary": claims.is_binary,
    "encoding": claims.encoding,
}
_OF_WEIGHTS: dict[str, _Run] = {"codes_and_scale": claims.codes_and_scale}
_OF_INPUTS: dict[str, _Run] = {"batch": evaluation.batch, "empty": evaluation.empty, "storage": storage.uncounted}
_FULL: dict[str, _Run] = {"zeros": evaluation.zeros}


@dataclass(frozen=True)
class Examination:
    """What the checks found of one quantizer.

    Attributes:
        checks: the names of those that were made, in the order of `CHECKS`.
        faults: what they found, in the same order.
    """

    checks: tuple[str, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Candidate:
    """A quantizer to check, and where it stands.

    Attributes:
        quantizer: is copied, and never changed.
        role: what it quantizes.
        shapes: of the tensors it meets; each is checked.
    """

    quantizer: Quantizer
    role: Role
    shapes: tuple[Shape, ...]

    @classmethod
    def at(cls, quantizer: Quantizer, place: LayerPlace | None, shape: Shape | None = None) -> Candidate:
        """Return the candidate of a place; without one, a quantizer of weights, linear and convolutional ones."""
        role: Role = "weights" if place is None else place.role
        if shape is not None:
            return cls(quantizer, role, (shape,))
        return cls(quantizer, role, default_shapes(role) if place is None else (shape_at(place),))


def check_quantizer(
    quantizer: Quantizer, *, place: LayerPlace | None = None, shape: Shape | None = None, full: bool = False
) -> list[Fault]:
    """Return what of the contract `quantizer` breaks; see `CHECKS` and docs/extending.md. Empty where it keeps it.

    It is checked on deep copies, with fixed seeds, on tensors with zeros, ties, large and small magnitudes: a
    quantizer that waits for calibration is calibrated there, any other sees two training batches. Torch's global
    generator is left as it was. Infinite values are not given: what they become is not part of the contract.

    Args:
        quantizer: in any state.
        place: the layer that it is built for, and whether it quantizes weights or inputs; None for weights of a linear
            layer and of a convolution.
        shape: of the tensors that it meets; None takes the place's. Of large ones a part is taken where it serves.
        full: also with tensors of zeros alone, and in two training processes (some seconds).
    """
    (found,) = examine([Candidate.at(quantizer, place, shape)], full=full)
    return list(found.faults)


def examine(candidates: Sequence[Candidate], *, full: bool = False) -> list[Examination]:
    """Check several quantizers as `check_quantizer` does; the two processes are started once for all."""
    subjects: list[list[Subject]] = []
    found: list[list[Fault]] = []
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of made-up values: a calibration that clips nothing, say
        for candidate in candidates:
            own, faults = _subjects(candidate)
            for subject in own:
                faults += _faults(subject, full)
            subjects.append(own)
            found.append(faults)
    ranks = rank_faults([own[0] for own in subjects if own]) if full else []
    answers = iter(ranks)
    for own, faults in zip(subjects, found, strict=True):
        if own and full and (text := next(answers)):
            faults.append(Fault("ranks", text))
    return [
        Examination(_made(candidate.role, full, bool(own)), _in_order(faults))
        for candidate, own, faults in zip(candidates, subjects, found, strict=True)
    ]


def _subjects(candidate: Candidate) -> tuple[list[Subject], list[Fault]]:
    """Return a subject for each shape that serves, and the faults of the others."""
    subjects, faults = [], []
    for shape in candidate.shapes:
        torch.default_generator.manual_seed(0)
        try:
            format = candidate.quantizer.format
            shapes = smaller_shapes(shape, candidate.role, format) if len(candidate.shapes) == 1 else [shape]
            subject = Subject(candidate.quantizer, candidate.role, shapes)
        except Exception as error:
            faults.append(Fault("ready", f"{raised(error, 'the first batch')} (of the shape {list(shape)})"))
            continue
        if subject.is_ready:
            subjects.append(subject)
            continue
        after = "observe and freeze" if candidate.quantizer.needs_calibration else "two training batches"
        faults.append(
            Fault("ready", f"is_ready is False after {after}: set what it tells in freeze, or in forward of training")
        )
    return subjects, faults


def _faults(subject: Subject, full: bool) -> list[Fault]:
    """Return what the checks of one process find."""
    torch.default_generator.manual_seed(0)
    found = [Fault(check, text) for check, text in evaluation.values(subject)]
    for name, run in _runs(subject.role, full).items():
        torch.default_generator.manual_seed(0)
        try:
            found += [Fault(name, text) for text in run(subject)]
        except Exception as error:
            found.append(Fault(name, raised(error, "the check")))
    return found


def _runs(role: str, full: bool) -> dict[str, _Run]:
    return _ALWAYS | (_OF_WEIGHTS if role == "weights" else _OF_INPUTS) | (_FULL if full else {})


def _made(role: str, full: bool, ready: bool) -> tuple[str, ...]:
    if not ready:
        return ("ready",)
    made = {"ready", "format", "codes", "scale", "values", *_runs(role, full), *(("ranks",) if full else ())}
    return tuple(name for name in CHECKS if name in made)


def _in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return the first fault of each check, in the order of `CHECKS`."""
    first: dict[str, Fault] = {}
    for fault in faults:
        first.setdefault(fault.check, fault)
    places = list(CHECKS)
    return tuple(sorted(first.values(), key=lambda fault: places.index(fault.check)))
