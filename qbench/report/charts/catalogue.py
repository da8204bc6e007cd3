"""The charts of a report, by the name of the view that they draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qbench.report.charts.accuracy_by_size import accuracy_by_size
from qbench.report.charts.differences import differences
from qbench.report.charts.energy import energy_by_cause, energy_by_layer
from qbench.report.charts.memory import memory
from qbench.report.charts.tradeoff import tradeoff
from qbench.report.view import View

if TYPE_CHECKING:
    import altair as alt

MakeChart = Callable[[View], "alt.TopLevelMixin"]

CHARTS: Mapping[str, MakeChart] = {
    "tradeoff-bytes": tradeoff,
    "tradeoff-energy": tradeoff,
    "tradeoff-latency": tradeoff,
    "differences": differences,
    "accuracy-by-size": accuracy_by_size,
    "accuracy-by-energy": accuracy_by_size,
    "memory": memory,
    "energy-by-layer": energy_by_layer,
    "energy-by-cause": energy_by_cause,
}
"""What draws a view that has rows; a view that is not named here is a table alone."""
