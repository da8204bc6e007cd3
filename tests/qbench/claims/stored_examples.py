"""Stored sweeps and run folders made of plain values: nothing is trained."""

from qbench.claims.origin import Origin
from qbench.claims.stored import StoredSweep, StoredTrial, UnfinishedTrial, pack_correct
from qbench.trial.config import TrialConfig
from qbench.trial.identity import digest
from qbench.trial.result import TrialResult

ORIGIN = Origin("2026-01-02", "Some Processor, 2 cores", "qbench sweep sweeps/tiny.yaml", "0.1.0", "2.11.0")
LABELS = [image % 10 for image in range(200)]


def predictions(wrong, start=0):
    """Right but for `wrong` images from `start` on."""
    return [(label + (start <= image < start + wrong)) % 10 for image, label in enumerate(LABELS)]


def stored_trial(seed=0, wrong=2, start=0, labels=LABELS, **row):
    values = {
        "scheme": "binarynet",
        "seed": seed,
        "model": "mnist-mlp",
        "data": "mnist",
        "split_seed": 0,
        "epochs": 30,
        "module": None,
        "device": "cpu",
        "trial_id": f"{seed:016x}",
        "training/epochs": row.get("epochs", 30),
        "test/accuracy": 1 - wrong / len(labels),
    }
    right = pack_correct(predictions(wrong, start), LABELS)
    return StoredTrial(values | row, len(labels), right, digest(labels))


def unfinished(trial, seed, status="failed"):
    """Another seed of `trial`, without a result."""
    configuration = {
        key: value for key, value in trial.row.items() if key.partition(".")[0] in TrialConfig.model_fields
    }
    return UnfinishedTrial(configuration | {"seed": seed}, status)


def stored_sweep(*trials, name="tiny", **more):
    return StoredSweep(name, ORIGIN, tuple(trials), **more)


def result(row, predicted, labels=LABELS):
    return TrialResult(row, predicted, labels)


SWEEP = """name: tiny
method: grid
parameters:
  scheme: {values: [binarynet, fp32]}
  seed: {values: [0, 1]}
  epochs: {value: 3}
"""
