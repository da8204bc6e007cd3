"""What a training used, read off the optimizers and the module that ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer

from qbench.schemes.named import NamedSpec, spelled_out
from qbench.training.module import QuantModule
from qbench.training.overrides import overrides
from qbench.training.parameter_groups import RATE_SCALE
from qbench.training.rates_asked import warn_of_rates
from qbench.training.used import Used

# What decides the rates of a QuantModule that trains by its scheme's recipe.
_RECIPE = (
    "configure_optimizers",
    "make_optimizer",
    "make_scheduler",
    "parameter_groups",
    "rate_after",
    "lr_scheduler_step",
)


def used(module: pl.LightningModule, optimizers: Sequence[Optimizer], first: Sequence[float], epochs: int) -> Used:
    """Return what the training of `module` used.

    The rates of a QuantModule that trains by its scheme's recipe are the recipe's; any other's are read off the
    optimizers' groups, and are unknown where these differ.

    Args:
        module: that was trained.
        optimizers: after the last epoch.
        first: what `rates` gave before the first step.
        epochs: trained.
    """
    unknown: list[str] = []
    if isinstance(module, QuantModule) and overrides(type(module), _RECIPE):
        warn_of_rates(module, optimizers, f"build the optimizer of {type(module).__name__}.parameter_groups()")
    if isinstance(module, QuantModule) and not overrides(type(module), _RECIPE):
        start: float | None = module.learning_rate
        end: float | None = module.rate_after(epochs)
    else:
        start, end = _one(first), _one(rates(optimizers))
        for place, rate, found in (("at the first step", start, first), ("at the end", end, rates(optimizers))):
            if rate is None:
                listed = ", ".join(f"{each:.6g}" for each in found) or "none"
                unknown.append(f"learning rate {place}: the groups of parameters have {listed}")
    names = list(dict.fromkeys(_described(each, module) for each in optimizers))
    if not names:
        unknown.append("optimizer: configure_optimizers returned none")
    return Used(" + ".join(names) or None, start, end, _loss(module), "; ".join(unknown) or None)


def rates(optimizers: Sequence[Optimizer]) -> list[float]:
    """Return the distinct learning rates of all parameter groups, without the groups' scales, in their order."""
    found = [
        float(f"{float(group['lr']) / group.get(RATE_SCALE, 1.0):.12g}")  # the scales are multiplied in with rounding
        for optimizer in optimizers
        for group in optimizer.param_groups
        if "lr" in group
    ]
    return list(dict.fromkeys(found))


def _one(found: Sequence[float]) -> float | None:
    return found[0] if len(found) == 1 else None


def _described(optimizer: Optimizer, module: pl.LightningModule) -> str:
    """Return an optimizer's class, with the options that the recipe gives it, if it is the recipe's."""
    kind = type(optimizer).__name__
    if not isinstance(module, QuantModule) or overrides(type(module), ("configure_optimizers", "make_optimizer")):
        return kind
    return str(NamedSpec(name=kind, options=spelled_out(module.scheme.recipe.optimizer).options))


def _loss(module: Any) -> str:
    """Return the name of what computes the loss."""
    kind = type(module)
    if not isinstance(module, QuantModule) or overrides(kind, ("training_step",)):
        return _qualified(kind, "training_step")
    for method in ("loss", "batch_loss", "loss_of_scores"):
        if overrides(kind, (method,)):
            return _qualified(kind, method)
    return str(module.scheme.recipe.loss)


def _qualified(kind: type, method: str) -> str:
    """Return `Class.method`, by the class that defines it."""
    owner = next(each for each in kind.__mro__ if method in vars(each))
    return f"{owner.__name__}.{method}"
