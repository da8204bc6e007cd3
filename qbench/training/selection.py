"""The metric by which the best epoch of a training is chosen, and whether more or less of it is better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from qbench.errors import ConfigError

Mode = Literal["max", "min"]

_LARGER_IS_BETTER = {"acc", "accuracy", "auc", "auroc", "f1", "iou", "miou", "map", "precision", "recall"}
_SMALLER_IS_BETTER = {"loss", "err", "error", "mae", "mse", "rmse", "nll", "perplexity", "ppl", "wer"}


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights a training keeps: those of the best value of a logged metric, the first of equals.

    Attributes:
        metric: its name, as the module logs it.
        mode: whether the largest value is the best, or the smallest.

    >>> Selection.of("valid/acc_top1"), Selection.of("val_loss").mode
    (Selection(metric='valid/acc_top1', mode='max'), 'min')
    """

    metric: str = "val/accuracy"
    mode: Mode = "max"

    @classmethod
    def of(cls, metric: str, mode: Mode | None = None) -> Selection:
        """Return the selection by `metric`; without a mode, by what the words of the name mean (acc, loss, ...).

        Raises:
            ConfigError: no mode, and a name of which none or both could be meant.
        """
        if mode is not None:
            return cls(metric, mode)
        words = set(re.findall(r"f1|[a-z]+", metric.lower()))
        larger, smaller = bool(words & _LARGER_IS_BETTER), bool(words & _SMALLER_IS_BETTER)
        if larger == smaller:
            raise ConfigError(f"{metric!r} does not say whether more of it is better: give select_mode", "select_mode")
        return cls(metric, "max" if larger else "min")

    def is_better(self, value: float, best: float | None) -> bool:
        """Return whether `value` is a number, and better than `best`; None is worse than all."""
        if not isfinite(value):
            return False
        return best is None or (value > best if self.mode == "max" else value < best)

    def value(self, metrics: Mapping[str, float]) -> float:
        """Return the metric's value among those of an epoch.

        Raises:
            ConfigError: it was not logged.
        """
        if self.metric not in metrics:
            found = ", ".join(sorted(metrics)) or "nothing"
            raise ConfigError(
                f"the best epoch is chosen by {self.metric!r}, which the epoch did not log; it logged {found}", "select"
            )
        return float(metrics[self.metric])
