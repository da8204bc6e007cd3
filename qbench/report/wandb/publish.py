"""A wandb report and workspace saved on wandb's server, or written as files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.errors import UserError, one_line
from qbench.io import replacing
from qbench.report.model.report_model import ReportModel
from qbench.report.view import View
from qbench.report.wandb.chart_files import charted, vega_specification
from qbench.report.wandb.extra import require_workspaces
from qbench.report.wandb.target import Target
from qbench.trial.identity import digest

if TYPE_CHECKING:
    import wandb
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

REPORT_FILE, WORKSPACE_FILE, CHARTS_FILE = "wandb-report.json", "wandb-workspace.json", "wandb-charts.json"
_TIMEOUT_S = 20
_RETRIES = 2
_LOG_IN = "log in with `wandb login`, or set WANDB_API_KEY"


@dataclass(frozen=True)
class Specification:
    """What would be saved.

    Attributes:
        report, workspace: unsaved objects of wandb-workspaces.
        charts: each custom chart's name and its specification in Vega.
    """

    report: Report
    workspace: Workspace
    charts: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Published:
    """Where the report and the workspace are."""

    report: str
    workspace: str


def specify(model: ReportModel, views: Mapping[str, View], target: Target) -> Specification:
    """Return the report, the workspace and their charts; nothing is sent, and no key is needed.

    Raises:
        UserError: wandb-workspaces is not installed.
    """
    require_workspaces()
    from qbench.report.wandb.report import make_wandb_report
    from qbench.report.wandb.workspace import make_workspace

    vega = {name: vega_specification(view) for name, view in charted(views).items()}
    # A chart's name holds what it draws: an equal name is an equal chart, and an edited one does not replace the old.
    names = {name: f"qbench-{name}-{digest(json.dumps(each, sort_keys=True))[:8]}" for name, each in vega.items()}
    ids = {name: f"{target.entity}/{chart}" for name, chart in names.items()}
    return Specification(
        make_wandb_report(model, views, ids, target.entity, target.project),
        make_workspace(model, target.entity, target.project),
        {names[name]: each for name, each in vega.items()},
    )


def write_specification(made: Specification, folder: Path) -> list[Path]:
    """Write the report, the workspace and the charts as JSON into `folder`; return the files.

    Raises:
        UserError: a file cannot be written.
    """
    from qbench.report.wandb.private import report_values, workspace_values

    texts = {
        REPORT_FILE: report_values(made.report),
        WORKSPACE_FILE: workspace_values(made.workspace),
        CHARTS_FILE: made.charts,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in texts.items():
            with replacing(folder / name) as temporary:
                temporary.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return [folder / name for name in texts]


def publish(made: Specification, target: Target) -> Published:
    """Save the charts, the report and the workspace on wandb's server; return their addresses.

    Each call makes a new report and a new view: what a reader has changed in an earlier one stays.

    Raises:
        UserError: no key, no such project, or whatever else wandb's client or server answers, in one line.
    """
    with _wandb() as api:
        _check_project(api, target)
        for name, vega in made.charts.items():
            _create_chart(api, target, name, vega)
        made.report.save()
        made.workspace.save()
        return Published(made.report.url, made.workspace.url)


@contextlib.contextmanager
def _wandb() -> Iterator[wandb.Api]:
    """Give wandb's client: silent, asking nothing, giving up soon, leaving no file; its errors are `UserError`s."""
    import wandb

    with tempfile.TemporaryDirectory() as folder, _environment(WANDB_DATA_DIR=folder, WANDB_CACHE_DIR=folder):
        try:
            wandb.setup(
                wandb.Settings(
                    silent=True,  # prints nothing, and asks for no key
                    x_graphql_retry_max=_RETRIES,
                    x_graphql_retry_wait_max_seconds=1,
                    x_graphql_timeout_seconds=_TIMEOUT_S,
                )
            )
            yield wandb.Api(timeout=_TIMEOUT_S)
        except UserError:
            raise
        except wandb.errors.UsageError as error:
            raise UserError(f"wandb: {_LOG_IN} ({one_line(error)})") from None
        except Exception as error:  # of wandb's: they have no common base
            raise UserError(f"wandb: {_readable(error)}") from None
        finally:
            wandb.teardown()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _check_project(api: wandb.Api, target: Target) -> None:
    # Without this, saving a report would make the project, empty, of a mistyped name.
    if all(project.name != target.project for project in api.projects(target.entity)):
        raise UserError(
            f"wandb: {target.entity} has no project {target.project!r}; send the runs first: wandb sync "
            f"--entity {target.entity} --project {target.project} FOLDER/wandb/offline-run-*"
        )


def _create_chart(api: wandb.Api, target: Target, name: str, vega: dict[str, Any]) -> None:
    try:
        api.create_custom_chart(target.entity, name, name, "vega2", "private", vega)
    except Exception as error:
        if "already exists" not in str(error).lower():
            raise


def _readable(error: Exception) -> str:
    text = one_line(error)
    is_login = type(error).__name__ == "AuthenticationError"  # a refused key, and a server that does not answer at all
    return f"{text}; if the server is up, {_LOG_IN}" if is_login else text
