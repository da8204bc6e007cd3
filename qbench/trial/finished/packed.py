"""A finished trial's network as packed bits."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.network import PackedNetwork
from qbench.deploy.packed.spec import PackedModel
from qbench.errors import UserError
from qbench.training.accuracy import predictions_on, share
from qbench.trial.finished.module import open_module
from qbench.trial.made_from import made_from
from qbench.trial.record import TrialRecord
from qbench.trial.trial_data import dataset_of
from quantizers import find_pixels

_ENOUGH = 100  # images: thousands of values


@dataclass(frozen=True)
class Exported:
    """A trial's packed network, and how it compares with the module on the test images.

    Attributes:
        model: the packed network.
        agreement: share of test images on which the packed network predicts what the module predicts.
        reproduced: share on which the module predicts what it did when the trial was evaluated; less than 1 where
            another machine or other code evaluates now.
        accuracy: of the packed network.
        images: the number of test images.
    """

    model: PackedModel
    agreement: float
    reproduced: float
    accuracy: float
    images: int


def export_packed(record: TrialRecord, real_input: bool = False) -> Exported:
    """Pack a finished trial's network and try it on every test image.

    The first layer computes on 8-bit pixels where the data are such pixels, on float32 otherwise or where `real_input`
    asks for it.

    Raises:
        NotPackableError: a network without a packed form.
        UserError: a test image that is not made of pixels as the validation images are.
    """
    config = record.config
    dataset = dataset_of(config)
    splits = dataset.splits(config.split_seed, config.data)
    module = open_module(record)
    # Some images are enough to tell: should a test image be none of such pixels, it is an error below.
    pixels = None if real_input else find_pixels(splits.validation.first(_ENOUGH).images)
    kept = made_from(record)
    model = pack(module, dataset.input_shape, pixels, kept)
    try:
        packed = predictions_on(PackedNetwork(model), splits.test)
    except ValueError as error:
        hint = "; try --real-input" if pixels == model.spec.input.pixels else ""  # else the network rounds to pixels
        raise UserError(f"data {config.data!r}: {error}{hint}") from None
    expected = predictions_on(module.model, splits.test)
    return Exported(
        model,
        packed.agreement(expected),
        share(expected.classes == torch.tensor(record.predictions)),
        packed.accuracy,
        len(packed.labels),
    )
