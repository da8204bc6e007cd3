"""The network whose scores a loss takes: the teacher of a distillation."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn


class Teacher:
    """A trained network that gives scores and is not trained: in evaluation mode, without gradients.

    It is no module, so that what holds it neither trains it, nor keeps it in its state, nor sets its mode.

    Args:
        network: maps images to scores [B, classes]; is put into evaluation mode, and moved to where the images are.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Return the scores of a batch, [B, classes], on the images' device."""
        if self.network.training:  # somebody trains it on
            self.network.eval()
        place = next(chain(self.network.parameters(), self.network.buffers()), images)
        if place.device != images.device:
            self.network.to(images.device)
        found: Tensor = self.network(images)
        return found
