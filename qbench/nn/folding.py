"""BatchNorm folded into the layer before it: one linear map instead of two, before its weights are quantized."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from qbench.nn.norm import NORMS, Norm, norm_factor
from qbench.nn.quant_layer import QuantLayer


class DirectedMaxPool2d(nn.MaxPool2d):
    """Max-pool of the channels with direction +1, min-pool of those with -1: `d · maxpool(d · x)`.

    It takes the place of the max-pool in `BatchNorm(maxpool(x))` when the BatchNorm is folded: a negative gamma turns
    the order of values round, so that the largest sum becomes the smallest result.

    Args:
        pool: gives the window.
        direction: float [C], +1 or -1.
    """

    direction: Tensor

    def __init__(self, pool: nn.MaxPool2d, direction: Tensor) -> None:
        super().__init__(pool.kernel_size, pool.stride, pool.padding, pool.dilation, ceil_mode=pool.ceil_mode)
        self.register_buffer("direction", direction.reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled `x [B, C, H, W]`, float [B, C, Ho, Wo]."""
        return self.direction * super().forward(self.direction * x)


@torch.no_grad()
def fold_batch_norms(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> list[str]:
    """Fold every BatchNorm (shift-based ones too) that follows a layer into its weight and bias, in place.

    With `BatchNorm(x) = x·f + s`: `w' = f·w` and `b' = f·b + s`, computed in float64. A max-pool between the two
    stays; where some f are negative it becomes a `DirectedMaxPool2d`. The BatchNorm becomes an nn.Identity.

    A BatchNorm is folded only where the two are certain to run in that order: neighbours in an nn.Sequential, used once
    in the network, with running statistics. Any other BatchNorm stays as it is, which computes the same.

    Returns the names of the layers that took a BatchNorm in.

    Source: Jacob et al. (CVPR 2018) section 3.2; Krishnamoorthi (2018) section 3.2.2.
    """
    uses = Counter(module for _, module in network.named_modules(remove_duplicate=False))
    names = {module: name for name, module in network.named_modules()}
    folded = []
    for chain in [module for module in network.modules() if type(module) is nn.Sequential]:
        children = list(chain.named_children())
        for index, (_, layer) in enumerate(children):
            if not isinstance(layer, QuantLayer | nn.Linear | nn.Conv2d):
                continue
            following = children[index + 1 : index + 3]
            pool = following.pop(0) if following and type(following[0][1]) is nn.MaxPool2d else None
            if not following or type(following[0][1]) not in NORMS:
                continue
            norm_name, norm = following[0]
            assert isinstance(norm, Norm)
            parts = [layer, norm] if pool is None else [layer, norm, pool[1]]
            weight: Any = layer.weight
            if max(uses[part] for part in parts) > 1 or norm.running_mean is None:
                continue
            if norm.num_features != weight.shape[0]:
                continue
            factor = _fold(layer, norm)
            chain._modules[norm_name] = nn.Identity()
            if pool is not None and bool((factor < 0).any()):
                assert isinstance(pool[1], nn.MaxPool2d)
                direction = torch.where(factor < 0, -1.0, 1.0).to(weight)
                chain._modules[pool[0]] = DirectedMaxPool2d(pool[1], direction)
            folded.append(names[layer])
    return folded


def _fold(layer: Any, norm: Norm) -> Tensor:
    """Fold `norm` into `layer`, in place; return the factors."""
    factor, shift = norm_factor(norm)
    weight, bias = layer.weight, layer.bias
    shape = [-1] + [1] * (weight.dim() - 1)
    layer.weight = nn.Parameter((weight.double() * factor.view(shape)).to(weight.dtype), weight.requires_grad)
    if bias is not None:
        shift = shift + factor * bias.double()
    layer.bias = nn.Parameter(shift.to(weight.dtype), weight.requires_grad)
    return factor
