"""A finished trial on disk, as `qbench train` and `qbench sweep` leave it, made a packed network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qbench.deploy.convert import pack
from qbench.deploy.network import PackedNetwork
from qbench.deploy.spec import PackedModel
from qbench.errors import UserError
from qbench.evaluation import predict
from qbench.module import QuantModule
from qbench.parts import resolve
from qbench.training import trained_module
from qbench.trial import TrialConfig
from quantizers import find_pixels

_KEPT = ("trial_id", "scheme", "seed", "model", "data", "split_seed", "test/accuracy")
_ENOUGH = 100  # images: thousands of values


@dataclass(frozen=True)
class Run:
    """A finished trial.

    Attributes:
        folder: of its sweep: `trainings/` in it holds the weights.
        row: configuration and figures.
        predictions: of each test image, when it was evaluated.
    """

    folder: Path
    row: dict[str, Any]
    predictions: list[int]

    @property
    def config(self) -> TrialConfig:
        """Its configuration."""
        values: dict[str, Any] = {}
        for key, value in self.row.items():
            outer, *inner = key.split(".")
            if outer not in TrialConfig.model_fields:
                continue
            place = values
            for name in (outer, *inner)[:-1]:
                place = place.setdefault(name, {})
            place[(outer, *inner)[-1]] = value
        return TrialConfig.from_mapping(values)

    def module(self) -> QuantModule:
        """The module that was evaluated."""
        return trained_module(self.config, self.folder, self.row["training_key"])


def find_run(path: Path) -> Run:
    """The run of `.../trials/<id>.json`, or of a folder in which one trial has finished.

    Raises:
        UserError: no such file, a failed trial, a folder with more trials than one, or none.
    """
    if path.is_dir():
        found = dict(_finished(path / "trials"))
        if not found:
            raise UserError(f"{path}: holds no finished trial (trials/*.json)")
        if len(found) > 1:
            first, record = next(iter(found.items()))
            text = f"{record['row'].get('scheme')}, seed {record['row'].get('seed')}"
            raise UserError(
                f"{path}: holds {len(found)} finished trials; name one, as {first} ({text}); results.csv has their ids"
            )
        ((path, record),) = found.items()
    else:
        record = _record(path)
    if record["status"] != "done":
        raise UserError(f"{path}: the trial failed: {record.get('error')}")
    return Run(path.resolve().parents[1], record["row"], record["predictions"])


def _finished(trials: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(trials.glob("*.json")):
        record = _record(file)
        if record["status"] == "done":
            yield file, record


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
        if not isinstance(record["row"]["training_key"], str):
            raise TypeError
        return {key: record[key] for key in ("status", "row", "predictions", "error")}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is no trial's record; name a trials/<id>.json of a sweep's folder") from None


@dataclass(frozen=True)
class Exported:
    """A run's packed network, and how it compares with the module on the test images.

    Attributes:
        agreement: share of test images on which the packed network predicts what the module predicts.
        reproduced: share on which the module predicts what it did when the trial was evaluated; less than 1 where
            another machine or other code evaluates now.
        accuracy: of the packed network.
        images: how many.
    """

    model: PackedModel
    agreement: float
    reproduced: float
    accuracy: float
    images: int


def export(run: Run, real_input: bool = False) -> Exported:
    """Pack a run's network and try it on every test image.

    The first layer computes on 8-bit pixels where the data are such pixels, on float32 otherwise or where `real_input`
    asks for it.

    Raises:
        NotPackable: a network without a packed form.
        UserError: a test image that is not made of pixels as the validation images are.
    """
    config = run.config
    parts = resolve(config.model_copy(update={"device": "cpu"}))
    splits = parts.source.load(config.split_seed)
    module = run.module()
    # Some images are enough to tell: should a test image be none of such pixels, it is an error below.
    pixels = None if real_input else find_pixels(splits.validation[:_ENOUGH].images)
    kept = {key: run.row.get(key) for key in _KEPT}
    model = pack(module, parts.source.input_shape, pixels, kept)
    try:
        packed = PackedNetwork(model).predict(splits.test.images)
    except ValueError as error:
        hint = "; try --real-input" if pixels == model.spec.input.pixels else ""  # else the network rounds to pixels
        raise UserError(f"data {config.data!r}: {error}{hint}") from None
    expected = predict(module.model, splits.test.images)
    return Exported(
        model,
        share(packed == expected),
        share(expected == torch.tensor(run.predictions)),
        share(packed == splits.test.labels),
        len(splits.test),
    )


def share(equal: Tensor) -> float:
    """The share of true values."""
    return int(equal.sum()) / len(equal)
