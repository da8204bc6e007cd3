"""Data that DataLoaders read: their order, their checks, and a trial of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from qbench.data.datasets import Dataset, get_dataset
from qbench.data.folder import DataError
from qbench.data.loaded import LoadedExamples
from qbench.errors import ConfigError
from qbench.ptq.calibration import calibration_images, calibration_indices

DIGITS = get_dataset("digits").load(0)


class Digits(pl.LightningDataModule):
    """The digits, from DataLoaders as a user writes them."""

    batch_size = 32

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.stages: list[str] = []

    def prepare_data(self) -> None:
        self.stages.append("prepare")

    def setup(self, stage: str) -> None:
        self.stages.append(stage)

    def loader(self, part: str, **options: Any) -> DataLoader[Any]:
        examples = getattr(DIGITS, part)
        return DataLoader(TensorDataset(examples.images, examples.labels), **{**options, **self.options})

    def train_dataloader(self) -> Any:
        return self.loader("train", batch_size=self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> Any:
        return self.loader("validation", batch_size=100)

    def test_dataloader(self) -> Any:
        return self.loader("test", batch_size=100)


def dataset(module: Any = Digits, **options: Any) -> Dataset:
    return Dataset(lambda split_seed: module(**options), (1, 8, 8), 10, "", digest="digits 1")


def order(batches: Any, epoch: int = 0) -> Tensor:
    batches.set_epoch(epoch)
    return torch.cat([images.flatten(1) for images, _ in batches])


def test_evaluation_sees_every_example_in_its_order() -> None:
    splits = dataset().splits(0, "mine")
    for part, expected in ((splits.test, DIGITS.test), (splits.validation, DIGITS.validation)):
        assert len(part) == len(expected)
        for _ in range(2):
            images, labels = (torch.cat(each) for each in zip(*part.batches(), strict=True))
            assert torch.equal(images, expected.images)
            assert torch.equal(labels, expected.labels)
    assert torch.equal(splits.test.first(130).images, DIGITS.test.images[:130])
    assert len(splits.test.first(10_000)) == len(DIGITS.test)


def test_the_module_is_prepared_and_set_up_as_a_trainer_does_it() -> None:
    module = Digits()
    Dataset(lambda split_seed: module, (1, 8, 8), 10, "").splits(0)
    assert module.stages == ["prepare", "fit", "validate", "test"]


@pytest.mark.parametrize("options", [{}, {"generator": torch.Generator()}])
def test_the_order_depends_on_seed_and_epoch_alone(options: Any) -> None:
    train = dataset(**options).splits(0).train
    batches = train.training_batches(32, seed=5)
    assert len(batches) == 1077 // 32
    first, second = order(batches, 0), order(batches, 1)
    assert not torch.equal(first, second)
    torch.manual_seed(99)
    random.seed(99)
    again = dataset(**options).splits(0).train.training_batches(32, seed=5)
    assert torch.equal(order(again, 1), second)
    assert torch.equal(order(again, 0), first)
    assert not torch.equal(order(train.training_batches(32, seed=6), 0), first)
    assert sorted(first.sum(1).tolist()) != sorted(first[:10].sum(1).tolist())


def test_a_pass_leaves_the_global_generators_alone() -> None:
    batches = dataset().splits(0).train.training_batches(32, seed=5)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    expected = (torch.rand(3), np.random.rand(3), random.random())  # noqa: NPY002
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    order(batches)
    found = (torch.rand(3), np.random.rand(3), random.random())  # noqa: NPY002
    assert torch.equal(found[0], expected[0])
    assert found[1].tolist() == expected[1].tolist()
    assert found[2] == expected[2]


class Noisy(TorchDataset[Any]):
    """Examples with augmentation that draws from all three global generators."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        noise = torch.rand(1) + float(np.random.rand()) + random.random()  # noqa: NPY002
        return DIGITS.train.images[place] + noise, DIGITS.train.labels[place]


class NoisyDigits(Digits):
    def train_dataloader(self) -> Any:
        return DataLoader(Noisy(), batch_size=self.batch_size, shuffle=True, **self.options)


def test_augmentation_depends_on_seed_and_epoch_alone() -> None:
    batches = dataset(NoisyDigits).splits(0).train.training_batches(8, seed=5)
    first, second = order(batches, 0), order(batches, 1)
    assert not torch.equal(first.sort(0).values, second.sort(0).values)
    torch.rand(7)
    assert torch.equal(order(batches, 1), second)
    assert torch.equal(order(batches, 0), first)


@pytest.mark.slow  # starts processes
def test_two_workers_read_the_same_batches_again() -> None:
    for persistent in (False, True):
        options = {"num_workers": 2, "persistent_workers": persistent}
        found = [order(dataset(NoisyDigits, **options).splits(0).train.training_batches(8, seed=5)) for _ in range(2)]
        assert torch.equal(*found)
        test = dataset(num_workers=2).splits(0).test
        assert torch.equal(torch.cat([images for images, _ in test.batches()]), DIGITS.test.images)


def test_the_sampler_hears_of_the_epoch() -> None:
    heard: list[int] = []

    class Sampler(RandomSampler):
        def set_epoch(self, epoch: int) -> None:
            heard.append(epoch)

    class Module(Digits):
        def train_dataloader(self) -> Any:
            data = TensorDataset(DIGITS.train.images, DIGITS.train.labels)
            return DataLoader(data, batch_size=self.batch_size, sampler=Sampler(data), drop_last=True)

    batches = dataset(Module).splits(0).train.training_batches(32, seed=5)
    order(batches, 0)
    order(batches, 3)
    assert heard == [0, 3]


def test_a_trial_sets_the_batch_size() -> None:
    batches = dataset().splits(0).train.training_batches(50, seed=0)
    assert {len(labels) for _, labels in batches} == {50}


class Fixed(Digits):
    def train_dataloader(self) -> Any:
        return self.loader("train", batch_size=16)


def test_another_batch_size_than_the_trials_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size: the data's loader gives training batches of 16: give the trial"):
        next(iter(dataset(Fixed).splits(0).train.training_batches(50, seed=0)))
    next(iter(dataset(Fixed).splits(0).train.training_batches(16, seed=0)))


def test_a_batch_of_one_is_refused_with_the_remedy() -> None:
    class Odd(Digits):
        def train_dataloader(self) -> Any:
            return DataLoader(TensorDataset(DIGITS.train.images[:33], DIGITS.train.labels[:33]), batch_size=32)

    with pytest.raises(ConfigError, match=r"has one example, on which BatchNorm cannot train: .*drop_last=True"):
        list(dataset(Odd).splits(0).train.training_batches(32, seed=0))


def test_calibration_draws_the_images_that_it_draws_from_memory() -> None:
    """Not the first ones: of a folder sorted by class these would be of one class."""
    splits = dataset().splits(0)
    found = calibration_images(splits, 70, seed=4)
    expected = calibration_images(DIGITS, 70, seed=4)
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.labels, expected.labels)
    with pytest.raises(ConfigError, match="calibration_images: 2000 images of 1077 training images"):
        calibration_images(splits, 2000, seed=4)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from zip(DIGITS.train.images[:100], DIGITS.train.labels[:100], strict=True)


class Streamed(Digits):
    def train_dataloader(self) -> Any:
        return DataLoader(Stream(), batch_size=self.batch_size)


def test_a_stream_is_calibrated_on_its_first_images() -> None:
    splits = dataset(Streamed).splits(0)
    assert calibration_indices(splits, 40, seed=4) is None
    assert torch.equal(calibration_images(splits, 40, seed=4).images, DIGITS.train.images[:40])
    with pytest.raises(ConfigError, match="calibration_images: 101 images of 100 training images"):
        calibration_images(splits, 101, seed=4)


def test_a_stream_without_a_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no length, by which epochs are counted: .* __len__"):
        len(dataset(Streamed).splits(0).train.training_batches(32, seed=0))


def of_batches(*batches: Any) -> LoadedExamples:
    class Module(Digits):
        def test_dataloader(self) -> Any:
            return list(batches) if len(batches) != 1 else Once(batches[0])

    found = dataset(Module).splits(0, "mine").test
    assert isinstance(found, LoadedExamples)
    return found


class Once:
    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __iter__(self) -> Any:
        yield self.batch


IMAGES, LABELS = torch.zeros(4, 1, 8, 8), torch.arange(4)
WRONG = {
    "segmentation": ((IMAGES, torch.zeros(4, 8, 8)), r"data 'mine': test_dataloader: labels are float32 \[4, 8, 8\]"),
    "regression": ((IMAGES, torch.zeros(4)), r"labels are float32 \[4\]; qbench compares classifiers"),
    "range": ((IMAGES, LABELS + 7), "label 10, expected 0 to 9"),
    "doubles": ((IMAGES.double(), LABELS), r"gives images float64 \[4, 1, 8, 8\]; expected float32 \[batch, 1, 8, 8\]"),
    "shape": ((torch.zeros(4, 8, 8), LABELS), r"gives images float32 \[4, 8, 8\]; expected float32 \[batch, 1, 8, 8\]"),
    "lengths": ((IMAGES, LABELS[:3]), "gives 4 images with 3 labels"),
    "a dict": ({"image": IMAGES}, r"gives batches of dict; expected \(images, labels\)"),
    "images alone": (IMAGES, "gives batches of Tensor"),
}


@pytest.mark.parametrize("case", WRONG)
def test_batches_of_another_form_are_refused_by_name(case: str) -> None:
    batch, message = WRONG[case]
    with pytest.raises(DataError, match=message):
        list(of_batches(batch).batches())


def test_several_loaders_are_refused() -> None:
    with pytest.raises(DataError, match="data 'mine': test_dataloader gives several loaders; give one"):
        of_batches(1, 2).batches()


def test_a_module_without_a_loader_is_refused() -> None:
    class Module(pl.LightningDataModule):
        def train_dataloader(self) -> Any: ...

    with pytest.raises(DataError, match="data 'mine': Module has no val_dataloader"):
        dataset(Module).splits(0, "mine")


def test_hooks_that_only_a_trainer_calls_are_refused() -> None:
    class Module(Digits):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return batch

    with pytest.raises(DataError, match=r"Module\.on_after_batch_transfer would not be called in an evaluation"):
        dataset(Module).splits(0, "mine")


def test_loaders_need_a_digest(tmp_path: Path) -> None:
    from qbench.trial.data_identity import data_digest

    with pytest.raises(ConfigError, match=r"'mine' is read by loaders, .*: give Dataset\(digest=\.\.\.\)"):
        data_digest(Dataset(lambda split_seed: Digits(), (1, 8, 8), 10, ""), 0, "mine")
