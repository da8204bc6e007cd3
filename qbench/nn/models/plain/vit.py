"""A vision transformer with an attention of its own, of nn.Linear and torch's scaled dot product."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention: queries, keys and values of one linear layer, another for the result.

    x: float [B, T, width]. Result: float [B, T, width].
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attention's result; see the class."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        y: Tensor = self.proj(x.transpose(1, 2).reshape(batch, tokens, width))
        return y


class Block(nn.Module):
    """Attention and a two-layer MLP, each behind a LayerNorm and beside a shortcut.

    x: float [B, T, width]. Result: float [B, T, width].
    """

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's result; see the class."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """A small vision transformer.

    x: float [B, 3, size, size]. Result: float [B, classes].

    Args:
        size: of the images, which are square.
        patch: of the patches; divides size.
        width: of a token; a multiple of heads.
        depth: blocks.
        heads: of the attention.
        classes: how many scores it gives.

    Source: Dosovitskiy et al., An image is worth 16x16 words (ICLR 2021) section 3.1.
    """

    def __init__(
        self, size: int = 32, patch: int = 4, width: int = 192, depth: int = 6, heads: int = 3, classes: int = 10
    ) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*[Block(width, heads, 4) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        x = self.norm(self.blocks(x))
        scores: Tensor = self.head(x[:, 0])
        return scores
