"""Whether a module's validation asks its network what a trial asks it: the class scores of the data's images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qbench.errors import ConfigError


class FirstValidation:
    """Watches a network in the first validation batch of someone else's module.

    A trial measures its accuracies, costs and packed execution on the network alone, fed with the data's images. Where
    the module's `validation_step` changes the images first, or asks another network, these would be numbers of
    something else.

    Args:
        owner: the module's class, for messages.
        name: the network's name in it.
        network: is watched.
        classes: of the data.
    """

    def __init__(self, owner: str, name: str, network: nn.Module, classes: int) -> None:
        self._owner = owner
        self._name = name or "forward"
        self._classes = classes
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._handle = network.register_forward_hook(self._seen)

    def _seen(self, network: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._inputs.append(inputs[0] if inputs else None)
        self._outputs.append(output)

    def cancel(self) -> None:
        """Watch no longer."""
        self._handle.remove()

    def check(self, images: Tensor) -> None:
        """Refuse a network that was not asked for the scores of `images`, and watch no longer.

        Raises:
            ConfigError: says what was seen in place of it.
        """
        self.cancel()
        step = f"{self._owner}.validation_step"
        if not self._inputs:
            raise ConfigError(
                f"{step} does not call {self._name!r}: name by network what it calls, for a trial measures that",
                "network",
            )
        if not any(isinstance(each, Tensor) and _same(each, images) for each in self._inputs):
            raise ConfigError(
                f"{step} gives {self._name!r} other values than the data's images, on which a trial measures it; put "
                "what changes them into the network, or into the data",
                "network",
            )
        for output in self._outputs:
            if not (isinstance(output, Tensor) and output.dim() == 2 and output.shape[1] == self._classes):
                shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise ConfigError(
                    f"{self._name!r} of {self._owner} gives {shape}; a trial measures the accuracy of scores "
                    f"[batch, {self._classes}]",
                    "network",
                )


def _same(found: Tensor, images: Tensor) -> bool:
    return found.shape == images.shape and torch.equal(found.to(images), images)
