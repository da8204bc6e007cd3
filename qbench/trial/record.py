"""One finished trial, as its file holds it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from qbench.trial.config import TrialConfig
from qbench.trial.record_format import answers_fault, row_fault
from qbench.trial.strict_json import loads


@dataclass(frozen=True)
class TrialRecord:
    """One finished trial.

    Attributes:
        trial_id: its identity, and the name of its file.
        status: `done`, or `failed`.
        row: config keys, `trial_id` and `training_key`, and of a trial that is done the metrics.
        predictions, labels: the predicted and the true class of each test image, in the split's order; empty for a
            failed trial.
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

    @functools.cached_property
    def config(self) -> TrialConfig:
        """The trial's configuration, read from its row.

        Raises:
            ConfigError: the row of another version, whose configuration this one does not know.
        """
        return TrialConfig.from_flat(self.row)

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps({key: getattr(self, key) for key in _KEYS}, allow_nan=False) + "\n"


_KEYS = tuple(each.name for each in fields(TrialRecord) if each.name != "folder")


def read_record(path: Path) -> TrialRecord:
    """Read `<folder>/trials/<trial id>.json`.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no trial's record, a part of one, or values that no trial writes: a number that is none,
            an accuracy that is not that of its predictions.
    """
    try:
        values = loads(path.read_text(encoding="utf-8"))
        record = TrialRecord(**{key: values[key] for key in _KEYS}, folder=path.resolve().parents[1])
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"no trial's record: {error}") from None
    expected = {"trial_id": str, "row": dict, "predictions": list, "labels": list}
    wrong = [key for key, kind in expected.items() if not isinstance(getattr(record, key), kind)]
    wrong += ["status"] * (record.status not in ("done", "failed"))
    if not wrong and not isinstance(record.row.get("training_key"), str):
        wrong.append("row.training_key")
    wrong += ["error"] * (record.error is not None and not isinstance(record.error, str))
    if wrong:
        raise ValueError(f"no trial's record: {wrong[0]} is missing or no such value")
    fault = row_fault(record.row)
    if fault is None and record.status == "done":
        fault = answers_fault(record.row, record.predictions, record.labels)
    if fault is not None:
        raise ValueError(fault)
    return record
