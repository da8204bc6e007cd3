"""Where the estimated energy of one inference goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, Value, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.selection import CHART_BARS, Row, blocks, bounded, chart_note

CAUSES = {
    "arithmetic_uj": "arithmetic",
    "weight_traffic_uj": "weight traffic",
    "activation_traffic_uj": "activation traffic",
}
OUTSIDE = "outside the layers"
"""What the total has beyond the layers: the traffic of parameters that are no quantized layer's."""
_ROUNDING = 1e-6
_VALUES = (
    Column("cost/energy_uj", "energy µJ", ".4g", "estimated"),
    Column("cost/energy_uj_low", "low", ".4g", "estimated"),
    Column("cost/energy_uj_high", "high", ".4g", "estimated"),
    Column("energy/share", "share of the network's", ".1%", "computed"),
    Column("energy/network_uj", "network µJ", ".4g", "estimated"),
)
_SAID = (
    "All energy is estimated, from counted operations and bytes times published prices; the value is the middle of the "
    "low and the high estimate."
)
_Bounds = tuple[float, float]


def energy_by_layer(model: ReportModel) -> View:
    """Return the energy of each layer of each group, in the network's order."""
    shown = blocks(model, _layers)
    rows, notes = bounded(shown)
    return View(
        "energy-by-layer",
        "Energy by layer",
        "Estimated energy of each layer, in the order in which the network runs them, on a logarithmic axis: equal "
        f"steps are equal ratios, and lower is better. {_SAID}",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("op", "computed by"),
            Column("weight_format", "weights"),
            Column("input_format", "inputs"),
            *_VALUES,
        ),
        rows,
        (*chart_note([name for name, _ in shown]), *notes, *without_details(model)) if rows else (),
        None if rows else missing(model, "no trial here has kept its layers"),
    )


def energy_by_cause(model: ReportModel) -> View:
    """Return the energy of each group's arithmetic, weight traffic and activation traffic."""
    shown = blocks(model, _causes, CHART_BARS)
    rows = tuple(row for _, own in shown for row in own)
    return View(
        "energy-by-cause",
        "Energy by cause",
        "What each network's estimated energy is spent on, in percent of its own total, which stands at the right: a "
        f"full bar is all of it, not the same amount. {_SAID}",
        (Column("group", "scheme"), Column("cause", "spent on"), *_VALUES),
        rows,
        (*chart_note([name for name, _ in shown], CHART_BARS), *without_details(model)) if rows else (),
        None if rows else missing(model, "no trial here has kept its layers"),
    )


def _layers(group: Group) -> list[Row]:
    layers, total = _costs(group)
    if total is None:
        return []
    parts = [_added(layer[cause] for cause in CAUSES) for layer in layers]
    found: list[Row] = [
        (group.name, layer["name"], layer["op"], layer["weight_format"], layer["input_format"], *_values(part, total))
        for layer, part in zip(layers, parts, strict=True)
    ]
    rest = _rest(parts, total)
    return [*found, (group.name, OUTSIDE, None, None, None, *_values(rest, total))] if rest else found


def _causes(group: Group) -> list[Row]:
    layers, total = _costs(group)
    if total is None:
        return []
    parts = {text: _added(layer[cause] for layer in layers) for cause, text in CAUSES.items()}
    rest = _rest(list(parts.values()), total)
    return [
        (group.name, cause, *_values(part, total))
        for cause, part in (parts | ({OUTSIDE: rest} if rest else {})).items()
    ]


def _costs(group: Group) -> tuple[list[dict[str, Any]], _Bounds | None]:
    """Return the layers of the group's trial with the lowest seed that has details, and the network's energy."""
    found = group.first_details()
    if found is None:
        return [], None
    trial, details = found
    return details.layers, (trial.row["cost/energy_uj_low"], trial.row["cost/energy_uj_high"])


def _added(parts: Iterable[Sequence[float]]) -> _Bounds:
    found = list(parts)
    return sum(part[0] for part in found), sum(part[1] for part in found)


def _rest(parts: Sequence[_Bounds], total: _Bounds) -> _Bounds | None:
    """Return what `total` has beyond the parts; None where they add up to it."""
    known = _added(parts)
    rest = (total[0] - known[0], total[1] - known[1])
    return rest if max(rest) > _ROUNDING * total[1] else None


def _values(part: _Bounds, total: _Bounds) -> tuple[Value, ...]:
    """Return the middle, low, high, the middle's share of the total's middle, and that."""
    middle, whole = sum(part) / 2, sum(total) / 2
    return middle, *part, middle / whole if whole else None, whole
