"""How large a report's page is, and how long it takes to write.

    python benchmarks/report_size.py [--groups 200] [--seeds 5] [--epochs 30] [--images 360] [--json]

A folder of made-up trials with details is written, each of a network of six layers as the default sweep's, then read
and rendered as `qbench report --format html` does. Bounds: 4 MB and 5 s for 7 groups (the default sweep), 12 MB and
20 s for 1,000 trials in 200 groups. Time is wall time; run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from qbench.report.html.page import render
from qbench.report.model.report_model import make_report
from qbench.report.study import read_study
from qbench.report.views.catalogue import make_views
from qbench.report.views.energy import CAUSES
from qbench.trial.details import TrialDetails, details_file
from qbench.trial.record import TrialRecord

LAYERS = ("conv1", "conv2", "conv3", "conv4", "fc1", "out")
SCHEMES = ("fp32", "binarynet", "int8-kl", "int8-minmax")
BINS = 64


def planted_record(scheme: str, width: int, seed: int, labels: list[int], epochs: int) -> TrialRecord:
    generator = np.random.default_rng((seed, width))
    predictions = np.where(generator.random(len(labels)) < 0.95, labels, 0).tolist()
    accuracy = float(np.mean(np.asarray(predictions) == np.asarray(labels)))
    size, energy = 1000.0 * width, 0.1 * width
    row: dict[str, Any] = {
        "scheme": scheme, "seed": seed, "model": "digits-convnet", "data": "digits", "split_seed": 0, "epochs": epochs,
        "model_options.width": width, "trial_id": f"{SCHEMES.index(scheme):02x}{width:07x}{seed:07x}",
        "training_key": f"{scheme}{width}{seed}", "shared": False, "test/accuracy": accuracy, "val/accuracy": 0.95,
        "kernel/agreement": 1.0, "time/train_s": 2.0, "time/inference_ms": 0.01 * width, "training/epochs": epochs,
        "time/inference_ms_low": 0.009 * width, "time/inference_ms_high": 0.011 * width,
        "training/learning_rate_start": 0.003, "cost/weight_bytes": size, "cost/weight_compression": 1.0,
        "cost/energy_uj": energy, "cost/energy_uj_low": 0.9 * energy, "cost/energy_uj_high": 1.1 * energy,
        "cost/energy_compression": 1.0, "filters/unique_fraction": 0.8,
    }  # fmt: skip
    return TrialRecord(row["trial_id"], "done", row, predictions, labels, None, None)


def planted_details(scheme: str, width: int, seed: int, epochs: int) -> TrialDetails:
    generator = np.random.default_rng((seed, width, 1))
    binary, integer = "binary" in scheme, "int8" in scheme

    def series() -> list[float]:
        return generator.random(epochs).tolist()

    def counts() -> list[int]:
        return generator.integers(0, 5000, BINS).tolist()

    share = 0.1 * width / (3 * len(LAYERS))
    layer = {
        "op": "xnor", "weight_format": "binary", "input_format": "float32", "weights": 1440, "macs": 92_160,
        "weight_bytes": 150 * width, "scale_bytes": 0, "other_bytes": 64, "input_bytes": 256, "output_bytes": 4096,
        **{cause: [0.9 * share, 1.1 * share] for cause in CAUSES},
    }  # fmt: skip
    tensor = {
        "format": "int8", "low": -1.0, "high": 1.0, "scale_low": 0.01, "scale_high": 0.02, "clipped": 0.001,
        "sqnr_db": 40.0,
    }  # fmt: skip
    history = {"epoch": [float(e) for e in range(1, epochs + 1)], "train/loss": series(), "val/accuracy": series()}
    if binary:
        history |= {f"flips/{name}": series() for name in LAYERS}
    most = [{"bits": f"{i:09b}", "rows": 3, "columns": 3, "count": 100 - i} for i in range(12)]
    return TrialDetails(
        history=history,
        layers=[{"name": name, **layer} for name in LAYERS],
        latent=[{"layer": n, "low": -1.0, "high": 1.0, "counts": counts()} for n in LAYERS] if binary else [],
        filters=[
            {
                "layer": name, "filters": 48, "input_maps": 16, "size": 9, "positions": 64, "distinct": 650,
                "distinct_signed": 700, "unique_fraction": 0.85, "random_fraction": 0.87, "most": most,
            }
            for name in LAYERS[:4]
        ] if binary else [],
        quantization={
            "layers": [{"name": n, "weights": tensor, "inputs": tensor, "sensitivity": 0.98} for n in LAYERS],
            "float_accuracy": 0.99, "accuracy": 0.98, "images": 360,
        } if integer else {},
        ranges=[
            {
                "layer": name, "method": "kl", "low": -3.0, "high": 3.0, "edge_low": -4.0, "edge_high": 4.0,
                "counts": counts(), "divergence": {"threshold": series(), "kl": series()},
            }
            for name in LAYERS
        ] if integer else [],
        calibration={"seed": 0, "images": 512, "indices": list(range(512))} if integer else {},
    )  # fmt: skip


def plant(folder: Path, groups: int, seeds: int, epochs: int, images: int) -> None:
    """Write a sweep's folder: `groups` groups of the schemes in growing widths, each with `seeds` seeds."""
    (folder / "trials").mkdir(parents=True)
    (folder / "details").mkdir()
    labels = np.random.default_rng(0).integers(0, 10, images).tolist()
    rows = []
    for index in range(groups):
        scheme, width = SCHEMES[index % len(SCHEMES)], 8 + index // len(SCHEMES)
        for seed in range(seeds):
            record = planted_record(scheme, width, seed, labels, epochs)
            (folder / "trials" / f"{record.trial_id}.json").write_text(record.to_json())
            details_file(folder, record.trial_id).write_text(planted_details(scheme, width, seed, epochs).to_json())
            rows.append({**record.row, "status": "done", "error": None})
    (folder / "results.json").write_text(json.dumps(rows))


def measure(groups: int, seeds: int, epochs: int, images: int) -> dict[str, float]:
    """Seconds of each step, and the page's size."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "sweep"
        plant(folder, groups, seeds, epochs, images)
        start = time.perf_counter()
        study = read_study(folder)
        read = time.perf_counter()
        model = make_report([study])
        made = time.perf_counter()
        views = make_views(model)
        seen = time.perf_counter()
        page = render(model, views)
        end = time.perf_counter()
    return {
        "groups": groups, "trials": groups * seeds, "megabytes": len(page.encode()) / 1e6, "read_s": read - start,
        "statistics_s": made - read, "views_s": seen - made, "page_s": end - seen, "total_s": end - start,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, nargs="+", default=[7, 200])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--images", type=int, default=360)
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of the table")
    options = parser.parse_args()
    rows = [measure(groups, options.seeds, options.epochs, options.images) for groups in options.groups]
    if options.json:
        print(json.dumps(rows))
        return
    print(" trials  groups  page MB  read s  statistics s  views s  page s total s")
    for row in rows:
        print(
            f"{row['trials']:7,.0f} {row['groups']:7,.0f} {row['megabytes']:8.2f} {row['read_s']:7.2f} "
            f"{row['statistics_s']:13.2f} {row['views_s']:8.2f} {row['page_s']:7.2f} {row['total_s']:7.2f}"
        )


if __name__ == "__main__":
    sys.exit(main())
