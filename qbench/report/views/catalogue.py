"""All views of a report, in the order in which a reader meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from qbench.report.model.report_model import ReportModel
from qbench.report.view import View
from qbench.report.views.accuracy_by_size import accuracy_by_energy, accuracy_by_size
from qbench.report.views.agreement import agreement
from qbench.report.views.comparisons import comparisons
from qbench.report.views.confusion import confusion
from qbench.report.views.differences import differences
from qbench.report.views.divergence import divergence
from qbench.report.views.earlier import earlier
from qbench.report.views.energy import energy_by_cause, energy_by_layer
from qbench.report.views.equal_accuracy import equal_accuracy
from qbench.report.views.flips import flips
from qbench.report.views.incomplete import incomplete
from qbench.report.views.latent_weights import latent_weights
from qbench.report.views.layers import layers
from qbench.report.views.memory import memory
from qbench.report.views.most_repeated_filters import most_repeated_filters
from qbench.report.views.origin import origin
from qbench.report.views.overview import overview
from qbench.report.views.ranges import ranges
from qbench.report.views.repeated_filters import repeated_filters
from qbench.report.views.tradeoff import tradeoff_bytes, tradeoff_energy, tradeoff_latency
from qbench.report.views.training import training_accuracy, training_loss

MakeView = Callable[[ReportModel], View]

# A section's views in the order of the page, one a line. A function has its view's name, with `_` for `-`.
DECISION: tuple[MakeView, ...] = (
    overview,
    tradeoff_bytes,
    tradeoff_energy,
    tradeoff_latency,
    differences,
    equal_accuracy,
    accuracy_by_size,
    accuracy_by_energy,
    comparisons,
)
COSTS: tuple[MakeView, ...] = (
    memory,
    energy_by_layer,
    energy_by_cause,
)
TRAINING: tuple[MakeView, ...] = (
    training_accuracy,
    training_loss,
)
BINARY_WEIGHTS: tuple[MakeView, ...] = (
    flips,
    latent_weights,
    repeated_filters,
    most_repeated_filters,
)
INTEGERS: tuple[MakeView, ...] = (
    ranges,
    divergence,
    layers,
)
EXECUTION: tuple[MakeView, ...] = (
    agreement,
    confusion,
)
COMPLETENESS: tuple[MakeView, ...] = (
    incomplete,
    earlier,
    origin,
)

SECTIONS: tuple[tuple[str, tuple[MakeView, ...]], ...] = (
    ("The decision", DECISION),
    ("What it costs", COSTS),
    ("How it trained", TRAINING),
    ("Binary weights", BINARY_WEIGHTS),
    ("Integer quantization", INTEGERS),
    ("Bit-packed execution", EXECUTION),
    ("Completeness and origin", COMPLETENESS),
)
"""Each section's title and its views."""


def make_views(model: ReportModel) -> dict[str, View]:
    """Return every view of a report, by its name."""
    groups = tuple(group.name for group in model.groups)
    found = (replace(make(model), groups=groups) for make in _all())
    return {view.name: view for view in found}


def view_name(make: MakeView) -> str:
    """Return the name of the view that a function of `SECTIONS` makes."""
    return make.__name__.replace("_", "-")


def _all() -> Iterable[MakeView]:
    return (make for _, views in SECTIONS for make in views)
