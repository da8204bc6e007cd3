"""What a trial costs beside a hand-written training loop that does the same arithmetic.

    python benchmarks/training_overhead.py [--rounds 5] [--epochs 30] [--json]

Each round trains the hand-written loop and a full trial in turn (short loop, metrics, a wandb run in offline mode), on
one thread, and takes their ratio; medians and quartiles over the rounds are printed. The loop's network is made of
torch's own layers, and for BinaryNet of the two small classes below. Neither does less than the other: both end with
the same weights, bit for bit, or the benchmark fails. `training` is the trial's `time/train_s`; `trial` is everything:
starting wandb, training, evaluation, costs. Exits with 1 if a median misses its target.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import wandb
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor, nn

from qbench.data.splits import Splits
from qbench.io import load_tensors
from qbench.nn.activation import Activation
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import quant_layers
from qbench.nn.quant_linear import QuantLinear
from qbench.seeds import derive
from qbench.training.losses.squared_hinge import squared_hinge
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.run import run_trial
from quantizers import sign, sign_ste

CASES = {
    "digits ConvNet, batch 64": {"model": "digits-convnet"},
    "MLP 3x256, batch 64": {"model": "digits-mlp"},
}
TARGETS = {"digits ConvNet, batch 64": 1.05, "MLP 3x256, batch 64": 1.2}


class BinaryLinear(nn.Linear):
    """BinaryNet's dense layer as one would write it; `first` leaves the input real."""

    first = False

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight + (sign(self.weight) - self.weight).detach()
        return F.linear(x if self.first else sign_ste(x), weight)


class BinaryConv2d(nn.Conv2d):
    """BinaryNet's convolution as one would write it."""

    first = False

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight + (sign(self.weight) - self.weight).detach()
        return F.conv2d(x if self.first else sign_ste(x), weight, padding=1)


def plain(model: nn.Module, binary: bool) -> nn.Module:
    """The same network of torch's layers, with the same parameters."""
    layers = [module for _, module in quant_layers(model)]
    for name, child in list(model.named_children()):
        new: nn.Module = child
        if isinstance(child, QuantLinear):
            new = (BinaryLinear if binary else nn.Linear)(child.in_features, child.out_features, bias=False)
        elif isinstance(child, QuantConv2d):
            kind = BinaryConv2d if binary else nn.Conv2d
            new = kind(child.in_channels, child.out_channels, 3, padding=1, bias=False)
        elif isinstance(child, Activation):
            new = nn.Identity() if binary else nn.ReLU()
        if child in layers:
            new.weight = child.weight
            new.first = child is layers[0]
        setattr(model, name, new)
    return model


def by_hand(resolved: ResolvedTrial, splits: Splits) -> tuple[float, dict[str, Tensor]]:
    """Seconds, and the weights of the best validation epoch, of a plain loop."""
    module = resolved.build()
    config, binary = resolved.config, resolved.scheme.name == "binarynet"
    groups = module.parameter_groups()
    model = plain(module.model, binary)
    start = time.perf_counter()
    optimizer = torch.optim.Adam(groups, fused=True)
    decay = (module.learning_rate_end / module.learning_rate) ** (1 / resolved.epochs)
    latent = [m.weight for m in model.modules() if isinstance(m, BinaryLinear | BinaryConv2d)]
    best, best_accuracy = {}, -1.0
    for epoch in range(resolved.epochs):
        model.train()
        order = torch.randperm(
            len(splits.train), generator=torch.Generator().manual_seed(derive(config.seed, "order", epoch))
        )
        images, labels = splits.train.images[order], splits.train.labels[order]
        for first in range(0, len(labels), config.batch_size):
            x, y = images[first : first + config.batch_size], labels[first : first + config.batch_size]
            optimizer.zero_grad()
            squared_hinge(model(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for weight in latent:
                    weight.clamp_(-1, 1)
        for group in optimizer.param_groups:
            group["lr"] *= decay
        model.eval()
        with torch.no_grad():
            right = (model(splits.validation.images).argmax(1) == splits.validation.labels).sum()
        if float(right) > best_accuracy:
            best_accuracy = float(right)
            best = {key: value.clone() for key, value in model.state_dict().items()}
    return time.perf_counter() - start, best


def by_trial(resolved: ResolvedTrial, folder: Path) -> tuple[float, float, dict[str, Tensor]]:
    """Training seconds, seconds of the whole trial, and the weights."""
    start = time.perf_counter()
    run = wandb.init(project="overhead", mode="offline", dir=folder, settings=wandb.Settings(silent=True))
    row = run_trial(resolved, folder, logger=WandbLogger(experiment=run)).row
    run.summary.update(row)
    run.finish()
    total = time.perf_counter() - start
    (weights,) = folder.glob("trainings/*/weights.safetensors")
    return row["time/train_s"], total, load_tensors(weights)


def measure(name: str, scheme: str, rounds: int, epochs: int) -> dict[str, Any]:
    """One case: the ratios of every round."""
    hand, training, trial = [], [], []
    for round_ in range(-1, rounds):  # the first is a warm-up
        config = TrialConfig.from_mapping({"scheme": scheme, "epochs": epochs, "seed": max(round_, 0), **CASES[name]})
        resolved = resolve(config)
        splits = resolved.dataset.load(config.split_seed)
        torch.set_num_threads(config.threads)
        seconds, expected = by_hand(resolved, splits)
        with tempfile.TemporaryDirectory() as folder:
            train_s, total, found = by_trial(resolved, Path(folder))
        different = [key for key in expected if not torch.equal(expected[key], found[key])]
        if different:
            raise SystemExit(f"{name}, {scheme}: the loop and the trial differ in {different}")
        if round_ >= 0:
            hand.append(seconds)
            training.append(train_s / seconds)
            trial.append(total / seconds)
    return {
        "case": name,
        "scheme": scheme,
        "hand_s": statistics.median(hand),
        "training": _quartiles(training),
        "trial": _quartiles(trial),
        "target": TARGETS[name],
    }


def _quartiles(values: list[float]) -> list[float]:
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (one warm-up comes first)")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    rows = [measure(name, scheme, options.rounds, options.epochs) for name in CASES for scheme in ("fp32", "binarynet")]
    missed = any(row["training"][1] > row["target"] for row in rows)
    if options.json:
        print(json.dumps({"rounds": options.rounds, "epochs": options.epochs, "threads": 1, "rows": rows}))
        sys.exit(int(missed))
    print(f"{options.rounds} interleaved rounds, {options.epochs} epochs, 1 thread; ratio to the hand-written loop")
    print(f"{'case':26} {'scheme':12} {'loop s':>7}  {'training: median (quartiles)':30} {'whole trial':22} target")
    for row in rows:
        low, mid, high = row["training"]
        first, middle, last = row["trial"]
        print(
            f"{row['case']:26} {row['scheme']:12} {row['hand_s']:7.2f}  "
            f"{f'{mid:.3f} ({low:.3f} - {high:.3f})':30} {f'{middle:.2f} ({first:.2f} - {last:.2f})':22} "
            f"training <= {row['target']}: {'met' if mid <= row['target'] else 'MISSED'}"
        )
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
