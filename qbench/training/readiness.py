"""Quantizers that pass float values on: those that wait for calibration, where nothing will calibrate them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

from qbench.errors import ConfigError, TrainingError
from qbench.schemes.placed_quantizers import placed_quantizers
from qbench.schemes.scheme import Scheme
from quantizers import Quantizer

_CALIBRATING = ContextVar("calibrating", default=False)


@contextmanager
def calibrating() -> Iterator[None]:
    """Let networks whose quantizers observe run, while the context lasts."""
    token = _CALIBRATING.set(True)
    try:
        yield
    finally:
        _CALIBRATING.reset(token)


@torch.compiler.disable
def check_calibrated(network: nn.Module) -> None:
    """Refuse to evaluate a network whose quantizers wait for calibration: its results would be those of float values.

    Does nothing within `calibrating`.

    Raises:
        TrainingError: names the first of them.
    """
    if _CALIBRATING.get():
        return
    waiting = [(name, q) for name, q in network.named_modules() if isinstance(q, Quantizer) and not q.is_ready]
    if waiting:
        name, quantizer = waiting[0]
        more = f" (so do {len(waiting) - 1} more quantizers)" if len(waiting) > 1 else ""
        raise TrainingError(
            f"{name} ({type(quantizer).__name__}) waits for calibration and would pass float values on{more}: call "
            "qbench.calibrate(module.model, images) after quantize()"
        )


def check_trains(network: nn.Module, scheme: Scheme) -> None:
    """Refuse quantizers that only calibration makes ready: they would pass float values through a whole training.

    Args:
        network: quantized by `scheme`, which quantizes in training.
        scheme: says which of its options names the quantizer of a layer.

    Raises:
        ConfigError: names the layer, the quantizer and the option.
    """
    for name, layer, role, quantizer in placed_quantizers(network):
        if quantizer.needs_calibration:
            option = scheme.quantization.choose(role, layer.name, layer.position, layer.layer_count).option
            raise ConfigError(
                f"{name}: {type(quantizer).__name__} needs calibration, which only schemes of the stage "
                "'post-training' have; int8_qat and lsq train with quantization",
                f"scheme_options.{option}",
            )
