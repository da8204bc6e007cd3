"""A trial's results as tables for its wandb run: numbers of its record and its details, and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qbench.trial.details import TrialDetails
from qbench.trial.record import TrialRecord

MOST_ROWS = 10_000
"""The rows of a table, at most: wandb shows no more. What comes after them is left out."""

_LAYER = (
    "name", "op", "weight_format", "input_format", "weights", "macs", "weight_bytes", "scale_bytes", "other_bytes",
    "input_bytes", "output_bytes",
)  # fmt: skip
_ENERGIES = ("arithmetic_uj", "weight_traffic_uj", "activation_traffic_uj")


@dataclass(frozen=True)
class RunTable:
    """One table.

    Attributes:
        name: its key in the run.
        columns: their names.
        rows: a value for each column, plain; at most `MOST_ROWS`.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[list[Any]]


def run_tables(record: TrialRecord, details: TrialDetails | None) -> list[RunTable]:
    """Return the tables of a finished trial; one without rows is left out.

    They are `tables/layers` (counts, and energies in µJ, low and high), `tables/filters` (the most repeated filters of
    binary convolutions), `tables/latent_weights` (histograms) and `tables/confusion` (test images by true and predicted
    class).
    """
    tables = [RunTable("tables/confusion", ("true", "predicted", "count"), _confusion(record))]
    if details is not None:
        ends = tuple(f"{energy}_{end}" for energy in _ENERGIES for end in ("low", "high"))
        tables += [
            RunTable("tables/layers", (*_LAYER, *ends), _layers(details)),
            RunTable("tables/filters", ("layer", "bits", "rows", "columns", "count"), list(_filters(details))),
            RunTable("tables/latent_weights", ("layer", "low", "high", "count"), list(_latent(details))),
        ]
    return [RunTable(each.name, each.columns, each.rows[:MOST_ROWS]) for each in tables if each.rows]


def _confusion(record: TrialRecord) -> list[list[Any]]:
    """Return how many test images of each class got each prediction; of many classes only pairs that occur."""
    counts = Counter(zip(record.labels, record.predictions, strict=True))
    classes = sorted({*record.labels, *record.predictions})
    if len(classes) ** 2 > MOST_ROWS:
        return [[true, predicted, count] for (true, predicted), count in sorted(counts.items())]
    return [[true, predicted, counts[true, predicted]] for true in classes for predicted in classes]


def _layers(details: TrialDetails) -> list[list[Any]]:
    return [
        [*(layer[key] for key in _LAYER), *(end for energy in _ENERGIES for end in layer[energy])]
        for layer in details.layers
    ]


def _filters(details: TrialDetails) -> Iterator[list[Any]]:
    for layer in details.filters:
        for each in layer["most"]:
            yield [layer["layer"], *(each[key] for key in ("bits", "rows", "columns", "count"))]


def _latent(details: TrialDetails) -> Iterator[list[Any]]:
    for layer in details.latent:
        low, bins = layer["low"], len(layer["counts"])
        width = (layer["high"] - low) / bins
        for place, count in enumerate(layer["counts"]):
            yield [layer["layer"], low + place * width, low + (place + 1) * width, count]
