"""Stands in for qbench.trial.run where a test is about sweeps: trials take no time and do as they are told.

`scheme_options: {act: ...}` says how a trial behaves; everything else is arithmetic on its seed.
"""

import os
import signal
import time
from dataclasses import dataclass

from qbench.errors import ConfigError, nearest
from qbench.trial.config import TrialConfig
from qbench.trial.identity import digest
from qbench.trial.result import TrialResult

SCHEMES = ["fp32", "binarynet", "int8-kl"]
IMAGES = 40


@dataclass(frozen=True)
class Resolved:
    config: TrialConfig

    @property
    def epochs(self):
        return self.config.epochs

    @property
    def trial_id(self):
        return digest("trial", self.config.model_dump())

    @property
    def training_key(self):
        trained = "fp32" if self.config.scheme == "int8-kl" else self.config.scheme
        return digest("training", trained, self.config.seed, self.config.scheme_options)


def resolve(config):
    if config.scheme not in SCHEMES:
        raise ConfigError(f"unknown scheme {config.scheme!r}{nearest(config.scheme, SCHEMES)}", "scheme")
    return Resolved(config)


def check(trial):
    """Nothing to build."""


def run_trial(trial, folder, *, logger=None, on_epoch=None):
    config = trial.config
    with (folder / "ran.txt").open("a") as file:
        file.write(f"{config.scheme} {config.seed} {os.getpid()}\n")
    act = config.scheme_options.get("act")
    if act == f"raise-{config.seed}":
        raise ValueError("the loss is\nnot a number")
    if act == f"exit-{config.seed}":
        raise SystemExit(3)
    if act == f"die-{config.seed}":
        os.write(2, b"last words\n")
        os.kill(os.getpid(), signal.SIGKILL)
    if act == f"hang-{config.seed}":
        time.sleep(60)
    if on_epoch is not None:
        for epoch in range(config.epochs):
            on_epoch(epoch + 1, config.epochs, {"train/loss": 1.0 / (epoch + 1), "val/accuracy": 0.5})
    labels = [image % 10 for image in range(IMAGES)]
    wrong = {"fp32": 1, "int8-kl": 2, "binarynet": 4}[config.scheme] + config.seed
    predictions = [(label + (image < wrong)) % 10 for image, label in enumerate(labels)]
    row = {
        **config.flat(),
        "trial_id": trial.trial_id,
        "training_key": trial.training_key,
        "shared": config.scheme == "int8-kl",
        "test/accuracy": 1 - wrong / IMAGES,
        "cost/weight_bytes": {"fp32": 3200, "int8-kl": 800, "binarynet": 100}[config.scheme],
        "cost/weight_compression": {"fp32": 1.0, "int8-kl": 4.0, "binarynet": 32.0}[config.scheme],
        "cost/quantized_share": {"fp32": 0.0, "int8-kl": 1.0, "binarynet": 1.0}[config.scheme],
        "cost/energy_uj": {"fp32": 10.0, "int8-kl": 2.0, "binarynet": 0.5}[config.scheme],
        "cost/energy_compression": {"fp32": 1.0, "int8-kl": 5.0, "binarynet": 20.0}[config.scheme],
        "filters/unique_fraction": 0.5 if config.scheme == "binarynet" else None,
        "kernel/agreement": (0.3694 if act == "disagree" else 1.0) if config.scheme == "binarynet" else None,
        "time/train_s": 1.5,
        "training/epochs": config.epochs,
        "training/learning_rate_start": config.learning_rate or 3e-3,
    }
    if act == "tensor":
        row["test/accuracy"] = object()
    return TrialResult(row, predictions, labels)
