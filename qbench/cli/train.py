"""`qbench train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import Json, Plugins, SchemeName
from qbench.cli.output import Columns, check_columns, print_json, print_results
from qbench.cli.trials import run_trials


def train(
    scheme: SchemeName,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of initial weights, batches, random signs.", show_default="0")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of `qbench ls models`.", show_default="digits-convnet")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of `qbench ls data`.", show_default="digits")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Training epochs.", show_default="30")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="RATE", help="Of the first epoch.", show_default="the scheme's")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="KEY=VALUE", help="Any other key of a trial; may be repeated."),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the result is kept.")] = Path("runs/train"),
    force: Annotated[
        bool, typer.Option("--force", help="Run again although the result is there; stored weights are used.")
    ] = False,
    columns: Columns = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train one network under one scheme and print its metrics.

    \b
    Example:
      qbench train --scheme binarynet
      qbench train --scheme int8-kl --seed 3 --epochs 10 --option model_options.width=16
      qbench train --scheme binarynet --option module=my_module.MyModule    (my_module.py in this folder)

    It prints the table that a sweep prints; --columns chooses others, --json has every metric. A trial that was run
    before is answered from DIR. Set WANDB_MODE=disabled to leave wandb out.

    Other keys: augment, batch_size, learning_rate_end, model_options.KEY (`qbench ls models` names them),
    scheme_options.KEY (`qbench ls schemes --json`), calibration_images, split_seed, module, module_options.KEY,
    network, select, select_mode, device, compile, threads.
    """
    from qbench.sweep.executor import InProcessExecutor
    from qbench.sweep.options import trial_config
    from qbench.sweep.plan import TRAINING, load_training, plan_trial
    from qbench.sweep.store import Store
    from qbench.sweep.trial_runner import Setup
    from qbench.sweep.wandb_service import trial_service

    check_columns(columns)
    wandb = trial_service(output.resolve())
    given = {"seed": seed, "model": model, "data": data, "epochs": epochs, "learning_rate": learning_rate}
    config = trial_config({"scheme": scheme, **given}, option or [])
    training = load_training(TRAINING)
    trial = plan_trial(config, training)
    executor = InProcessExecutor(Setup(TRAINING, output.resolve(), (), wandb), training)
    run = run_trials([trial], [trial], Store(output), executor, force=force, epochs=True)
    record = run.result.records.get(trial.id)
    if as_json:
        print_json(run.to_dict(row=record.row if record else None))
    elif record:
        print_results(run.report, columns)
        print(f"\nResults: {output}/ (trials/{trial.id}.json, results.csv, results.json, summary.json)")
    run.leave()
