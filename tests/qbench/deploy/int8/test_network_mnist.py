"""Integer execution on MNIST's 10,000 test images: real files, from $QBENCH_DATA."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from qbench.data.datasets import get_dataset
from qbench.data.splits import Examples, Splits
from qbench.deploy.int8.agreement import agreement
from qbench.nn.folding import fold_batch_norms
from qbench.ptq import calibration
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme

FOLDER = Path(os.environ.get("QBENCH_DATA", "nowhere"))
pytestmark = pytest.mark.skipif(
    not (FOLDER / "mnist" / "train-images-idx3-ubyte.gz").exists(), reason="needs MNIST's files in $QBENCH_DATA/mnist"
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return get_dataset("mnist").load(0)


@pytest.fixture(scope="module")
def train(splits: Splits) -> Examples:
    return splits.train[torch.arange(6000)]


@pytest.fixture(scope="module")
def trained(train: Examples) -> nn.Sequential:
    """A small network after one short pass; BatchNorm after its pool, as in the papers' networks."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(784, 10),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for batch, truth in zip(train.images.split(64), train.labels.split(64), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(network(batch), truth).backward()
        optimizer.step()
    return network.eval()


@pytest.mark.parametrize("negative_gammas", [False, True])
def test_at_least_999_of_1000_predictions_agree(
    negative_gammas: bool, splits: Splits, train: Examples, trained: nn.Sequential
) -> None:
    images, network = splits.test.images, copy.deepcopy(trained)
    if negative_gammas:
        network[5].weight.data[::2] *= -1  # these channels' pools take the smallest
    fold_batch_norms(network, (1, 28, 28))
    with torch.no_grad():
        float_predictions = torch.cat([network(batch).argmax(1) for batch in images.split(1000)])
    apply_scheme(network, get_scheme("uint8-minmax" if negative_gammas else "int8-percentile"))
    calibration.calibrate(network, train.images[:512])
    found = agreement(network, images)
    assert len(found.predicted) == 10_000
    assert found.predictions >= 0.999
    assert found.equal_outputs > 0.999
    assert found.within_one == 1.0
    assert float((found.predicted == float_predictions).double().mean()) > (0.97 if negative_gammas else 0.99)


def test_a_constant_background_fools_the_kl_method(splits: Splits, train: Examples, trained: nn.Sequential) -> None:
    """docs/int8.md: the background's activation is one value, a spike that is not at 0; other methods do not mind."""
    validation, network = splits.validation[torch.arange(2000)], copy.deepcopy(trained)
    fold_batch_norms(network, (1, 28, 28))
    thresholds, accuracies = {}, {}
    for method in ("minmax", "percentile", "mse", "kl"):
        quantized = apply_scheme(copy.deepcopy(network), get_scheme(f"int8-{method}"))
        calibration.calibrate(quantized, train.images[:512])
        with torch.no_grad():
            right = quantized(validation.images).argmax(1) == validation.labels
        thresholds[method] = float(quantized[3].input_quantizer.encoding().high)
        accuracies[method] = float(right.double().mean())
    assert thresholds["kl"] < 0.25 * thresholds["minmax"]
    assert accuracies["kl"] < accuracies["minmax"] - 0.05
    assert min(accuracies["percentile"], accuracies["mse"]) > accuracies["minmax"] - 0.002
