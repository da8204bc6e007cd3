"""A packed network on a data set: accuracy, agreement with the module it came from, images per second."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

import cuda_ext
from qbench.bench.timing import quartiles
from qbench.data.datasets import DATASETS
from qbench.data.splits import Examples, Part
from qbench.deploy.packed.network import PackedNetwork
from qbench.errors import ConfigError, UserError
from qbench.training.accuracy import predictions_on
from qbench.trial.finished.module import open_module
from qbench.trial.made_from import changes_in
from qbench.trial.record import TrialRecord
from qbench.trial.trial_data import changed_dataset

_MIN_ROUNDS, _MIN_SECONDS = 5, 0.5
_TIMED = 1000


@dataclass(frozen=True)
class PackedMeasurement:
    """What a packed network did on the test images of a data set.

    Attributes:
        data, split_seed, images: which test images, and how many.
        accuracy: share of right predictions.
        agreement: share of equal predictions with the fake-quantized module of a trial; None if none was given.
        images_per_second: median over `rounds` passes over all test images (of those that a loader reads, over the
            first 1,000, which are in memory then), from images to classes.
        quartiles: 25 % and 75 % of the same.
        rounds: passes that were timed.
        batch, threads: of the passes.
        backend: what ran the products: `reference`, or an ISA.
        weight_bytes: of the tensors in the file.
    """

    data: str
    split_seed: int
    images: int
    accuracy: float
    agreement: float | None
    images_per_second: float
    quartiles: tuple[float, float]
    rounds: int
    batch: int
    threads: int
    backend: str
    weight_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def measure_packed(
    network: PackedNetwork, data: str | None = None, against: TrialRecord | None = None, batch: int = 100
) -> PackedMeasurement:
    """Run a packed network over every test image, on torch's present number of threads.

    Args:
        network: loaded from a file.
        data: a data set's name; None takes that of `against`, or else the one that the file names.
        against: a finished trial whose module's predictions are compared.
        batch: images at a time.

    Raises:
        UserError: no data set is known, or its images are not what the network takes.
    """
    name, seed, examples = examples_for(network, data, against)
    try:
        predictions = predictions_on(lambda images: _scores(network, images, batch), examples)
    except ValueError as error:
        raise UserError(f"data {name!r}: {error}") from None
    agreement = None
    if against is not None:
        agreement = predictions.agreement(predictions_on(open_module(against).model, examples))
    timed = examples if isinstance(examples, Examples) else examples.first(_TIMED)
    rates = _rates(network, timed.images, batch)
    low, middle, high = quartiles(rates)
    return PackedMeasurement(
        data=name,
        split_seed=seed,
        images=len(predictions.labels),
        accuracy=predictions.accuracy,
        agreement=agreement,
        images_per_second=middle,
        quartiles=(low, high),
        rounds=len(rates),
        batch=batch,
        threads=torch.get_num_threads(),
        backend=cuda_ext.backends()[network.device.type].selected,
        weight_bytes=network.weight_bytes,
    )


def examples_for(network: PackedNetwork, data: str | None, against: TrialRecord | None) -> tuple[str, int, Part]:
    """Return (data set, split seed, test images) of `data`, or else of `against`, or else of what the file names.

    The split is that of `against`, or else the one that the file names; so are the changes of all images (`normalize`).

    Raises:
        UserError: no data set is known, or its images are not what the network takes.
    """
    made_from = network.spec.made_from
    name = data or (against.config.data if against else made_from.get("data"))
    if not isinstance(name, str):
        raise UserError("the file does not say what data it was trained on: name them with --data")
    if data is None and against is None and name not in DATASETS:  # a file is data, and has no code imported
        raise UserError(f"the file names data {name!r}, which are not registered: name them with --data")
    seed = against.config.split_seed if against else made_from.get("split_seed")
    found = changed_dataset(name, against.config.augment if against else changes_in(made_from))
    if found.input_shape != network.spec.input.shape:
        raise ConfigError(
            f"{name!r} has images {found.input_shape}, the network takes {network.spec.input.shape}", "data"
        )
    seed = seed if isinstance(seed, int) else 0
    return name, seed, found.splits(seed, name).test


def _scores(network: PackedNetwork, images: Tensor, batch: int) -> Tensor:
    """Return the scores, `batch` images at a time."""
    return torch.cat([network(part) for part in images.split(batch)])


def _rates(network: PackedNetwork, images: Tensor, batch: int) -> list[float]:
    """Return the images per second of each pass."""
    rates: list[float] = []
    begun = time.perf_counter()
    while len(rates) < _MIN_ROUNDS or time.perf_counter() - begun < _MIN_SECONDS:
        start = time.perf_counter()
        network.predict(images, batch).tolist()  # on a GPU the list waits for the result
        rates.append(len(images) / (time.perf_counter() - start))
    return rates
