"""Integer against fake-quantized execution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qbench.deploy.int8.network import _BATCH, IntegerNetwork
from qbench.nn.quant_layer import quant_layers
from qbench.nn.quant_op.int8 import as_int8
from quantizers import Quantizer


@dataclass(frozen=True)
class Agreement:
    """Integer against fake-quantized execution of one network on the same images.

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
def agreement(network: nn.Module, images: Tensor, integer: IntegerNetwork | None = None) -> Agreement:
    """Run `images` [N, ...] both ways, each chain on its own from the pixels on; N > 0.

    `network` is in evaluation mode and not packed. A network of one layer hands no codes on: both shares are then 1.

    Raises:
        NotIntegerError, UnsupportedStructureError: as `IntegerNetwork`.
    """
    integer = integer or IntegerNetwork(network)
    layers = [layer for _, layer in quant_layers(network)]
    seen: list[Tensor] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer.input_quantizer, Quantizer)
        seen.append(as_int8(layer.input_quantizer.quantize(inputs[0]))[0])

    handles = [layer.register_forward_pre_hook(record) for layer in layers[1:]]
    equal = near = total = same = 0
    predicted = []
    try:
        for batch in images.split(_BATCH):
            seen.clear()
            scores = network(batch)
            *codes, integer_scores = (output.cpu() for output in integer.outputs(batch))
            for ours, theirs in zip(codes, seen, strict=True):
                distance = (ours.flatten().short() - theirs.flatten().short()).abs()
                equal += int((distance == 0).sum())
                near += int((distance <= 1).sum())
                total += distance.numel()
            predicted.append(integer_scores.argmax(1))
            same += int((predicted[-1] == scores.argmax(1)).sum())
    finally:
        for handle in handles:
            handle.remove()
    shares = (equal / total, near / total) if total else (1.0, 1.0)
    return Agreement(same / len(images), *shares, torch.cat(predicted))
