"""Whether the optional package that makes wandb reports is there."""

from __future__ import annotations

from qbench.errors import UserError


def require_workspaces() -> None:
    """Import wandb-workspaces.

    Raises:
        UserError: it is not installed, with the command that installs it.
    """
    try:
        import wandb_workspaces.reports.v2
        import wandb_workspaces.workspaces  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f"--wandb needs {error.name}, which is not installed: pip install 'qbench[reports]'") from None
