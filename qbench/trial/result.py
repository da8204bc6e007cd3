"""What running a trial gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TrialResult:
    """A trial's metrics, or why it has none.

    Attributes:
        row: configuration keys, `trial_id`, `training_key`, `shared` and the metrics, one level, plain values; empty for
            a failed trial.
        predictions: the predicted class of each test image, in the split's order.
        labels: the true ones.
        error: why the trial failed, in one line; None if it did not.
        traceback: of the failure.
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
