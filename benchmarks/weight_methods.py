"""Calibration methods of low-bit weights, one table: method by bits, granularity, folding and bias correction.

    python benchmarks/weight_methods.py --seeds 5

Trains (or takes from --runs) `digits-convnet` in float32 once a seed and quantizes its weights in every way;
activations stay at 8 bits (min-max). Each cell is the mean test accuracy over the seeds with its standard deviation, in
percent.
"""

from __future__ import annotations

import argparse
import warnings
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from qbench.report.commands.columns import aligned
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial
from quantizers import DegenerateKLWarning

METHODS = ("minmax", "percentile", "mse", "kl")
WAYS: dict[str, dict[str, Any]] = {
    "per channel": {"channel_axis": 0},
    "per tensor, folded": {},
    "per tensor, BatchNorm apart": {"fold_batch_norm": False},
    "per tensor, folded, bias corrected": {"bias_correction": True},
    "per tensor, folded, clipped at 3 sigma": {"clip_outliers": 3.0},
}


def accuracies(scheme: str, options: dict[str, Any], seeds: int, runs: Path) -> list[float]:
    """Test accuracy of each seed, in percent."""
    found = []
    for seed in range(seeds):
        config = TrialConfig.from_mapping({"scheme": scheme, "scheme_options": options, "seed": seed})
        found.append(100 * run_trial(resolve(config), runs).row["test/accuracy"])
    return found


def cell(found: list[float]) -> str:
    spread = stdev(found) if len(found) > 1 else 0.0
    return f"{mean(found):.2f} ± {spread:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/weight_methods"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", DegenerateKLWarning)
    print(f"float32: {cell(accuracies('fp32', {}, options.seeds, options.runs))}")
    rows = [("bits", "weights", *METHODS)]
    for bits, (way, more) in product(options.bits, WAYS.items()):
        steps = {key: value for key, value in more.items() if key != "channel_axis"}
        axis = {key: value for key, value in more.items() if key == "channel_axis"}
        cells = []
        for method in METHODS:
            weights = {"name": "int8", "options": {"bits": bits, "method": method, **axis}}
            found = accuracies("int8-minmax", {"weights": weights, **steps}, options.seeds, options.runs)
            cells.append(cell(found))
        rows.append((str(bits), way, *cells))
    print("\n".join(aligned(rows, left=2)))


if __name__ == "__main__":
    main()
