"""Planted sweeps: records whose accuracies, costs and details are known, without any training."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

from qbench.report.study import Study
from qbench.trial.details import TrialDetails, details_file
from qbench.trial.record import TrialRecord

CLASSES = 10
# Accuracy, weight bytes, energy in µJ, of each scheme that `study` plants by default.
SCHEMES = {
    "fp32": (0.99, 888_848, 27.0),
    "binarynet": (0.95, 29_756, 0.445),
    "int8-kl": (0.99, 225_176, 3.9),
}


def labels(images=100, seed=0):
    return np.random.default_rng(seed).integers(0, CLASSES, images).tolist()


def predictions(true, accuracy, seed):
    """Predictions with round(accuracy·N) right; which ones are wrong is drawn by the seed."""
    generator = np.random.default_rng(seed)
    found = np.asarray(true)
    wrong = generator.permutation(len(found))[: len(found) - round(accuracy * len(found))]
    found[wrong] = (found[wrong] + generator.integers(1, CLASSES, len(wrong))) % CLASSES
    return found.tolist()


def record(scheme="fp32", seed=0, accuracy=0.9, true=None, *, status="done", metrics=(), folder=None, **config):
    """A record; `metrics` replace or add to those planted."""
    true = labels() if true is None else true
    row = {"scheme": scheme, "seed": seed, "model": "digits-convnet", "data": "digits", "split_seed": 0, "epochs": 3}
    row |= config
    trial_id = f"{zlib.crc32(repr((scheme, seed, sorted(config.items()))).encode()):016x}"
    row |= {"trial_id": trial_id, "training_key": f"{scheme}-{seed}"}
    if status == "failed":
        return TrialRecord(trial_id, "failed", row, [], [], "ValueError: no", folder)
    found = predictions(true, accuracy, seed)
    _, size, energy = SCHEMES.get(scheme, (0, 1000, 1.0))
    binary = "binary" in scheme
    row |= {
        "shared": False,
        "test/accuracy": float(np.mean(np.asarray(found) == np.asarray(true))),
        "val/accuracy": accuracy,
        "kernel/agreement": None if scheme == "fp32" else 1.0,
        "kernel/execution": None if scheme == "fp32" else "layers",
        "time/train_s": 2.0 + seed,
        "time/inference_ms": 0.5,
        "training/epochs": row["epochs"],
        "training/best_epoch": 2,
        "training/loop": "short",
        "training/learning_rate_start": 0.003,
        "cost/weight_bytes": size,
        "cost/weight_compression": 888_848 / size,
        "cost/macs": 3_421_056,
        "cost/float_macs": 3_421_056 if scheme == "fp32" else 0,
        "cost/quantized_share": 0.0 if scheme == "fp32" else 1.0,
        "cost/account": "graph",
        "cost/energy_uj": energy,
        "cost/energy_uj_low": 0.9 * energy,
        "cost/energy_uj_high": 1.1 * energy,
        "cost/energy_compression": 27.0 / energy,
        "cost/weight_level": "1 MB",
        "cost/activation_level": "32 KB",
        "filters/unique_fraction": 0.8 if binary else None,
        "filters/random_fraction": 0.87 if binary else None,
        **dict(metrics),
    }
    return TrialRecord(trial_id, "done", row, found, true, None, folder)


def details(scheme="fp32", seed=0, epochs=3):
    """Details as a trial of the scheme keeps them: of two layers."""
    binary, integer = "binary" in scheme, "int8" in scheme
    history = {
        "epoch": [float(e) for e in range(1, epochs + 1)],
        "train/loss": [1.0 / e + 0.01 * seed for e in range(1, epochs + 1)],
        "val/accuracy": [1 - 0.5 / e - 0.01 * seed for e in range(1, epochs + 1)],
    }
    if binary:
        history |= {f"flips/{name}": [0.1 / e for e in range(1, epochs + 1)] for name in ("conv1", "fc1")}
    layer = {
        "op": "xnor" if binary else "float", "weight_format": "binary" if binary else "float32",
        "input_format": "float32", "weights": 1440, "macs": 92_160, "weight_bytes": 180 if binary else 5760,
        "scale_bytes": 0, "other_bytes": 64, "input_bytes": 256, "output_bytes": 4096,
        "arithmetic_uj": [0.1, 0.3], "weight_traffic_uj": [0.2, 0.2], "activation_traffic_uj": [0.05, 0.05],
    }  # fmt: skip
    counts = [int(100 * np.exp(-((i - 31.5) ** 2) / 200)) for i in range(64)]
    tensor = {
        "format": "int8", "low": -1.0, "high": 1.0, "scale_low": 0.01, "scale_high": 0.02, "clipped": 0.001,
        "sqnr_db": 40.0,
    }  # fmt: skip
    return TrialDetails(
        history=history,
        layers=[{"name": name, **layer} for name in ("conv1", "fc1")],
        latent=[{"layer": n, "low": -1.0, "high": 1.0, "counts": counts} for n in ("conv1", "fc1")] if binary else [],
        filters=[
            {
                "layer": "conv1", "filters": 48, "input_maps": 16, "size": 9, "positions": 64, "distinct": 650,
                "distinct_signed": 700, "unique_fraction": 650 / 768, "random_fraction": 0.87,
                "most": [{"bits": "111000111", "rows": 3, "columns": 3, "count": 9}],
            }
        ] if binary else [],
        quantization={
            "layers": [
                {"name": "conv1", "weights": tensor, "inputs": tensor, "sensitivity": 0.98},
                {"name": "fc1", "weights": {**tensor, "sqnr_db": None}, "inputs": tensor, "sensitivity": 0.99},
            ],
            "float_accuracy": 0.99, "accuracy": 0.98, "images": 100,
        } if integer else {},
        ranges=[
            {
                "layer": "fc1", "method": "kl", "low": -3.0, "high": 3.0, "edge_low": -4.0, "edge_high": 4.0,
                "counts": counts, "divergence": {"threshold": [1.0, 2.0, 3.0, 4.0], "kl": [0.5, 0.1, 0.05, 0.2]},
            }
        ] if integer else [],
        calibration={"seed": 0, "images": 4, "indices": [3, 1, 4, 15]} if integer else {},
    )  # fmt: skip


def study(schemes=None, seeds=(0, 1, 2), *, images=100, name="planted", origin=(), not_run=(), **config):
    """A study in no folder: every scheme (name to (accuracy, bytes, µJ)) with every seed, and details."""
    true = labels(images)
    records, kept = [], {}
    for scheme, (accuracy, size, energy) in (schemes or SCHEMES).items():
        for seed in seeds:
            costs = {
                "cost/weight_bytes": size, "cost/weight_compression": 888_848 / size, "cost/energy_uj": energy,
                "cost/energy_uj_low": 0.9 * energy, "cost/energy_uj_high": 1.1 * energy,
                "cost/energy_compression": 27.0 / energy,
            }  # fmt: skip
            made = record(scheme, seed, accuracy, true, metrics=costs, **config)
            records.append(made)
            kept[made.trial_id] = details(scheme, seed)
    facts = {
        "name": name, "metric": "val/accuracy", "goal": "maximize", "description": "Planted.",
        "file": "name: planted\n",
        "runs": [
            {
                "date": "2026-11-30", "command": ["qbench", "sweep", "planted.yaml"], "machine": "A processor, 2 CPUs",
                "versions": {"qbench": "0.1.0", "torch": "2.13.0"},
            }
        ],
    }  # fmt: skip
    return Study(name, Path(name), tuple(records), kept, tuple(not_run), facts | dict(origin))


def write(made, folder):
    """Write a study as a sweep leaves it in its folder; return the folder."""
    (folder / "trials").mkdir(parents=True)
    (folder / "details").mkdir()
    rows = []
    for each in made.records:
        (folder / "trials" / f"{each.trial_id}.json").write_text(each.to_json())
        rows.append({**each.row, "status": each.status, "error": each.error})
    for trial_id, found in made.details.items():
        details_file(folder, trial_id).write_text(found.to_json())
    rows += [{**row, "status": "not run", "error": None} for row in made.not_run]
    (folder / "results.json").write_text(json.dumps(rows))
    (folder / "origin.json").write_text(json.dumps(made.origin))
    return folder


def studies_of(records, planned=None, **origin):
    """A study of records that lie in no folder, and of planned trials that nothing is known of."""
    waiting = ({},) * ((planned or len(records)) - len(records))
    return (Study("study", Path(), tuple(records), {}, waiting, origin),)
