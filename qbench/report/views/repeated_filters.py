"""How many of a binary convolution's filters are distinct, beside random weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import fmean
from typing import Any

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.statistics.random_filters import random_spread
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.selection import Row, blocks, bounded, chart_note, names


def repeated_filters(model: ReportModel) -> View:
    """Return each binary convolution's share of distinct filters: mean, lowest and highest over the seeds."""
    rows, notes = bounded(blocks(model, _rows))
    shown = names(rows)
    return View(
        "repeated-filters",
        "Repeated filters",
        "Share of the 2-D filters of a layer that are distinct within an input map, a filter and its inverse counted "
        "once (mean over the seeds), beside what random weights are expected to give: only what is less "
        "than that, by more than chance, is repetition that training has learned.",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("filters", "filters a map", ".0f", "counted"),
            Column("input_maps", "input maps", ".0f", "counted"),
            Column("size", "weights a filter", ".0f", "counted"),
            Column("filters/unique_fraction", "distinct", ".1%", "measured"),
            Column("filters/unique_fraction_low", "lowest of the seeds", ".1%", "measured"),
            Column("filters/unique_fraction_high", "highest of the seeds", ".1%", "measured"),
            Column("filters/random_fraction", "distinct if random", ".1%", "computed"),
            Column("seeds", "seeds", ".0f", "counted"),
        ),
        rows,
        (*_by_chance(rows), *chart_note(shown), *notes, *(without_details(model) if rows else ())),
        None if rows else missing(model, "no scheme here has binary convolutions"),
    )


def _by_chance(rows: Sequence[Row]) -> Iterator[str]:
    """Name the layers that have not fewer distinct filters than random weights may have."""
    found = [f"{row[0]} {row[1]}" for row in rows if _is_chance(*(float(str(value)) for value in row[2:]))]
    if found:
        yield f"no fewer than random weights may have by chance (two standard errors): {listed(found)}"


def _is_chance(
    filters: float, maps: float, size: float, mean: float, low: float, high: float, random: float, seeds: float
) -> bool:
    error = random_spread(int(filters), int(maps), int(size)) / sqrt(seeds)
    return mean >= random - 2 * error


def _rows(group: Group) -> list[Row]:
    layers: dict[str, list[dict[str, Any]]] = {}
    for found in group.details.values():
        for each in found.filters:
            layers.setdefault(each["layer"], []).append(each)
    return [_row(group.name, layer, seeds) for layer, seeds in layers.items()]


def _row(group: str, layer: str, seeds: list[dict[str, Any]]) -> Row:
    first = seeds[0]
    fractions = [each["unique_fraction"] for each in seeds]
    return (
        group,
        layer,
        first["filters"],
        first["input_maps"],
        first["size"],
        fmean(fractions),
        min(fractions),
        max(fractions),
        first["random_fraction"],
        len(seeds),
    )
