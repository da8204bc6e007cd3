"""What quantizers do in the very evaluation that a trial reports."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from qbench.errors import TrainingError
from qbench.nn.hooks import hooked
from qbench.schemes.placed_quantizers import placed_quantizers
from qbench.schemes.quantization import Role
from quantizers import Quantizer
from quantizers.contract import Fault, faults_of

_Product = tuple[Tensor, Tensor] | None


@contextmanager
def checking_evaluation(network: nn.Module) -> Iterator[None]:
    """Compare all that a network's quantizers give with their codes, while the context lasts.

    A check of a few images beside the evaluation would say nothing of a quantizer that does otherwise in large batches,
    or from some call on. So what is compared is what the layers multiply by: the output of `forward`, or the product of
    `codes_and_scale`, with `quantize(x).dequantize()`. Of a batch of inputs the first example is quantized by itself,
    too: its values may not depend on the rest.

    It costs one more `quantize` of each tensor: ResNet-18 on a CPU evaluates 2.5 times as long, once a trial.

    Args:
        network: trained and calibrated, in evaluation mode, not packed.

    Raises:
        TrainingError: in the context, where they differ; the message names layer, role, class, check and value.
    """
    asked = set[tuple[str, Role]]()
    ran = set[str]()
    placed = list(placed_quantizers(network))
    with ExitStack() as stack:
        for name, layer, role, quantizer in placed:
            stack.enter_context(hooked([layer], before=_noted(name, ran)))
            stack.enter_context(hooked([quantizer], after=_compared(name, role, asked)))
            stack.enter_context(_comparing_products(quantizer, name, role, asked))
        yield
    for name, layer, role, quantizer in placed:
        is_latent = role == "weights" and layer.latent_evaluation
        if name in ran and (name, role) not in asked and not is_latent:
            raise TrainingError(
                f"{name}: {type(quantizer).__name__} ({role}) was not asked when the layer ran in the evaluation of "
                "the test images: a forward of its own takes the layer's place, and its costs would be those of codes"
            )


def _noted(name: str, ran: set[str]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def before(_: nn.Module, __: tuple[Any, ...]) -> None:
        ran.add(name)

    return before


def _compared(name: str, role: Role, asked: set[tuple[str, Role]]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def after(quantizer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        assert isinstance(quantizer, Quantizer)
        asked.add((name, role))
        _compare(name, role, quantizer, given[0], output)

    return after


@contextmanager
def _comparing_products(quantizer: Quantizer, name: str, role: Role, asked: set[tuple[str, Role]]) -> Iterator[None]:
    """Compare what `codes_and_scale` gives, which no hook of a module is told of."""
    original = quantizer.codes_and_scale

    def compared(x: Tensor) -> _Product:
        found = original(x)
        if found is not None:
            asked.add((name, role))
            _compare(name, role, quantizer, x, found[0] * found[1])
        return found

    vars(quantizer)["codes_and_scale"] = compared
    try:
        yield
    finally:
        vars(quantizer).pop("codes_and_scale", None)


@torch.no_grad()
def _compare(name: str, role: Role, quantizer: Quantizer, x: Tensor, values: Tensor) -> None:
    copied = _copy(quantizer)
    faults = faults_of(copied, x.detach(), values.detach(), role) or _batch_faults(copied, x, values, role)
    if faults:
        raise TrainingError(
            f"{name}: {type(quantizer).__name__} ({role}) breaks the contract of quantizers in the evaluation of the "
            f"test images: {faults[0]}"
        )


def _copy(quantizer: Quantizer) -> Quantizer:
    """Return a copy without the hooks of this module: inputs are counted, see `Quantizer.negative_inputs`."""
    hooks, product = quantizer._forward_hooks, vars(quantizer).pop("codes_and_scale")
    quantizer._forward_hooks = type(hooks)()
    try:
        return copy.deepcopy(quantizer)
    finally:
        quantizer._forward_hooks = hooks
        vars(quantizer)["codes_and_scale"] = product


def _batch_faults(copied: Quantizer, x: Tensor, values: Tensor, role: Role) -> list[Fault]:
    if role == "weights" or len(x) < 2:
        return []
    differ = copied(x[:1]) != values[:1]
    if not bool(differ.any()):
        return []
    text = f"{int(differ.sum()):,} values of the first of {len(x):,} examples are others than alone"
    return [Fault("batch", f"{text}: take the scale of inputs from training, or of each example by itself")]
