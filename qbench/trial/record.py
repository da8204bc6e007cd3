"""One finished trial, as its file holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from qbench.trial.config import TrialConfig


@dataclass(frozen=True)
class TrialRecord:
    """One finished trial.

    Attributes:
        trial_id: its identity, and the name of its file.
        status: `done`, or `failed`.
        row: config keys and metrics; of a failed trial the config keys alone.
        predictions, labels: the predicted and the true class of each test image; empty for a failed trial.
        error: why it failed; None if it did not.
        folder: of its sweep, whose `trainings/` holds the weights; not part of the file. None for a record that was not
            read from one.
    """

    trial_id: str
    status: Literal["done", "failed"]
    row: dict[str, Any]
    predictions: list[int]
    labels: list[int]
    error: str | None = None
    folder: Path | None = field(default=None, compare=False)

    @property
    def config(self) -> TrialConfig:
        """The trial's configuration."""
        return TrialConfig.from_flat(self.row)

    def to_json(self) -> str:
        """Return the file's text."""
        kept = {key: value for key, value in vars(self).items() if key != "folder"}
        return json.dumps(kept, allow_nan=False) + "\n"


_KEYS = tuple(each.name for each in fields(TrialRecord) if each.name != "folder")


def read_record(path: Path) -> TrialRecord:
    """Read `<folder>/trials/<trial id>.json`.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no trial's record.
    """
    try:
        values = json.loads(path.read_text())
        if not isinstance(values["row"]["training_key"], str):
            raise TypeError
        return TrialRecord(**{key: values[key] for key in _KEYS}, folder=path.resolve().parents[1])
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"no trial's record: {error}") from None
