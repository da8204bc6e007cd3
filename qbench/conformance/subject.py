"""A network that schemes are tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Subject:
    """A network that schemes are tried on.

    Attributes:
        name: for people.
        build: makes the network.
        input_shape: of one example, without the batch.
        tokens: inputs are integers from 0 to one below it; None for real numbers.
        allow_float: what a second try allows where the first is refused: names or patterns, as in a scheme's option.
    """

    name: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    tokens: int | None = None
    allow_float: tuple[str, ...] = ()

    def examples(self, count: int, seed: int) -> Tensor:
        """Return `count` inputs, standard normal or uniform over the tokens, drawn by `seed`."""
        generator = torch.Generator().manual_seed(seed)
        if self.tokens is not None:
            return torch.randint(self.tokens, (count, *self.input_shape), generator=generator)
        return torch.randn(count, *self.input_shape, generator=generator)

    def network(self, seed: int) -> nn.Module:
        """Return the network with nothing left at a value that hides a fault.

        Running means, scales, shifts and biases are drawn by `seed`, and every second scale of a BatchNorm is negative.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.build()
            _disturb(network)
        return network


@torch.no_grad()
def _disturb(network: nn.Module) -> None:
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if "bias" in name:
                parameter.uniform_(-0.5, 0.5)
        if isinstance(module, _BatchNorm):
            if module.running_mean is not None and module.running_var is not None:
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
            if module.weight is not None:
                module.weight.uniform_(0.5, 1.5)
                module.weight[1::2] *= -1
