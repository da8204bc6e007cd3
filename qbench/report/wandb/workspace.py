"""A sweep as a saved wandb workspace: its trials grouped, its float32 runs as the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.model.report_model import ReportModel
from qbench.report.wandb.panels import (
    ACCURACY,
    BYTES,
    ENERGY,
    bar_panels,
    comparer_panel,
    line_panels,
    parallel_panel,
    scatter_panels,
)
from qbench.report.wandb.run_filters import trial_filters
from qbench.report.wandb.sweep_runs import baseline_runs, grouping, runs_of

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import PanelTypes
    from wandb_workspaces.workspaces import Workspace

_MAX_NAME = 128
_MAX_RUNS_SHOWN = 100


def make_workspace(model: ReportModel, entity: str, project: str) -> Workspace:
    """Return the workspace, unsaved; nothing is sent.

    Its runs are the trials', grouped by the scheme and by what else varies. The baseline, against which wandb shows
    differences, is the first seed of the first float32 group; the other float32 runs are pinned beside it.
    """
    import wandb_workspaces.workspaces as ws

    keys = grouping(model.varying)
    pinned = baseline_runs(model)
    sections: dict[str, list[PanelTypes]] = {
        "Accuracy and costs": [*scatter_panels(), parallel_panel(keys)],
        "By group": [*bar_panels(keys)],
        "Training": [*line_panels(keys)],
        "Differences between runs": [comparer_panel()],
    }
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"qbench: {model.title}"[:_MAX_NAME],
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items()],
        settings=ws.WorkspaceSettings(x_axis="trainer/global_step", max_runs=_MAX_RUNS_SHOWN),
        runset_settings=ws.RunsetSettings(
            filters=trial_filters(runs_of(model)),
            groupby=[ws.Config(key) for key in keys],
            order=[ws.Ordering(ws.Summary(ACCURACY), ascending=False)],
            pinned_columns=[
                *(f"config:{_value(key)}" for key in keys),
                *(f"summary:{name}" for name in (ACCURACY, BYTES, ENERGY)),
            ],
            baseline_run=pinned[0] if pinned else None,
            pinned_runs=list(pinned),
        ),
    )


def _value(key: str) -> str:
    """Return where wandb keeps the value of a config's key, which may be that of a mapping: `a.b` -> `a.value.b`."""
    first, dot, rest = key.partition(".")
    return f"{first}.value{dot}{rest}"
