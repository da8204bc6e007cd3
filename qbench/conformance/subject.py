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
        """Return the network as after some training, with nothing left at a value that hides a fault.

        Running statistics are those of a batch, moved a little. BatchNorms' scales (every second one is negative),
        their shifts and all biases are drawn by `seed`.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.build()
            _disturb(network, self.examples(32, seed))
        return network


@torch.no_grad()
def _disturb(network: nn.Module, x: Tensor) -> None:
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if "bias" in name:
                parameter.uniform_(-0.5, 0.5)
    for norm in norms:
        if norm.weight is not None:
            norm.weight.uniform_(0.5, 1.5)
            norm.weight[1::2] *= -1
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    network(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        if norm.running_mean is not None and norm.running_var is not None:
            deviation = norm.running_var.sqrt()
            norm.running_mean += deviation * torch.empty_like(deviation).uniform_(-0.3, 0.3)
            norm.running_var *= torch.empty_like(deviation).uniform_(0.7, 1.4)
