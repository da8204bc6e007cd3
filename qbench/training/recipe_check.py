"""Finds recipes that could not train a module, before it is trained."""

from __future__ import annotations

from qbench.training.module import QuantModule
from qbench.training.overrides import overrides
from qbench.training.recipe_schedule import as_scheme_options
from qbench.training.scheme_module import SchemeModule

_MAKERS = ("configure_optimizers", "make_optimizer", "make_scheduler", "parameter_groups")


def check_recipe(module: SchemeModule, epochs: int) -> None:
    """Build the optimizer and the schedule of a module that trains by its scheme's recipe, and forget them.

    Raises:
        ConfigError: options that one of them refuses, an optimizer that needs more than gradients, a schedule that does
            not suit the optimizer or that `epochs` epochs are too short for.
    """
    if not isinstance(module, QuantModule) or overrides(type(module), _MAKERS):
        return
    optimizer = module.make_optimizer()
    module.make_scheduler(optimizer, epochs)
    module.rate_after(epochs)
    with as_scheme_options():
        _ = module.scheme.recipe.optimizer_moments  # takes a step
