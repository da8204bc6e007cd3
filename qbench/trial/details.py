"""What a trial keeps beside its record, for reports: its history, its layers, its histograms."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from qbench.errors import UserError
from qbench.io import replacing
from qbench.trial.details_format import fault
from qbench.trial.strict_json import loads

HISTORIES = "histories"
"""The folder beside it that holds a learning curve a trial, as CSV."""
DETAILS = "details"
"""The folder beside `trials/` that holds a file a trial."""
_FORMAT = 1

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class TrialDetails:
    """What reports show of one trial beyond its row; plain values, an empty part where the trial has none.

    Attributes:
        history: the training's epochs, as a list for each metric: `epoch` (from 1), `train/loss`, `val/accuracy`, what
            the module logged, and `flips/<layer>`: the share of a binary layer's weights whose sign changed in the
            epoch. None where an epoch has no value.
        layers: what each layer costs: the fields of `qbench.cost.layer_cost.LayerCost` without its operations, and
            `arithmetic_uj`, `weight_traffic_uj`, `activation_traffic_uj`, each [low, high] for one inference; they add
            up to the row's energy, but for the 6 digits that are kept. Parameters outside the counted
            layers are a row of the op `not counted`.
        latent: of each layer with binary weights its latent weights' histogram: `layer`, `low`, `high`, `counts`
            (equal bins).
        filters: of each binary convolution `layer`, the counts of `FilterRepetition` with `unique_fraction` and
            `random_fraction`, and `most`: the most repeated filters as `bits` (a text of 0 and 1, row by row), `rows`,
            `columns` and `count`.
        quantization: `QuantizationReport.to_dict()` of a network with integers; empty for another.
        ranges: of each calibrated input `layer`, `method`, `low`, `high` (the range chosen), its histogram
            (`edge_low`, `edge_high`, `counts`, equal bins; no counts where the observer kept extremes alone), and, of
            the KL method, `divergence`: lists of `threshold` (of |x|) and `kl` in nats; else None.
        calibration: `seed`, `images` and `indices` of the training images that calibration saw; empty without one.
    """

    history: dict[str, list[float | None]] = field(default_factory=dict)
    layers: Rows = field(default_factory=list)
    latent: Rows = field(default_factory=list)
    filters: Rows = field(default_factory=list)
    quantization: dict[str, Any] = field(default_factory=dict)
    ranges: Rows = field(default_factory=list)
    calibration: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the file's text, one line."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps({"format": _FORMAT, **values}, allow_nan=False, separators=(",", ":")) + "\n"


def details_file(folder: Path, trial_id: str) -> Path:
    """Return where a sweep's folder keeps the details of a trial."""
    return folder / DETAILS / f"{trial_id}.json"


def history_file(folder: Path, trial_id: str) -> Path:
    """Return where a sweep's folder keeps the learning curve of a trial."""
    return folder / HISTORIES / f"{trial_id}.csv"


def write_details(folder: Path, trial_id: str, details: TrialDetails) -> None:
    """Write the details of a trial to a sweep's folder, and its history as CSV; a reader sees whole files or none."""
    text = details.to_json()
    _write(details_file(folder, trial_id), text)
    if details.history:
        _write(history_file(folder, trial_id), history_csv(details.history))


def history_csv(history: Mapping[str, Sequence[float | None]]) -> str:
    """Return a history as CSV: a line for each epoch, a column for each metric, an empty cell for None.

    The first columns are `epoch` (from 1), `train/loss` and those of `val/`; the others follow in their order.
    """
    first = [name for name in ("epoch", "train/loss") if name in history]
    first += [name for name in history if name.startswith("val/")]
    names = [*first, *(name for name in history if name not in first)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for values in zip(*(history[name] for name in names), strict=True):
        writer.writerow(
            "" if value is None else int(value) if name == "epoch" else value
            for name, value in zip(names, values, strict=True)
        )
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def read_details(folder: Path, trial_id: str) -> TrialDetails | None:
    """Return what is kept of a trial; None where nothing is (a record of an earlier version, a failed trial).

    Raises:
        UserError: a file that cannot be read, or is damaged.
    """
    path = details_file(folder, trial_id)
    try:
        values = loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != _FORMAT:
            return None
        details = TrialDetails(**values)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path}: is damaged; delete it to have a report without it") from None
    wrong = fault({each.name: getattr(details, each.name) for each in fields(details)})
    if wrong is not None:
        raise UserError(f"{path}: is damaged ({wrong}); delete it to have a report without it")
    return details
