"""Labels and scores of anything but a classification are refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from qbench.data.classification import (
    ScoresError,
    check_labels,
    check_scores,
    count_right,
    predicted_classes,
    share,
)
from qbench.data.datasets import Dataset, get_dataset
from qbench.data.folder import DataError
from qbench.data.splits import Examples, Splits


def test_predictions_are_the_largest_scores_the_first_of_equals() -> None:
    scores = torch.tensor([[0.0, 2.0, 1.0], [3.0, 3.0, 1.0], [-1.0, -2.0, -0.5]])
    assert predicted_classes(scores).tolist() == [1, 0, 2]
    assert count_right(scores, torch.tensor([1, 1, 2])).item() == 2
    assert share(torch.tensor([True, False, True, True])) == 0.75


def test_a_comparison_that_broadcasting_made_a_table_is_no_accuracy() -> None:
    with pytest.raises(ValueError, match=r"expected bool \[N\], got bool \[4, 8\]"):
        share(torch.zeros(8, dtype=torch.int64) == torch.zeros(4, 1, dtype=torch.int64))


LABELS = {
    "a segmentation": (torch.zeros(8, 8, 8, dtype=torch.int64), r"labels are int64 \[8, 8, 8\]; qbench compares class"),
    "a float segmentation": (torch.zeros(2, 8, 8), r"labels are float32 \[2, 8, 8\]; qbench compares classifiers"),
    "a regression": (torch.zeros(8), r"labels are float32 \[8\]; qbench compares classifiers, whose labels are whole"),
    "one-hot": (torch.eye(10, dtype=torch.int64), r"labels are int64 \[10, 10\]"),
    "of another type": (torch.zeros(8, dtype=torch.int32), r"labels are int32 \[8\]; .*; \.long\(\) makes them so"),
    "no tensor": ([0, 1], "labels are a list"),
    "from 1 on": (torch.arange(1, 11), "label 10, expected 0 to 9 for 10 classes"),
    "with a mark for none": (torch.tensor([0, -1]), "label -1, expected 0 to 9 for 10 classes"),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_another_task_are_refused(case: str) -> None:
    labels, message = LABELS[case]
    with pytest.raises(DataError, match=f"^data 'mine': {message}"):
        check_labels(labels, 10, "data 'mine'")


def test_classes_are_labels() -> None:
    check_labels(torch.tensor([0, 9, 3]), 10, "data")
    check_labels(torch.zeros(0, dtype=torch.int64), 10, "data")


SCORES = {
    "a map": (torch.zeros(4, 10, 8, 8), r"the network gives float32 \[4, 10, 8, 8\]; expected scores \[batch, 10\]"),
    "one number": (torch.zeros(4), r"the network gives float32 \[4\]"),
    "other classes": (torch.zeros(4, 12), r"the network gives float32 \[4, 12\]; expected scores \[batch, 10\]"),
    "classes": (torch.zeros(4, 10, dtype=torch.int64), r"the network gives int64 \[4, 10\]"),
    "a tuple": ((torch.zeros(4, 10),), "the network gives a tuple"),
    "another batch": (torch.zeros(3, 10), r"the network gives float32 \[3, 10\] for 4 labels"),
}


@pytest.mark.parametrize("case", SCORES)
def test_scores_of_another_form_are_refused(case: str) -> None:
    scores, message = SCORES[case]
    with pytest.raises(ScoresError, match=message):
        check_scores(scores, torch.zeros(4, dtype=torch.int64), 10)


def test_scores_of_classes_pass_with_labels_and_without() -> None:
    check_scores(torch.zeros(4, 10), torch.zeros(4, dtype=torch.int64), 10)
    check_scores(torch.zeros(4, 3, dtype=torch.bfloat16))
    with pytest.raises(DataError, match=r"labels are float32 \[4, 10\]; qbench compares classifiers"):
        check_scores(torch.zeros(4, 10), torch.zeros(4, 10))


def digits(**parts: Any) -> Dataset:
    """The digits, with other parts."""
    return Dataset(lambda seed: replace(get_dataset("digits").load(seed), **parts), (1, 8, 8), 10, "")


IMAGES = torch.zeros(4, 1, 8, 8)
PARTS = {
    "labels": ({"test": Examples(IMAGES, torch.zeros(4, 8, 8))}, r"data 'mine': test: labels are float32 \[4, 8, 8\]"),
    "range": ({"train": Examples(IMAGES, torch.full((4,), 10))}, "data 'mine': train: label 10, expected 0 to 9"),
    "none": ({"validation": Examples(IMAGES[:0], torch.arange(0))}, "data 'mine': validation has no examples"),
    "shape": (
        {"test": Examples(torch.zeros(4, 1, 9, 9), torch.arange(4))},
        r"data 'mine': test: images are float32 \[4, 1, 9, 9\], expected \[N, 1, 8, 8\]",
    ),
    "no examples": ({"test": IMAGES}, "data 'mine': test is Tensor, expected Examples"),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_data_set_is_checked_when_it_is_loaded(case: str) -> None:
    parts, message = PARTS[case]
    with pytest.raises(DataError, match=message):
        digits(**parts).splits(0, "mine")


def test_what_is_no_data_set_is_refused() -> None:
    with pytest.raises(DataError, match="data 'mine': load gives list, expected Splits or a LightningDataModule"):
        Dataset(lambda seed: [], (1, 8, 8), 10, "").splits(0, "mine")


def test_every_built_in_part_passes() -> None:
    assert isinstance(get_dataset("digits").splits(0), Splits)
