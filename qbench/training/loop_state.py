"""What a module may ask of the short loop that trains it, as it would ask a Trainer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torchmetrics import Metric

Reduction = str | Callable[[Any], Any]
_REDUCTIONS = ("mean", "sum", "min", "max")


class LoopState:
    """Where the short loop is, and what the module's steps have logged in the current epoch.

    Attributes:
        epoch: the current epoch, from 0.
        step: optimizer steps taken so far, in all epochs.
        batch_size: examples in the current batch; 1 between batches.
        logger: of the training; None without one.
    """

    def __init__(self, logger: Logger | None = None) -> None:
        self.epoch = 0
        self.step = 0
        self.batch_size = 1
        self.logger = logger
        self._values: dict[str, list[tuple[Tensor, int]]] = defaultdict(list)
        self._reductions: dict[str, str] = {}
        self._metrics: dict[str, Metric] = {}

    def log(
        self,
        name: str,
        value: float | Tensor | Metric,
        device: torch.device,
        reduction: Reduction = "mean",
        batch_size: int | None = None,
    ) -> None:
        """Take in one value of the metric `name`; the device is not waited for.

        Args:
            name: of the metric; its values are reduced over the epoch.
            value: a number, a tensor of one element, or a torchmetrics Metric, which is computed after the epoch.
            device: where values are kept.
            reduction: mean (weighted by the batches' sizes), sum, min or max, by name or as torch's function.
            batch_size: the weight; None takes that of the current batch.

        Raises:
            ValueError: a tensor of several elements, or another reduction.
            TypeError: a value of another type.
        """
        if isinstance(value, Metric):
            self._metrics[name] = value
            return
        if not isinstance(value, int | float | Tensor):
            raise TypeError(f"log({name!r}): {type(value).__name__} values cannot be logged")
        scalar = torch.as_tensor(value, device=device).detach().to(torch.float64, copy=True)
        if scalar.numel() != 1:
            raise ValueError(f"log({name!r}): the tensor must have a single element, has {scalar.numel()}")
        self._reductions[name] = _reduction(name, reduction)
        self._values[name].append((scalar.reshape(()), self.batch_size if batch_size is None else batch_size))

    def epoch_metrics(self) -> dict[str, float]:
        """Return what the epoch's steps have logged, reduced over the epoch, and forget it."""
        found = {name: _reduced(values, self._reductions[name]) for name, values in self._values.items()}
        for name, metric in self._metrics.items():
            found[name] = float(metric.compute())
            metric.reset()
        self._values.clear()
        self._metrics.clear()
        return found


def _reduction(name: str, wanted: Reduction) -> str:
    """Return the name of a reduction that is given by name or as torch's function."""
    for known in _REDUCTIONS:
        if wanted in (known, getattr(torch, known)):
            return known
    raise ValueError(f"log({name!r}): reduce_fx is one of {', '.join(_REDUCTIONS)}, got {wanted!r}")


def _reduced(values: list[tuple[Tensor, int]], reduction: str) -> float:
    """Return the mean of values and weights, or the sum, minimum or maximum of the values."""
    stacked = torch.stack([value for value, _ in values])
    if reduction != "mean":
        return float(getattr(torch, reduction)(stacked))
    weights = torch.tensor([weight for _, weight in values], dtype=torch.float64, device=stacked.device)
    return float((stacked * weights).sum() / weights.sum())
