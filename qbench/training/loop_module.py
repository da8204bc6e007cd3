"""A LightningModule that the short loop can train in place of a Trainer: whom it asks, and where it logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

from qbench.training.loop_state import LoopState, Reduction


class LoopModule(pl.LightningModule):
    """A LightningModule that asks the short loop where that trains it, and else its Trainer.

    Attributes:
        loop_state: while the short loop trains the module, what it asks in place of a Trainer; else None.
        logged: while a trial trains the module in a `pl.Trainer`, the names that the epoch has logged, and whether for
            the logger; else None. `log` then takes every value for one of the epoch, as it does in the short loop.
    """

    loop_state: LoopState | None = None
    logged: dict[str, bool] | None = None
    _is_silent = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, as every module does, but one of Lightning's without a search."""
        # Lightning sets this name around every hook, some fifty times a step. nn.Module would each time search its
        # parameters, modules and buffers for it, which shows beside a small network's step.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def current_epoch(self) -> int:
        """The epoch in training, from 0; 0 where nothing trains the module."""
        return super().current_epoch if self.loop_state is None else self.loop_state.epoch

    @property
    def global_step(self) -> int:
        """Optimizer steps taken, in all epochs; 0 where nothing trains the module."""
        return super().global_step if self.loop_state is None else self.loop_state.step

    @property
    def logger(self) -> Any:
        """The training's logger; None without one."""
        return super().logger if self.loop_state is None else self.loop_state.logger

    @property
    def loggers(self) -> list[Any]:
        """The training's loggers."""
        if self.loop_state is None:
            return super().loggers
        return [] if self.loop_state.logger is None else [self.loop_state.logger]

    @torch.compiler.disable  # a compiled step would trace the log's bookkeeping
    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: Reduction = "mean",
        *args: Any,
        **options: Any,
    ) -> None:
        """Log a metric as Lightning does; in a trial once an epoch, reduced over the epoch, whatever `on_step` says.

        In the short loop a value with `logger=False` is dropped, for nothing else reads it there.
        """
        if self._is_silent:
            return
        if self.loop_state is None:
            if self.logged is not None:
                on_step, on_epoch = False, True
                self.logged[name] = logger is not False
            super().log(name, value, prog_bar, logger, on_step, on_epoch, reduce_fx, *args, **options)
        elif logger is not False:
            self.loop_state.log(name, value, self.device, reduce_fx, options.get("batch_size"))

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let `log` drop what it gets while the context lasts: a training step's values, in evaluation."""
        before, self._is_silent = self._is_silent, True
        try:
            yield
        finally:
            self._is_silent = before
