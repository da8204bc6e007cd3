"""`qbench sweep`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.options import Json, Plugins, SweepFile
from qbench.cli.output import Columns, check_columns, print_json, print_results, print_trials, write_page
from qbench.cli.trials import run_trials

if TYPE_CHECKING:
    from qbench.cli.trials import TrialsRun
    from qbench.report.model.report_model import ReportModel
    from qbench.sweep.config import SweepConfig
    from qbench.sweep.wandb_service import WandbService


def sweep(
    file: SweepFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the trials and stop; write nothing.")] = False,
    max_runs: Annotated[
        int | None, typer.Option(min=1, help="Run the first N trials at most.", metavar="N", show_default="all")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Worker processes.", show_default="one for each CPU")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where results go.", show_default="runs/<name of the sweep>")
    ] = None,
    columns: Columns = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Run the trials of a sweep file and compare their schemes.

    \b
    Example:
      qbench sweep sweeps/binary_vs_int8.yaml
      qbench sweep sweeps/binary_vs_int8.yaml --dry-run
      qbench sweep my.yaml --max-runs 4 --workers 2 --output runs/try

    Trials that are done are never run again: stop with Ctrl-C, go on with the same command. Failed trials are tried
    again. results.csv and results.json are written after each trial, with a row for those that have not run. Each
    trial, and the comparison, is also a wandb run in the output folder, offline unless WANDB_MODE says otherwise. At
    the end report.html shows the comparison; `qbench report` makes it anew, or tables and pictures of it, and `qbench
    show` prints the table again.

    What a file can set: the keys that `qbench train --help` names; `label: "{scheme} w={model_options.width}"` names
    the rows, `plugins: [mine.py]` loads your own quantizers, schemes and models.
    """
    from qbench.sweep.config import load_sweep
    from qbench.sweep.local_executor import LocalExecutor, default_workers
    from qbench.sweep.plan import TRAINING, load_training, make_plan
    from qbench.sweep.store import Store
    from qbench.sweep.sweep import default_output, pending
    from qbench.sweep.trial_runner import Setup
    from qbench.sweep.wandb_service import sweep_service

    check_columns(columns)
    config = load_sweep(file)
    folder = output or default_output(config.name)
    wandb = sweep_service(config, folder.resolve())
    plan = make_plan(config, load_training(TRAINING), max_runs)
    store = Store(folder)
    if dry_run:
        print_trials(plan.trials, pending(plan.trials, store), folder, as_json)
        return
    setup = Setup(TRAINING, folder.resolve(), (config.folder,), wandb)
    executor = LocalExecutor(setup, workers or default_workers(plan.trials))
    run = run_trials(
        plan.trials,
        plan.shown,
        store,
        executor,
        metric=config.metric,
        goal=config.goal,
        name=config.name,
        description=config.description,
        label=config.label,
        file=config.text,
    )
    _show(run, config, folder, wandb, columns, as_json)
    run.leave()


def _show(
    run: TrialsRun, config: SweepConfig, folder: Path, wandb: WandbService | None, columns: str | None, as_json: bool
) -> None:
    """Write the page, print the comparison, and write its wandb run unless the sweep was interrupted."""
    page = write_page(run.report, folder)
    if as_json:
        print_json(run.to_dict(name=config.name, sweep_id=config.sweep_id, report=page and str(page)))
    else:
        print_results(run.report, columns)
        runs = f"; wandb runs in wandb/, {wandb.mode}" if wandb else ""
        html = f"{page.name}, " if page else ""
        print(f"\nResults: {folder}/ ({html}results.csv, results.json, summary.json{runs})")
    if wandb is not None and not run.result.interrupted:
        _write_comparison(wandb, run.report, page)


def _write_comparison(wandb: WandbService, report: ReportModel, page: Path | None) -> None:
    """Write the comparison as a wandb run; what keeps wandb from it is a warning."""
    from qbench.report.wandb.comparison_run import write_comparison

    failure = write_comparison(wandb, report, page)
    if failure is not None:
        print(f"wandb: {failure}. Results are kept; the comparison's run is missing or cut short", file=sys.stderr)
