"""An MLP-Mixer: linear layers across patches, then across channels."""

from __future__ import annotations

from torch import Tensor, nn


class MixerBlock(nn.Module):
    """Two MLPs, each behind a LayerNorm and beside a shortcut: one across tokens, one across channels.

    x: float [B, tokens, width]. Result: float [B, tokens, width].
    """

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.token_mixing = nn.Sequential(nn.Linear(tokens, 2 * tokens), nn.GELU(), nn.Linear(2 * tokens, tokens))
        self.norm2 = nn.LayerNorm(width)
        self.channel_mixing = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's result; see the class."""
        x = x + self.token_mixing(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mixing(self.norm2(x))


class MLPMixer(nn.Module):
    """A small MLP-Mixer.

    x: float [B, 3, size, size]. Result: float [B, classes].

    Args:
        size: of the images, which are square.
        patch: of the patches; divides size.
        width: channels of a token.
        depth: blocks.
        classes: how many scores it gives.

    Source: Tolstikhin et al., MLP-Mixer (NeurIPS 2021) section 2.
    """

    def __init__(self, size: int = 32, patch: int = 4, width: int = 128, depth: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, patch, patch)
        self.mixer = nn.Sequential(*[MixerBlock((size // patch) ** 2, width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = self.norm(self.mixer(x))
        scores: Tensor = self.head(x.mean(dim=1))
        return scores
