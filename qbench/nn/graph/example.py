"""The example on which a network's operations are read or counted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BATCH = 2
"""Examples in the pass that is captured: more than one, so that no dimension of size 1 is taken for another."""


def example_batch(
    input_shape: tuple[int, ...] | Tensor, network: nn.Module, dtype: torch.dtype | None = None, batch: int = BATCH
) -> Tensor:
    """Return a batch of zeros on the network's device: of an input's shape, or of the shape and dtype of an example.

    Args:
        input_shape: of one example, without the batch; or a batch of examples, of which zeros are made: a token's
            number, say, is an integer.
        dtype: None takes the example's, or that of the network's parameters.
    """
    reference = next(network.parameters(), torch.zeros(()))
    if isinstance(input_shape, Tensor):
        return torch.zeros(batch, *input_shape.shape[1:], device=reference.device, dtype=dtype or input_shape.dtype)
    return torch.zeros(batch, *input_shape, device=reference.device, dtype=dtype or reference.dtype)
