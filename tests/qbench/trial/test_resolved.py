"""Names are looked up once: when a trial is planned, and by the process that runs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import qbench.trial.identity
import qbench.trial.resolved
from qbench.data.datasets import DATASETS
from qbench.nn.models.catalogue import MODELS
from qbench.schemes.catalogue import SCHEMES
from qbench.sweep.plan import load_training, plan_trial
from qbench.sweep.trial_runner import Setup, TrialRunner
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve
from quantizers import Registry

CONFIG = TrialConfig(scheme="int8-minmax", model="digits-mlp", model_options={"hidden": 8, "layers": 1}, epochs=1)
ONCE = {"int8-minmax": 1, "digits-mlp": 1, "digits": 1}


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each scheme, model and data set has been looked up, whoever asked."""
    counted: Counter[str] = Counter()
    find = Registry.get

    def get(self: Registry[Any], name: str) -> Any:
        if any(self is registry for registry in (SCHEMES, MODELS, DATASETS)):
            counted[name] += 1
        return find(self, name)

    monkeypatch.setattr(Registry, "get", get)
    return counted


def test_names_are_looked_up_once_to_plan_a_trial_and_once_to_run_it(lookups: Counter[str], tmp_path: Path) -> None:
    training = load_training()
    planned = plan_trial(CONFIG, training)
    assert lookups == ONCE
    lookups.clear()
    setup = Setup(training="qbench.trial.run", folder=tmp_path, importable=(), wandb=None)
    result, _ = TrialRunner(setup, training).run(planned, lambda epoch, epochs, metrics: None)
    assert result.error is None
    assert result.row["trial_id"] == planned.id
    del lookups["fp32"]  # what costs are compared with, not a name of the trial
    assert lookups == ONCE


class Broken:
    """A training that cannot make a trial of a configuration, or not its identity."""

    def __init__(self, resolves: bool) -> None:
        self.resolves = resolves

    def resolve(self, config: TrialConfig) -> Any:
        if not self.resolves:
            raise KeyError("x")
        return self

    @property
    def trial_id(self) -> str:
        raise FileNotFoundError("a plug-in's source is gone")


@pytest.mark.parametrize(
    ("resolves", "error"), [(False, "KeyError: 'x'"), (True, "FileNotFoundError: a plug-in's source is gone")]
)
def test_a_trial_that_cannot_be_resolved_has_failed(resolves: bool, error: str, tmp_path: Path) -> None:
    planned = plan_trial(CONFIG, load_training())
    setup = Setup(training="qbench.trial.run", folder=tmp_path, importable=(), wandb=None)
    unusable: Any = Broken(resolves)
    runner = TrialRunner(setup, unusable, planned_here=False)
    result, _ = runner.run(planned, lambda epoch, epochs, metrics: None)
    assert result.error is not None
    assert result.error.startswith(error)
    assert "Traceback" in result.traceback


def test_identities_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    digest = qbench.trial.identity.digest
    monkeypatch.setattr(qbench.trial.resolved, "digest", lambda *parts: calls.append(None) or digest(*parts))
    trial = resolve(CONFIG)
    assert calls == []
    assert (trial.trial_id, trial.training_key) == (trial.trial_id, trial.training_key)
    assert len(calls) == 2
