"""A comparison as a wandb report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qbench.report.model.report_model import ReportModel
from qbench.report.model.verdict import verdict
from qbench.report.render.markdown import escaped, table
from qbench.report.view import View
from qbench.report.views.catalogue import SECTIONS, view_name
from qbench.report.wandb.panels import (
    MAX_RUNS,
    WHOLE,
    bar_panels,
    comparer_panel,
    line_panels,
    parallel_panel,
    scatter_panels,
)
from qbench.report.wandb.run_filters import comparison_filters, trial_filters
from qbench.report.wandb.sweep_runs import SweepRuns, grouping, runs_of
from qbench.sweep.wandb_tables import MOST_ROWS

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces.reports.v2.interface import BlockTypes, PanelTypes

# Views whose table stands in the report's own text; that of another is a panel.
_IN_TEXT = ("overview", "comparisons", "incomplete", "origin")
_LONGEST_TEXT = 50
_MAX_TITLE = 128
_SCATTER_NOTE = (
    "A point is a trial. A scatter plot of wandb's has no error bars and its line is the best single trial so far, not "
    "the Pareto front of means: intervals and front are in the charts above."
)
_BAR_NOTE = "A whisker reaches from the lowest seed to the highest: it is no confidence interval."
_NO_GROUP = (
    "This folder does not hold the sweep's file (an earlier version did not keep it): the trials' runs are found by "
    "their trial_id, and the comparison's run, with its tables, cannot be found."
)


def make_wandb_report(
    model: ReportModel, views: Mapping[str, View], charts: Mapping[str, str], entity: str, project: str
) -> wr.Report:
    """Return the report, unsaved; nothing is sent.

    Args:
        model: what was compared.
        views: all of them.
        charts: ids of the custom charts that draw a view, by the view's name.
        entity, project: where the runs are, and the report will be.
    """
    import wandb_workspaces.reports.v2 as wr

    runs = runs_of(model)
    sentences = verdict(model)
    blocks: list[BlockTypes] = [
        wr.TableOfContents(),
        wr.H1("Verdict"),
        wr.MarkdownBlock("\n\n".join(map(escaped, sentences))),
    ]
    if not runs.sweep_ids:
        blocks.append(wr.CalloutBlock(_NO_GROUP))
    for title, makers in SECTIONS:
        of_section = [views[name] for make in makers if (name := view_name(make)) in views]
        if of_section:
            blocks.append(wr.H1(title))
        for view in of_section:
            blocks += _view_blocks(view, charts.get(view.name), runs)
    blocks += _trial_blocks(model, runs)
    return wr.Report(
        project=project,
        entity=entity,
        title=f"qbench: {model.title}"[:_MAX_TITLE],
        description=sentences[0],
        blocks=blocks,
        width="fixed",
    )


def _view_blocks(view: View, chart: str | None, runs: SweepRuns) -> list[BlockTypes]:
    """Return a view's heading, caption, chart, table and notes; of a view without rows, why it has none."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[BlockTypes] = [wr.H2(view.title)]
    in_text = _in_text(view, runs)
    if in_text or not view.rows:
        # Without its heading, which would not be in the table of contents.
        blocks.append(wr.MarkdownBlock(table(view).partition("\n\n")[2]))
    else:
        blocks.append(wr.MarkdownBlock(escaped(view.caption)))
    if panels := _view_panels(view, chart, runs):
        # A chart holds its data; where the comparison's run is not known, any run gives it a place.
        filters = comparison_filters(runs) if runs.sweep_ids else trial_filters(runs)
        runset = wr.Runset(name="comparison", filters=filters)
        blocks.append(wr.PanelGrid(runsets=[runset], hide_run_sets=True, panels=panels))
    notes = [*([] if in_text else view.notes), *_sources(view), *_cut(view)]
    return [*blocks, wr.MarkdownBlock(_bullets(notes))] if view.rows and notes else blocks


def _in_text(view: View, runs: SweepRuns) -> bool:
    """Whether a view's table is text: a short one also where the run that holds it as a table is not known."""
    return view.name in _IN_TEXT or (not runs.sweep_ids and 0 < len(view.rows) <= _LONGEST_TEXT)


def _view_panels(view: View, chart: str | None, runs: SweepRuns) -> list[PanelTypes]:
    import wandb_workspaces.reports.v2 as wr

    panels: list[PanelTypes] = []
    if not view.rows:
        return panels
    if chart is not None:
        query = {"summaryTable": {"tableKey": view.name}}
        panels.append(wr.CustomChart(query=query, chart_name=chart, layout=wr.Layout(x=0, y=0, w=WHOLE, h=12)))
    if not _in_text(view, runs) and runs.sweep_ids:
        layout = wr.Layout(x=0, y=12 * len(panels), w=WHOLE, h=10)
        panels.append(wr.WeavePanelSummaryTable(table_name=view.name, layout=layout))
    return panels


def _sources(view: View) -> list[str]:
    """Return where the values of the columns come from: `Counted: weight bytes.`"""
    of: dict[str, list[str]] = {}
    for column in view.columns:
        of.setdefault(column.source, []).append(column.heading)
    return [f"{source.capitalize()}: {'; '.join(dict.fromkeys(names))}." for source, names in of.items()]


def _cut(view: View) -> list[str]:
    rows = len(view.rows)
    if rows <= MOST_ROWS:
        return []
    whole = f"all are in the artifact of the run `comparison`, in views/{view.name}.json"
    return [f"wandb shows at most {MOST_ROWS:,} rows of a table: these are the first of {rows:,}; {whole}."]


def _trial_blocks(model: ReportModel, runs: SweepRuns) -> list[BlockTypes]:
    """Return the panels that wandb draws itself from the trials' runs."""
    import wandb_workspaces.reports.v2 as wr

    keys = grouping(model.varying)
    filters = trial_filters(runs)
    each = wr.Runset(name="trials", filters=filters)
    grouped = wr.Runset(name="groups", filters=filters, groupby=[f"config.{key}" for key in keys])
    notes = [_SCATTER_NOTE, _BAR_NOTE, *_too_many(model)]
    return [
        wr.H1("The trials' runs"),
        wr.MarkdownBlock(_bullets(notes)),
        wr.H2("Each trial"),
        wr.PanelGrid(runsets=[each], panels=[*scatter_panels(), parallel_panel(keys, y=10), comparer_panel(y=20)]),
        wr.H2("By group"),
        wr.PanelGrid(runsets=[grouped], panels=[*bar_panels(keys)]),
        wr.H2("Training"),
        wr.PanelGrid(runsets=[grouped], panels=[*line_panels(keys)]),
    ]


def _too_many(model: ReportModel) -> list[str]:
    if model.done <= MAX_RUNS:
        return []
    return [f"A panel shows at most {MAX_RUNS} runs; {model.done:,} trials are done. The charts above show them all."]


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)
