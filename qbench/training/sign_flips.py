"""How many binary weights change their sign in an epoch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qbench.nn.quant_layer import quant_layers
from quantizers import BINARY


class SignFlips:
    """Compares the signs of latent weights with those at the last look: one comparison an epoch, and none a step.

    The weights of layers whose weight quantizer gives binary codes are looked at; a weight counts as +1 where it is
    >= 0. A training that continues from a checkpoint starts with the checkpoint's weights, which are those at the end
    of the epoch before, so that it counts what an uninterrupted one counts.

    Args:
        network: with the initial weights, or those of a checkpoint.
    """

    def __init__(self, network: nn.Module) -> None:
        self._signs = _signs(network)

    def since_last(self, network: nn.Module) -> dict[str, float]:
        """Return `flips/<layer>`: the share of a layer's weights whose sign differs from that at the last look."""
        before, self._signs = self._signs, _signs(network)
        shares = {
            f"flips/{name}": (signs != before[name]).double().mean()
            for name, signs in self._signs.items()
            if name in before
        }
        if not shares:
            return {}
        return dict(zip(shares, torch.stack(list(shares.values())).tolist(), strict=True))


@torch.no_grad()
def _signs(network: nn.Module) -> dict[str, Tensor]:
    """Return where the latent weights are >= 0, by layer name, of the layers with binary weights."""
    return {
        name: layer.weight >= 0
        for name, layer in quant_layers(network)
        if layer.weight_quantizer is not None and layer.weight_quantizer.format == BINARY
    }
