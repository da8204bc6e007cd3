"""The registry of optimizers, and what is made of a recipe's choice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from qbench.errors import ConfigError, check_options, named_in
from qbench.schemes.named import NamedSpec, spelled_out
from qbench.schemes.optimizers.shift_adamax import ShiftAdaMax
from quantizers import Registry

Builder = Callable[..., Optimizer]
"""Builds the optimizer: `(groups, **options) -> Optimizer`, a class of torch's kind or a function.

`groups` are dicts as torch's optimizers take them: `params`, `lr` and, for parameters of quantizers, `weight_decay`.
"""

OPTIMIZERS: Registry[Builder] = Registry("optimizer", group="qbench.optimizers")
"""The optimizers by name."""

# One kernel for a step: the same formula, rounded otherwise than torch's other implementations.
OPTIMIZERS.add("adam", partial(torch.optim.Adam, fused=True))
OPTIMIZERS.add("adamw", partial(torch.optim.AdamW, fused=True))
OPTIMIZERS.add("sgd", partial(torch.optim.SGD, fused=True))
OPTIMIZERS.add("shift-adamax", ShiftAdaMax)
for _kind in (torch.optim.Adagrad, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop):
    OPTIMIZERS.add(_kind.__name__.lower(), _kind)

_OWN_RATE = "lr"  # the recipe's learning_rate, in every group
_SHAPE = (64, 64)  # of the parameter on which moments are counted
# Without options, so that an estimate need not wait for torch.optim, which takes seconds to load.
_MOMENTS = {"adam": 2, "sgd": 0, "shift-adamax": 2}


def find_optimizer(name: str) -> Builder:
    """Return the builder called `name`.

    Raises:
        ConfigError: no such name, with the nearest; a dotted path that cannot be imported, or to no builder.
    """
    found = named_in(OPTIMIZERS, name, "optimizer")
    if not callable(found) or (isinstance(found, type) and not issubclass(found, Optimizer)):
        raise ConfigError(f"{name!r} is {_kind_of(found)}, expected a class of optimizers", "optimizer")
    return found


def check_optimizer(chosen: str | NamedSpec) -> None:
    """Refuse an optimizer that is not known, or whose options it does not take; their values are seen when it is built.

    Raises:
        ConfigError: see `find_optimizer` and `qbench.errors.check_options`.
    """
    spec = spelled_out(chosen)
    build = find_optimizer(spec.name)
    if _OWN_RATE in spec.options:
        raise ConfigError(f"optimizer {spec.name!r}: its rate is the recipe's: set learning_rate", "optimizer")
    groups = next(iter(inspect.signature(build).parameters), "params")
    check_options(f"optimizer {spec.name!r}", build, spec.options, "optimizer", given=(groups, _OWN_RATE))


def build_optimizer(chosen: str | NamedSpec, groups: list[dict[str, Any]]) -> Optimizer:
    """Return the optimizer of a recipe over groups of parameters, each with its `lr`.

    Raises:
        ConfigError: see `check_optimizer`; options that it refuses; a builder that returns something else.
    """
    check_optimizer(chosen)
    spec = spelled_out(chosen)
    build = find_optimizer(spec.name)
    options = dict(spec.options)
    rate = inspect.signature(build).parameters.get(_OWN_RATE)
    if rate is not None and rate.default is rate.empty:
        options[_OWN_RATE] = groups[0][_OWN_RATE]
    try:
        optimizer = build(groups, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"optimizer {spec}: {error}", "optimizer") from error
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"{spec.name!r} builds {type(optimizer).__name__}, expected an Optimizer", "optimizer")
    return optimizer


def rounds_rates(chosen: str | NamedSpec) -> bool:
    """Whether an optimizer rounds its rates to powers of two, and so takes a group's `scale` apart from its rate."""
    return bool(getattr(find_optimizer(spelled_out(chosen).name), "rounds_rates", False))


def optimizer_moments(chosen: str | NamedSpec) -> int | float:
    """Return how many numbers an optimizer keeps for each parameter: 2 of Adam, 0 of SGD, 1 with momentum.

    They are counted after one step on a parameter of shape [64, 64]. Of an optimizer that keeps less than a number for
    each (Adafactor: one for each row and column) it is what it keeps of that shape.

    Raises:
        ConfigError: see `build_optimizer`; an optimizer whose step asks for more than gradients, as LBFGS does.
    """
    spec = spelled_out(chosen)
    if not spec.options and spec.name in _MOMENTS:
        return _MOMENTS[spec.name]
    parameter = nn.Parameter(torch.ones(_SHAPE))
    parameter.grad = torch.ones(_SHAPE)
    optimizer = build_optimizer(spec, [{"params": [parameter], _OWN_RATE: 1e-3}])
    try:
        optimizer.step()
    except (TypeError, RuntimeError, ValueError, AttributeError) as error:
        raise ConfigError(f"optimizer {spec} takes no step from gradients alone: {error}", "optimizer") from error
    kept = sum(tensor.numel() for tensor in _tensors(optimizer.state_dict()["state"]) if tensor.dim() > 0)
    moments = kept / parameter.numel()
    return int(moments) if moments.is_integer() else moments


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping | list | tuple):
        for each in state.values() if isinstance(state, Mapping) else state:
            yield from _tensors(each)


def _kind_of(found: object) -> str:
    return found.__name__ if isinstance(found, type) else type(found).__name__
