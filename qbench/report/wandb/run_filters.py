"""The runs of a sweep as a filter of wandb's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.wandb.sweep_runs import SweepRuns
from qbench.sweep.wandb_service import COMPARISON, TRIAL

if TYPE_CHECKING:
    from wandb_workspaces.expr import And


def trial_filters(runs: SweepRuns) -> And:
    """Return what the trials' runs have in common: their group; where that is not known, their trials' ids."""
    from wandb_workspaces.expr import And, Config, Metric

    if not runs.sweep_ids:
        return And(Metric("JobType") == TRIAL, Config("trial_id").isin(list(runs.trial_ids)))
    return And(Metric("JobType") == TRIAL, Metric("Group").isin(list(runs.sweep_ids)))


def comparison_filters(runs: SweepRuns) -> And:
    """Return what the comparisons' runs have in common; no run has it where the group is not known."""
    from wandb_workspaces.expr import And, Metric

    return And(Metric("JobType") == COMPARISON, Metric("Group").isin(list(runs.sweep_ids)))
