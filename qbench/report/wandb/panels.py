"""The panels that show a sweep's trials, in a report and in a workspace alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2 as wr

ACCURACY, BYTES, ENERGY, TRAINING_TIME = "test/accuracy", "cost/weight_bytes", "cost/energy_uj", "time/train_s"
HALF, WHOLE = 12, 24
"""Widths in a grid of 24 columns."""
_BARS = (
    (ACCURACY, "test accuracy, measured"),
    (BYTES, "weight bytes, counted"),
    (ENERGY, "energy of one inference in µJ, estimated"),
    (TRAINING_TIME, "training time in s, measured"),
)
MAX_RUNS = 500
"""How many runs a panel is told to show; wandb's own default is 10 bars."""


def scatter_panels() -> list[wr.ScatterPlot]:
    """Return each trial's accuracy against its weight bytes and its energy, with the line of the best so far."""
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.ScatterPlot(
            title=f"test accuracy (measured) against {text}, each trial",
            x=wr.SummaryMetric(cost),
            y=wr.SummaryMetric(ACCURACY),
            log_x=True,
            running_ymax=True,
            layout=wr.Layout(x=HALF * place, y=0, w=HALF, h=10),
        )
        for place, (cost, text) in enumerate(((BYTES, "weight bytes (counted)"), (ENERGY, "energy in µJ (estimated)")))
    ]


def bar_panels(keys: Sequence[str]) -> list[wr.BarPlot]:
    """Return the means over the seeds, a bar for each group.

    Args:
        keys: of the config, that make a group. A bar plot groups by one key alone; with several it is left to the
            grouping of its runs, for a mean over groups would be a number of no network.
    """
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.BarPlot(
            title=f"{text}: mean over seeds, from lowest to highest",
            metrics=[metric],
            groupby=wr.Config(keys[0]) if len(keys) == 1 else None,
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            max_runs_to_show=MAX_RUNS,
            max_bars_to_show=MAX_RUNS,
            layout=wr.Layout(x=HALF * (place % 2), y=8 * (place // 2), w=HALF, h=8),
        )
        for place, (metric, text) in enumerate(_BARS)
    ]


def parallel_panel(keys: Sequence[str], y: int = 0) -> wr.ParallelCoordinatesPlot:
    """Return the trials as lines from their settings over their costs to their accuracy."""
    import wandb_workspaces.reports.v2 as wr

    column = wr.ParallelCoordinatesPlotColumn
    return wr.ParallelCoordinatesPlot(
        title="each trial: settings, weight bytes (counted), energy in µJ (estimated), test accuracy (measured)",
        columns=[
            *(column(metric=wr.Config(key), display_name=key) for key in keys),
            column(metric=wr.SummaryMetric(BYTES), display_name="weight bytes", log=True),
            column(metric=wr.SummaryMetric(ENERGY), display_name="energy µJ", log=True),
            column(metric=wr.SummaryMetric(ACCURACY), display_name="test accuracy"),
        ],
        layout=wr.Layout(x=0, y=y, w=WHOLE, h=10),
    )


def line_panels(keys: Sequence[str]) -> list[wr.LinePlot]:
    """Return the training's curves: the mean over seeds and its range; no smoothing."""
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.LinePlot(
            title=f"{metric}: mean over seeds, from lowest to highest",
            x="trainer/global_step",
            y=[metric],
            groupby=wr.Config(keys[0]) if len(keys) == 1 else None,
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            max_runs_to_show=MAX_RUNS,
            layout=wr.Layout(x=HALF * place, y=0, w=HALF, h=8),
        )
        for place, metric in enumerate(("val/accuracy", "train/loss"))
    ]


def comparer_panel(y: int = 0) -> wr.RunComparer:
    """Return the table of what differs between runs."""
    import wandb_workspaces.reports.v2 as wr

    return wr.RunComparer(diff_only="split", layout=wr.Layout(x=0, y=y, w=WHOLE, h=10))
