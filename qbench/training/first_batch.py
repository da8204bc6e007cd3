"""The shape of a network's input, learned where nobody gave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from qbench.nn.evaluation_mode import is_watched

InputShape = tuple[int, ...] | Tensor
"""The shape of one example, without the batch; or a batch of examples [B, ...], where their dtype matters (tokens)."""


class FirstBatch:
    """Waits for a network's first batch, and tells what its input is like.

    It is a forward pre-hook that goes when it has been called; a copy or a pickle of a network that has seen no batch
    takes it along. A run that reads or counts the network's operations is no batch.

    Args:
        network: whose input is waited for.
        tell: called once with the input's shape, before the network runs: outside of autocast and of inference mode,
            with gradients on, and torch's random numbers are as they were afterwards.
    """

    def __init__(self, network: nn.Module, tell: Callable[[InputShape], None]) -> None:
        self._tell = tell
        self._handle = network.register_forward_pre_hook(self._seen, with_kwargs=True)

    def cancel(self) -> None:
        """Wait no longer."""
        self._handle.remove()

    @torch.compiler.disable
    def _seen(self, network: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        found = next((each for each in tree_leaves((inputs, options)) if isinstance(each, Tensor)), None)
        if found is None or is_watched():
            return
        self.cancel()
        on_cuda = [found.device.index] if found.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=on_cuda),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(found.device.type, enabled=False),
        ):
            self._tell(shape_of(found))


def shape_of(batch: Tensor) -> InputShape:
    """Return the shape of one of the batch's examples; of integers a batch of one example of zeros, for their dtype."""
    shape = tuple(batch.shape[1:])
    return shape if batch.is_floating_point() else torch.zeros(1, *shape, dtype=batch.dtype)


def example_shape(network: nn.Module) -> InputShape | None:
    """Return what the network's `example_input_array` says of its input, as Lightning calls it; None without one."""
    example = getattr(network, "example_input_array", None)
    return shape_of(example) if isinstance(example, Tensor) else None
