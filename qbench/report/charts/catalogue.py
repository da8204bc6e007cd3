"""The charts of a report, by the name of the view that they draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qbench.report.charts.accuracy_by_size import accuracy_by_size
from qbench.report.charts.confusion import confusion
from qbench.report.charts.differences import differences
from qbench.report.charts.divergence import divergence
from qbench.report.charts.energy import energy_by_cause, energy_by_layer
from qbench.report.charts.flips import flips
from qbench.report.charts.latent_weights import latent_weights
from qbench.report.charts.layers import layers
from qbench.report.charts.memory import memory
from qbench.report.charts.most_repeated_filters import most_repeated_filters
from qbench.report.charts.ranges import ranges
from qbench.report.charts.repeated_filters import repeated_filters
from qbench.report.charts.tradeoff import tradeoff
from qbench.report.charts.training import training
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
    "training-accuracy": training,
    "training-loss": training,
    "flips": flips,
    "latent-weights": latent_weights,
    "repeated-filters": repeated_filters,
    "most-repeated-filters": most_repeated_filters,
    "ranges": ranges,
    "divergence": divergence,
    "layers": layers,
    "confusion": confusion,
}
"""What draws a view that has rows; a view that is not named here is a table alone."""
