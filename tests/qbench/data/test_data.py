"""Splits, batches and the embedded digits."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits

from qbench.data.batches import Batches
from qbench.data.datamodule import TensorDataModule
from qbench.data.datasets import get_dataset
from qbench.data.splits import Examples
from qbench.errors import ConfigError
from qbench.nn.models.catalogue import get_model
from qbench.training.module import QuantModule


def numbered(count: int) -> Examples:
    return Examples(torch.arange(count).float().reshape(-1, 1, 1, 1), torch.arange(count))


def test_digits_are_split_60_20_20_stratified_and_disjoint() -> None:
    splits = get_dataset("digits").load(0)
    sizes = [len(part) for part in (splits.train, splits.validation, splits.test)]
    assert sum(sizes) == 1797
    assert sizes == [1077, 360, 360]
    whole = np.bincount(load_digits().target) / 1797
    for part in (splits.train, splits.validation, splits.test):
        share = np.bincount(part.labels.numpy()) / len(part)
        assert np.abs(share - whole).max() < 0.003
    rows = torch.cat([splits.train.images, splits.validation.images, splits.test.images]).flatten(1)
    original = torch.from_numpy(load_digits().data).float() / 8 - 1
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, original.tolist()))


def test_the_split_depends_on_its_seed_alone() -> None:
    first, again, other = (get_dataset("digits").load(seed).test.images for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pixels_are_scaled_to_minus_one_to_one_in_eighths() -> None:
    images = get_dataset("digits").load(0).train.images
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal(images * 8, (images * 8).round())


def test_every_example_once_in_another_order_each_epoch() -> None:
    batches = Batches(numbered(130), 32, seed=7)
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        found = list(batches)
        assert len(found) == len(batches) == 5
        assert [len(labels) for _, labels in found] == [32, 32, 32, 32, 2]
        for images, labels in found:
            assert torch.equal(images.flatten(), labels.float())
        orders.append(torch.cat([labels for _, labels in found]))
    assert sorted(orders[0].tolist()) == list(range(130))
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])


def test_neighbouring_seeds_and_epochs_share_no_order() -> None:
    seen = set()
    for seed in range(4):
        for epoch in range(4):
            batches = Batches(numbered(50), 50, seed)
            batches.set_epoch(epoch)
            seen.add(tuple(next(iter(batches))[1].tolist()))
    assert len(seen) == 16


@pytest.mark.parametrize(("count", "sizes"), [(65, [32, 32]), (64, [32, 32]), (66, [32, 32, 2])])
def test_a_last_batch_of_one_is_left_out_of_training(count: int, sizes: list[int]) -> None:
    assert [len(labels) for _, labels in Batches(numbered(count), 32, seed=0)] == sizes


def test_evaluation_keeps_the_order_and_every_example() -> None:
    found = torch.cat([labels for _, labels in Batches(numbered(65), 32)])
    assert torch.equal(found, torch.arange(65))


def test_lightning_announces_the_epoch(tmp_path: object) -> None:
    data = TensorDataModule(get_dataset("digits").load(0), 512, seed=3)
    seen: list[list[int]] = []

    class Watch(QuantModule):
        def training_step(self, batch, batch_idx):  # type: ignore[no-untyped-def]
            seen.append(batch[1][:20].tolist())
            return super().training_step(batch, batch_idx)

    module = Watch(get_model("digits-mlp").make({"hidden": 8}), "fp32")
    pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, data)
    expected = []
    for epoch in (0, 1):
        batches = Batches(data.splits.train, 512, 3)
        batches.set_epoch(epoch)
        expected += [labels[:20].tolist() for _, labels in batches]
    assert seen == expected


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(ConfigError, match="data: unknown data set 'digit'; did you mean 'digits'"):
        get_dataset("digit")
