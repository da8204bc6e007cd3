"""`qbench report --wandb`: the report and the workspace on wandb's server, or as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qbench.report.model.report_model import ReportModel
    from qbench.report.view import View


def to_wandb(model: ReportModel, views: Mapping[str, View], project: str, folder: Path, dry_run: bool) -> None:
    """Save a wandb report and workspace, and print where they are; with `dry_run` write both into `folder` instead.

    Args:
        model: what was compared.
        views: all of them.
        project: `ENTITY/PROJECT`.
        folder: for a dry run.
        dry_run: write files; neither a key nor a network is needed.

    Raises:
        UserError: another form of `project`, wandb-workspaces is not installed, or whatever keeps wandb from saving.
    """
    from qbench.report.wandb.publish import publish, specify, write_specification
    from qbench.report.wandb.target import Target

    target = Target.parse(project)
    made = specify(model, views, target)
    if dry_run:
        for path in write_specification(made, folder):
            print(f"Written: {path}")
        return
    found = publish(made, target)
    print(f"Report: {found.report}\nWorkspace: {found.workspace}")
