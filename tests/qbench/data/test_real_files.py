"""The real MNIST and CIFAR-10, where $QBENCH_DATA has them; nothing is downloaded here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from qbench.data.datasets import get_dataset

FOLDER = os.environ.get("QBENCH_DATA")


def needs(folder: str) -> pytest.MarkDecorator:
    there = FOLDER is not None and (Path(FOLDER) / folder).is_dir()
    return pytest.mark.skipif(not there, reason=f"needs {folder}/ in $QBENCH_DATA, which is {FOLDER or 'not set'}")


@needs("mnist")
def test_mnist() -> None:
    splits = get_dataset("mnist").load(0)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [50_000, 10_000, 10_000]
    assert splits.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert splits.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert splits.validation.labels.bincount().tolist() == [991, 1064, 990, 1030, 983, 915, 967, 1090, 1009, 961]
    pixels = torch.cat([splits.train.stored, splits.validation.stored]).double() / 255
    # The mean and deviation that everyone normalizes MNIST with.
    assert pixels.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std().item() == pytest.approx(0.3081, abs=5e-5)
    drawn = get_dataset("mnist").load(7)
    assert torch.equal(drawn.test.stored, splits.test.stored)
    assert drawn.validation.labels.bincount().max() == 1124  # a sixth of the 6,742 ones


@needs("cifar-10-batches-bin")
def test_cifar10() -> None:
    splits = get_dataset("cifar10").load(0)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [45_000, 5_000, 10_000]
    assert splits.train.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert splits.test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    pixels = torch.cat([splits.train.stored, splits.validation.stored])
    means = [pixels[:, channel].double().mean().item() / 255 for channel in range(3)]
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
