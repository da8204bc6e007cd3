"""`qbench validate`."""

from __future__ import annotations

from qbench.cli.options import Plugins, SweepFile


def validate(file: SweepFile, plugin: Plugins = None) -> None:
    """Check a sweep file and every trial of it; run nothing.

    \b
    Example:
      qbench validate sweeps/binary_vs_int8.yaml
    """
    from qbench.report.model.wording import number_of
    from qbench.sweep.config import load_sweep
    from qbench.sweep.plan import TRAINING, load_training, make_plan
    from qbench.sweep.search import is_endless

    config = load_sweep(file)
    endless = is_endless(config)
    plan = make_plan(config, load_training(TRAINING), 20 if endless else None)
    trainings = len({trial.training_key for trial in plan.shown})
    size = f"{number_of(len(plan.shown), 'trial')}, {number_of(trainings, 'training')}"
    if endless:
        size = f"no run_cap, so --max-runs is needed; the first {len(plan.shown)} trials are fine"
    print(f"{file}: ok: {config.method} search, {size}")
