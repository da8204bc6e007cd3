"""What `wandb-workspaces` does not offer by a public name: its objects as plain values, and back.

The package has no public way to write a report or a workspace without a server. All uses of its private names are in
this file; the extra `reports` pins the versions that have them, and a test fails where one is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

PRIVATE_NAMES = (
    ("wandb_workspaces.reports.v2.interface", "Report._to_model"),
    ("wandb_workspaces.reports.v2.interface", "Report._from_model"),
    ("wandb_workspaces.reports.v2.internal", "ReportViewspec.model_validate"),
    ("wandb_workspaces.workspaces.interface", "Workspace._to_model"),
    ("wandb_workspaces.workspaces.interface", "Workspace._from_model"),
    ("wandb_workspaces.workspaces.internal", "View.model_validate"),
)
"""Each module and name that is used here."""


def report_values(report: Report) -> dict[str, Any]:
    """Return a report as the plain values that `Report.save` sends, its `spec` not yet a text."""
    return _plain(report._to_model())


def report_of(values: dict[str, Any]) -> Report:
    """Return the report that `report_values` has written."""
    from wandb_workspaces.reports.v2.interface import Report
    from wandb_workspaces.reports.v2.internal import ReportViewspec

    return Report._from_model(ReportViewspec.model_validate(values))


def workspace_values(workspace: Workspace) -> dict[str, Any]:
    """Return a workspace as the plain values that `Workspace.save` sends, its `spec` not yet a text."""
    return _plain(workspace._to_model())


def workspace_of(values: dict[str, Any]) -> Workspace:
    """Return the workspace that `workspace_values` has written."""
    from wandb_workspaces.workspaces.interface import Workspace
    from wandb_workspaces.workspaces.internal import View

    return Workspace._from_model(View.model_validate(values))


def _plain(model: Any) -> dict[str, Any]:
    values: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return values
