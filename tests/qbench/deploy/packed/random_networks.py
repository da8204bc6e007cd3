"""Random binary networks with every kind of BatchNorm: γ of both signs, zero γ, ties exactly at thresholds."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor, nn

from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import initialize


def randomize_norms(network: nn.Module, generator: torch.Generator) -> None:
    """γ: a quarter zero, the rest of both signs; half the channels have β = 0 and a whole mean: sums tie with it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            n = module.num_features
            scale = 10 ** (3 * torch.rand(n, generator=generator) - 2)
            gamma = torch.randn(n, generator=generator) * scale
            gamma[torch.rand(n, generator=generator) < 0.25] = 0
            tie = torch.rand(n, generator=generator) < 0.5
            spread = 4.0 * torch.randn(n, generator=generator)
            module.weight.data.copy_(gamma)
            module.bias.data.copy_(torch.where(tie, torch.zeros(n), torch.randn(n, generator=generator)))
            module.running_mean.copy_(torch.where(tie, spread.round(), spread))
            variance = 200 * torch.rand(n, generator=generator) + 1e-3
            if isinstance(module, ShiftBatchNorm1d | ShiftBatchNorm2d):
                module.running_inverse_std.copy_(variance.rsqrt())
            else:
                module.running_var.copy_(variance)


def quantized(network: nn.Module, name: str = "binarynet", seed: int = 0, **options: Any) -> nn.Module:
    """The network under a scheme, with random weights and norms, evaluating."""
    chosen = get_scheme(name, **options)
    apply_scheme(network, chosen)
    initialize(network, chosen, seed)
    randomize_norms(network, torch.Generator().manual_seed(seed))
    return network.eval()


def random_network(
    seed: int, activation: type[nn.Module] = nn.ReLU, shift_norms: bool = False
) -> tuple[nn.Sequential, tuple[int, ...]]:
    """A float nn.Sequential of random blocks, and its input shape."""
    norm1d: Any = ShiftBatchNorm1d if shift_norms else nn.BatchNorm1d
    norm2d: Any = ShiftBatchNorm2d if shift_norms else nn.BatchNorm2d
    pick = random.Random(seed)
    channels, size = pick.choice([1, 2, 3]), pick.randint(4, 9)
    shape: tuple[int, ...] = (channels, size, size + pick.randint(0, 2))
    parts: list[nn.Module] = []
    now = torch.zeros(1, *shape)

    def add(*modules: nn.Module) -> None:
        nonlocal now
        for module in modules:
            parts.append(module)
            with torch.no_grad():
                now = module.eval()(now)

    for _ in range(pick.randint(0, 2)):
        high, wide = now.shape[2:]
        kernel = (pick.randint(1, 3), pick.randint(1, 3))
        padding = (pick.randint(0, 2), pick.randint(0, 1))
        if high + 2 * padding[0] < 2 * kernel[0] or wide + 2 * padding[1] < 2 * kernel[1]:
            break
        stride, dilation = (pick.randint(1, 2), pick.randint(1, 2)), (pick.randint(1, 2), 1)
        outputs = pick.choice([1, 5, 31, 33])
        add(nn.Conv2d(now.shape[1], outputs, kernel, stride, padding, dilation, bias=False))
        pool = nn.MaxPool2d(pick.choice([2, 3]), pick.choice([1, 2, 3]), pick.choice([0, 1]))
        pools = pick.choice(["none", "before", "after"]) if min(now.shape[2:]) >= 3 else "none"
        if pools == "before":
            add(pool)
        if pick.random() < 0.9:
            add(norm2d(outputs, eps=1e-4))
        if pools == "after":
            add(pool)
        add(activation())
    add(nn.Flatten())
    for _ in range(pick.randint(0, 2)):
        outputs = pick.choice([1, 8, 31, 513])
        add(nn.Linear(now.shape[1], outputs, bias=False), norm1d(outputs, eps=1e-4), activation())
    add(nn.Dropout(0.5), nn.Linear(now.shape[1], pick.choice([2, 10]), bias=False))
    if pick.random() < 0.8:
        add(norm1d(now.shape[1], eps=1e-4))
    return nn.Sequential(*parts), shape


def evaluated(network: nn.Module, images: Tensor) -> Tensor:
    """Scores of the fake-quantized evaluation."""
    with torch.no_grad():
        return network(images)
