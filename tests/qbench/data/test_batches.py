"""Batches: their order, their sizes, pixels that become float32."""

from __future__ import annotations

import pytest
import torch

from qbench.data.batches import Batches
from qbench.data.splits import Examples


def numbered(count: int) -> Examples:
    return Examples(torch.arange(count).float().reshape(-1, 1, 1, 1), torch.arange(count))


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


def every_pixel() -> Examples:
    return Examples(torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1), torch.arange(256))


def test_batches_of_pixels_are_float32_and_stay_pixels_at_rest():
    examples = every_pixel()
    batches = Batches(examples, 100, seed=4)
    found = list(batches)
    assert [len(labels) for _, labels in found] == [100, 100, 56]
    for images, labels in found:
        assert images.dtype == torch.float32
        assert torch.equal(images, examples.images[labels])
    assert examples.stored.dtype == torch.uint8
    assert torch.equal(torch.cat([labels for _, labels in found]).sort().values, torch.arange(256))


def test_pixels_and_their_numbers_are_served_in_the_same_order():
    pixels = every_pixel()
    numbers = Examples(pixels.images, pixels.labels)
    for (x, y), (x_again, y_again) in zip(Batches(pixels, 60, 9), Batches(numbers, 60, 9), strict=True):
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)
