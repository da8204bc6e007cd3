"""A finished trial's network as a file that a wandb artifact can hold."""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qbench.deploy.chain import UnsupportedStructureError
from qbench.deploy.onnx.qdq import export_onnx
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.file import save
from qbench.deploy.packed.packable import NotPackableError
from qbench.training.result import WEIGHTS
from qbench.training.scheme_module import SchemeModule
from qbench.trial.finished.module import open_module
from qbench.trial.made_from import made_from
from qbench.trial.record import TrialRecord
from qbench.trial.trial_data import dataset_of
from quantizers import find_pixels

_ENOUGH = 100  # images, to tell pixels by


@dataclass(frozen=True)
class TrialModel:
    """A file with a trial's network.

    Attributes:
        path: where it lies.
        form: `packed` (bits, which `qbench run-packed` runs), `onnx` (INT8) or `weights` (of the training, float32).
    """

    path: Path
    form: str


def make_model(record: TrialRecord, folder: Path) -> TrialModel | None:
    """Write a finished trial's network to `folder`, packed or as ONNX; None where its training kept no weights.

    A network that packs is packed. An integer one is written as ONNX, where the package onnx is there. Of any other one
    the training's own file is named and nothing is written: float32 weights are large, and trials share them.

    Raises:
        ConfigError, UserError: as `open_module`.
    """
    assert record.folder is not None
    weights = record.folder / "trainings" / str(record.row["training_key"]) / WEIGHTS
    if not weights.exists():
        return None
    module = open_module(record)
    return _packed(record, module, folder) or _onnx(record, module, folder) or TrialModel(weights, "weights")


def model_facts(record: TrialRecord, model: TrialModel) -> dict[str, Any]:
    """Return what an artifact says of the model: `scheme`, `form`, and the row's accuracy, bytes and energy."""
    keys = ("scheme", "test/accuracy", "cost/weight_bytes", "cost/energy_uj")
    return {"form": model.form, **{key: record.row.get(key) for key in keys}}


def _packed(record: TrialRecord, module: SchemeModule, folder: Path) -> TrialModel | None:
    dataset = dataset_of(record.config)
    validation = dataset.splits(record.config.split_seed, record.config.data).validation
    try:
        model = pack(
            module,
            dataset.input_shape,
            find_pixels(validation.first(_ENOUGH).images),
            made_from(record),
        )
    except NotPackableError:
        return None
    path = folder / f"{record.trial_id}.safetensors"
    save(model, path)
    return TrialModel(path, "packed")


def _onnx(record: TrialRecord, module: SchemeModule, folder: Path) -> TrialModel | None:
    if importlib.util.find_spec("onnx") is None:
        return None
    path = folder / f"{record.trial_id}.onnx"
    with contextlib.suppress(UnsupportedStructureError):  # NotIntegerError is one
        export_onnx(module.model, dataset_of(record.config).input_shape, path)
        return TrialModel(path, "onnx")
    return None
