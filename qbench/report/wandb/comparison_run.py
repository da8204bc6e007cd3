"""The comparison of a sweep as a wandb run of the sweep's group: tables, charts, the report, files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.errors import one_line
from qbench.io import finite
from qbench.report.charts.picture import light_specification
from qbench.report.model.report_model import ReportModel
from qbench.report.model.verdict import verdict
from qbench.report.view import View
from qbench.report.views.catalogue import make_views
from qbench.report.wandb.chart_files import chart_page, charted
from qbench.sweep.store import RESULTS_JSON, SUMMARY
from qbench.sweep.wandb_service import COMPARISON, WandbService
from qbench.sweep.wandb_tables import MOST_ROWS

if TYPE_CHECKING:
    import wandb


def write_comparison(service: WandbService, model: ReportModel, page: Path | None = None) -> str | None:
    """Write the comparison as one run, in place of that of an earlier attempt.

    The run's job type is `comparison`. It holds each view that has rows as a table (the first `MOST_ROWS` rows, and its
    notes say so), each chart and the whole report as HTML that loads nothing, and an artifact of the type `comparison`
    with results.json, summary.json, every view whole and every chart's specification.

    Args:
        service: makes the sweep's runs.
        model: what was compared.
        page: the report's page of this model, where it has been written already; None to render it.

    Returns:
        What went wrong, in a line; None if all was written. Nothing is raised: the results are kept, and a sweep does
        not fail because its dashboard does.
    """
    try:
        contents = make_contents(model, make_views(model), page)
        run = service.open(
            service.run_id(COMPARISON),
            f"comparison of {service.sweep_name}",
            COMPARISON,
            config=contents.config,
            notes=contents.notes,
        )
    except Exception as error:
        return one_line(error)
    failure = None
    try:
        _log(run, service, contents)
    except Exception as error:
        failure = one_line(error)
    try:
        run.finish(exit_code=0 if failure is None else 1)
    except Exception as error:
        failure = failure or one_line(error)
    return failure


@dataclass(frozen=True)
class Contents:
    """What the run holds.

    Attributes:
        views: those with rows.
        charts: of the views that have one, HTML.
        page: the report, HTML.
        config: of the run: of each table its caption, notes and columns; why a view has no table.
        summary: numbers of trials, and the rows of a table that is cut.
        notes: the verdict, and what is cut.
    """

    views: dict[str, View]
    charts: dict[str, str]
    page: str
    config: dict[str, Any]
    summary: dict[str, int]
    notes: str


def make_contents(model: ReportModel, views: Mapping[str, View], page: Path | None = None) -> Contents:
    """Return what the comparison's run holds; `page` as for `write_comparison`."""
    from qbench.report.html.page import render

    having = {name: view for name, view in views.items() if view.rows}
    cut = {name: len(view.rows) for name, view in having.items() if len(view.rows) > MOST_ROWS}
    counts = {key: getattr(model, key) for key in ("planned", "done", "failed", "not_run")}
    return Contents(
        views=having,
        charts={name: chart_page(view) for name, view in charted(having).items()},
        page=render(model, views) if page is None else page.read_text(encoding="utf-8"),
        config={
            "tables": {name: _description(view) for name, view in having.items()},
            "missing": {name: view.missing for name, view in views.items() if not view.rows},
        },
        summary={
            **{f"trials/{name}": number for name, number in counts.items()},
            **{f"rows/{name}": rows for name, rows in cut.items()},
        },
        notes="\n".join([*verdict(model), *(_cut(name, rows) for name, rows in cut.items())]),
    )


def _description(view: View) -> dict[str, Any]:
    """Return what a table's column names do not say."""
    return {
        "caption": view.caption,
        "notes": list(view.notes),
        "columns": {column.name: f"{column.heading} ({column.source})" for column in view.columns},
    }


def _cut(name: str, rows: int) -> str:
    return f"Table {name}: the first {MOST_ROWS:,} of {rows:,} rows; all are in the artifact's views/{name}.json."


def _log(run: wandb.Run, service: WandbService, contents: Contents) -> None:
    import wandb

    logged: dict[str, Any] = {name: _table(view) for name, view in contents.views.items()}
    logged |= {f"charts/{name}": wandb.Html(StringIO(page), inject=False) for name, page in contents.charts.items()}
    logged["report"] = wandb.Html(StringIO(contents.page), inject=False)
    run.log(logged)
    run.summary.update(contents.summary)
    artifact = wandb.Artifact(f"comparison-{service.sweep_id}", type=COMPARISON, description=contents.notes)
    # The run's own folder keeps what the artifact names until it is synced, and goes with the run.
    folder = Path(run.dir)
    for name in _write_files(folder, service.folder, contents):
        artifact.add_file(str(folder / name), name=name, policy="immutable", skip_cache=True)
    run.log_artifact(artifact)


def _table(view: View) -> wandb.Table:
    import wandb

    rows = [list(row) for row in view.rows[:MOST_ROWS]]
    return wandb.Table(columns=[column.name for column in view.columns], data=rows, allow_mixed_types=True)


def _write_files(folder: Path, results: Path, contents: Contents) -> list[str]:
    """Write the artifact's files below `folder`; return their names."""
    texts = {f"views/{name}.json": _json(view.as_dict()) for name, view in contents.views.items()}
    texts |= {f"charts/{name}.vl.json": _json(light_specification(contents.views[name])) for name in contents.charts}
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name in (RESULTS_JSON, SUMMARY):
        shutil.copyfile(results / name, folder / name)
    return [*texts, RESULTS_JSON, SUMMARY]


def _json(value: Any) -> str:
    return json.dumps(finite(value), indent=1, allow_nan=False) + "\n"
