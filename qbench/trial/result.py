"""The result of running a trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TrialResult:
    """A trial's metrics, or why it has none.

    Attributes:
        row: the configuration's keys, `trial_id`, `training_key`, `shared` (whether another trial trained the network)
            and the metrics; one level, plain values. Empty for a failed trial.
        predictions: the predicted class of each test image, in the split's order; empty for a failed trial.
        labels: the true ones.
        error: why the trial failed, in one line; None if it did not.
        traceback: of the failure; empty if there was none.
    """

    row: dict[str, Any]
    predictions: list[int]
    labels: list[int]
    error: str | None = None
    traceback: str = ""

    @classmethod
    def failure(cls, error: str, traceback: str) -> TrialResult:
        """Return the result of a trial that failed."""
        return cls({}, [], [], error, traceback)
