"""The data of a trial: a data set by name, and what the trial's `augment` makes of its images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qbench.data.augmentation.augmented import AugmentedPart
from qbench.data.augmentation.registry import (
    Augmentation,
    applies_everywhere,
    build_augmentation,
    check_augmentations,
)
from qbench.data.datasets import Dataset, get_dataset
from qbench.data.splits import Splits
from qbench.schemes.named import NamedSpec, spelled_out
from qbench.trial.config import TrialConfig

# By (id of the data set, changes), with the data set, so that the id stays its own: a digest is found once for each.
_CHANGED: dict[tuple[int, str], tuple[Dataset, Dataset]] = {}


def dataset_of(config: TrialConfig) -> Dataset:
    """Return the data set of a trial, with the changes that `augment` makes to all of its images.

    Raises:
        ConfigError: see `changed_dataset`.
    """
    return changed_dataset(config.data, config.augment)


def changed_dataset(data: str, augment: Sequence[str | NamedSpec]) -> Dataset:
    """Return a data set with the changes that those of `augment` make which are applied everywhere.

    Raises:
        ConfigError: no such data set or augmentation; images that an augmentation does not suit; see
            `qbench.data.augmentation.registry.check_augmentations`.
    """
    dataset = get_dataset(data)
    if not augment:
        return dataset
    steps = _steps(augment)
    check_augmentations(steps, dataset.input_shape, data)
    changes = tuple(_Change(step) for _, step in steps if applies_everywhere(step))
    if not changes:
        return dataset
    key = (id(dataset), json.dumps([spelled_out(each).model_dump() for each in augment], default=repr))
    if key not in _CHANGED:
        _CHANGED[key] = (dataset, replace(dataset, changes=(*dataset.changes, *changes)))
    return _CHANGED[key][1]


def training_splits(splits: Splits, config: TrialConfig) -> Splits:
    """Return splits whose training batches are augmented as a trial says."""
    steps = tuple(step for _, step in _steps(config.augment) if not applies_everywhere(step))
    return replace(splits, train=AugmentedPart(splits.train, steps)) if steps else splits


def _steps(augment: Sequence[str | NamedSpec]) -> list[tuple[str, Augmentation]]:
    specs = [spelled_out(each) for each in augment]
    return [(spec.name, build_augmentation(spec.name, spec.options)) for spec in specs]


@dataclass(frozen=True)
class _Change:
    """An augmentation that draws nothing, as a change of images alone."""

    step: Augmentation

    def __call__(self, images: Tensor) -> Tensor:
        return self.step(images, torch.Generator().manual_seed(0))
