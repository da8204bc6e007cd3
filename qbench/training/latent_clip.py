"""The clip of latent weights after every step of a module's optimizers, whoever takes the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer


class ClippingOptimizers:
    """A module's `configure_optimizers`, whose optimizers call `clip` after each of their steps.

    The optimizers do it themselves, by a hook of torch's: so it happens in automatic and in manual optimization, with
    accumulated gradients only after a real step, and whatever hooks of Lightning's the module overrides.

    Args:
        module: its own `configure_optimizers` makes the optimizers.
        clip: bounds the latent weights.
    """

    def __init__(self, module: pl.LightningModule, clip: Callable[[], None]) -> None:
        self._configure = module.configure_optimizers
        self._clip = clip

    def configure_optimizers(self) -> Any:
        """Return what the module's own method returns."""
        found = self._configure()
        for optimizer in optimizers_in(found):
            optimizer.register_step_post_hook(self._after_step)
        return found

    def _after_step(self, optimizer: Optimizer, args: Any, options: Any) -> None:
        self._clip()


def clip_after_steps(module: pl.LightningModule, clip: Callable[[], None]) -> None:
    """Let every optimizer that `module.configure_optimizers` will make call `clip` after each of its steps.

    The method is replaced in the instance; a copy or a pickle of the module clips its own weights.
    """
    # By setattr: to a type checker, a method is no attribute.
    setattr(module, "configure_optimizers", ClippingOptimizers(module, clip).configure_optimizers)  # noqa: B010


def optimizers_in(found: Any) -> list[Optimizer]:
    """Return the optimizers in anything that `configure_optimizers` may return, each once, in their order.

    An optimizer that an optimizer keeps in an attribute, as sharpness-aware ones keep the one that steps, is one too.
    """
    return list(dict.fromkeys(_walk(found)))


def _walk(found: Any) -> Iterator[Optimizer]:
    if isinstance(found, Optimizer):
        yield found
        yield from (each for each in vars(found).values() if isinstance(each, Optimizer))
    elif isinstance(found, Mapping):
        for each in found.values():
            yield from _walk(each)
    elif isinstance(found, list | tuple):
        for each in found:
            yield from _walk(each)
