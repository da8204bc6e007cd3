"""The registry of losses, and what is made of a recipe's choice."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from qbench.errors import ConfigError, check_options, named_in
from qbench.schemes.named import NamedSpec, spelled_out
from qbench.training.losses.cross_entropy import cross_entropy
from qbench.training.losses.hinge import hinge
from qbench.training.losses.squared_hinge import squared_hinge
from quantizers import Registry

Loss = Callable[..., Tensor]
"""A loss: `(scores, labels) -> Tensor []` of scores, float [B, classes], and labels, int64 [B]: a batch's mean.

One whose attribute `needs_teacher` is true is called as `(scores, labels, teacher_scores)`. A trial trains the scheme
that its attribute `teacher` names, with `teacher_options` (a mapping, of `get_scheme`), and gives it that one's scores.
"""

LOSSES: Registry[Callable[..., Any]] = Registry("loss", group="qbench.losses")
"""The losses by name.

An entry is the loss itself: a function `(scores, labels, **options)`. Or it builds one: a class, or a function that has
a parameter `classes`, gets the options, and the number of classes where it has that parameter.
"""

LOSSES.add("squared_hinge", squared_hinge)
LOSSES.add("hinge", hinge)
LOSSES.add("cross_entropy", cross_entropy)

_KEY = "loss"
_BATCH = 2
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def build_loss(chosen: str | NamedSpec, classes: int) -> Loss:
    """Return the loss of a recipe, tried on scores of 0.

    Raises:
        ConfigError: a name that is not known, with the nearest; a dotted path that cannot be imported; options that it
            does not take, lacks, or refuses; a loss that gives no single number.
    """
    spec = spelled_out(chosen)
    found = named_in(LOSSES, spec.name, _KEY)
    if not callable(found):
        raise ConfigError(f"{spec.name!r} is {type(found).__name__}, expected a function, or a class of losses", _KEY)
    loss = _built(found, spec, classes)
    _try(loss, spec, classes)
    return loss


def needs_teacher(loss: Loss) -> bool:
    """Whether a loss is given a teacher's scores."""
    return bool(getattr(loss.func if isinstance(loss, partial) else loss, "needs_teacher", False))


def _built(found: Callable[..., Any], spec: NamedSpec, classes: int) -> Loss:
    what, parameters = f"loss {spec.name!r}", _parameters(found)
    if not isinstance(found, type) and "classes" not in parameters:
        if parameters and sum(each.kind in _POSITIONAL for each in parameters.values()) < 2:
            raise ConfigError(
                f"{what} takes no (scores, labels); a function that builds a loss has a parameter `classes`", _KEY
            )
        check_options(what, found, spec.options, _KEY, given=tuple(parameters)[: 3 if needs_teacher(found) else 2])
        return partial(found, **spec.options) if spec.options else found
    told = {"classes": classes} if "classes" in parameters else {}
    check_options(what, found, spec.options, _KEY, given=tuple(told))
    try:
        loss: Any = found(**told, **spec.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"loss {spec}: {error}", _KEY) from error
    if not callable(loss):
        raise ConfigError(f"{spec.name!r} builds {type(loss).__name__}, which cannot be called", _KEY)
    built: Loss = loss
    return built


def _parameters(found: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(found).parameters)
    except ValueError:  # written in C, and says nothing
        return {}


def _try(loss: Loss, spec: NamedSpec, classes: int) -> None:
    """Refuse what gives no single number for a batch; neither the loss nor torch's generators are touched."""
    scores, labels = torch.zeros(_BATCH, classes), torch.zeros(_BATCH, dtype=torch.int64)
    arguments = (scores, labels, scores) if needs_teacher(loss) else (scores, labels)
    try:
        with torch.random.fork_rng(devices=[]):
            found: Any = copy.deepcopy(loss)(*arguments)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(f"loss {spec} fails on scores [{_BATCH}, {classes}]: {error}", _KEY) from error
    if not (isinstance(found, Tensor) and found.dim() == 0 and found.is_floating_point()):
        kind = f"a tensor {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ConfigError(
            f"loss {spec} gives {kind} for scores [{_BATCH}, {classes}], expected one number, float []; a function "
            "that builds a loss has a parameter `classes`",
            _KEY,
        )
