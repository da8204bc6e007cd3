"""Whether the optimizers that train a network honour what its quantizers ask for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from qbench.errors import ConfigError
from qbench.training.learned import label, learned_parameters, quantizers_of
from qbench.training.parameter_groups import RATE_SCALE

_log = logging.getLogger(__name__)

_NAMED = 3  # in one message


def warn_of_rates(module: nn.Module, optimizers: Iterable[Optimizer], remedy: str) -> None:
    """Warn, once, of the quantizers whose parameters train otherwise than they ask for (`learned_parameters`).

    Args:
        module: that is trained.
        optimizers: that train it.
        remedy: what can be done.
    """
    found = otherwise(module, optimizers)
    if found:
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        _log.warning("quantizers train otherwise than they ask for: %s%s; %s", "; ".join(found[:_NAMED]), more, remedy)


def check_decays(module: nn.Module, optimizer: Optimizer) -> None:
    """Refuse an optimizer that has no weight decay where a quantizer asks for one.

    Raises:
        ConfigError: the quantizer, its decay, and what can be done.
    """
    if "weight_decay" in optimizer.defaults:
        return
    for quantizer in quantizers_of(module):
        for asked in quantizer.learned_parameters():
            if asked.weight_decay and asked.rate > 0 and asked.parameter.requires_grad:
                raise ConfigError(
                    f"{label(quantizer)} asks for weight decay {asked.weight_decay:g}, which "
                    f"{type(optimizer).__name__} does not have: take another optimizer (adam, adamw, sgd)",
                    "scheme_options.optimizer",
                )


def otherwise(module: nn.Module, optimizers: Iterable[Optimizer]) -> list[str]:
    """Return what each quantizer of `module` asks for and does not get, in words: rate, weight decay, no training."""
    groups: dict[Tensor, dict[str, Any]] = {
        parameter: group if "weight_decay" in optimizer.defaults else {**group, "weight_decay": 0.0}
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    asked = learned_parameters(module)
    found = []
    for quantizer in quantizers_of(module):
        faults: list[str] = []
        for name, parameter in quantizer.named_parameters():
            if parameter.requires_grad:
                faults += _faults(name, asked.get(parameter), groups.get(parameter))
        if faults:
            found.append(f"{label(quantizer)}: {', '.join(faults)}")
    return found


def _faults(name: str, asked: Any, group: dict[str, Any] | None) -> Sequence[str]:
    if asked is None:
        return [] if group is None else [f"{name} is trained, which it does not ask for"]
    if group is None:
        return [f"{name} is in no group of the optimizer"]
    rate, decay = group.get(RATE_SCALE, group.get("scale", 1.0)), group.get("weight_decay", 0.0)
    faults = []
    if rate != asked.rate:
        faults.append(f"{name} at {rate:g} of the learning rate, not {asked.rate:g}")
    if asked.weight_decay is not None and decay != asked.weight_decay:
        faults.append(f"{name} with weight decay {decay:g}, not {asked.weight_decay:g}")
    return faults
