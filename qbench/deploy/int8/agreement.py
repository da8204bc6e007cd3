"""Integer execution beside fake-quantized execution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from qbench.data.batches import EVALUATION_BATCH
from qbench.data.classification import count_right, predicted_classes
from qbench.deploy.int8.network import IntegerNetwork
from qbench.nn.hooks import watching
from qbench.nn.quant_op.int8 import as_int8


@dataclass(frozen=True)
class Agreement:
    """How far integer and fake-quantized execution of one network agree on the same images.

    Attributes:
        predictions: share of images with the same predicted class.
        equal_outputs: share of equal codes, over all codes handed from layer to layer.
        within_one: share of those that differ by at most one level.
        predicted: the integer network's classes, int64 [N].
    """

    predictions: float
    equal_outputs: float
    within_one: float
    predicted: Tensor


@torch.no_grad()
def agreement(
    network: nn.Module, images: Tensor | Iterable[Tensor], integer: IntegerNetwork | None = None
) -> Agreement:
    """Run images both ways, each from the pixels to the scores without help of the other.

    Args:
        network: in evaluation mode and not packed. One of a single layer hands no codes on: both shares of codes are
            then 1.
        images: float32 [N, ...], N > 0, or batches of them.
        integer: the network's integer form; None makes it.

    Raises:
        NotIntegerError, UnsupportedStructureError: as `IntegerNetwork`.
    """
    batches = iter(images.split(EVALUATION_BATCH) if isinstance(images, Tensor) else images)
    first = next(batches)
    integer = integer or IntegerNetwork(network, first[:1])
    hidden = [stage.block.name for stage in integer.stages[1:]]
    layers: dict[str, Any] = {name: network.get_submodule(name) for name in hidden}
    handed_on: list[Tensor] = []

    def record(name: str, x: Tensor) -> None:
        quantizer = layers[name].input_quantizer
        assert quantizer is not None  # the integer network would have refused
        handed_on.append(as_int8(quantizer.quantize(x))[0])

    equal = near = total = same = 0
    predicted = []
    with watching(layers, inputs=record):
        for batch in chain([first], batches):
            handed_on.clear()
            scores = network(batch)
            *codes, integer_scores = (output.cpu() for output in integer.outputs(batch))
            for ours, theirs in zip(codes, handed_on, strict=True):
                distance = (ours.flatten().short() - theirs.flatten().short()).abs()
                equal += int((distance == 0).sum())
                near += int((distance <= 1).sum())
                total += distance.numel()
            predicted.append(predicted_classes(integer_scores))
            same += int(count_right(scores, predicted[-1]))
    shares = (equal / total, near / total) if total else (1.0, 1.0)
    classes = torch.cat(predicted)
    return Agreement(same / len(classes), *shares, classes)
