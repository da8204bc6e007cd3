"""Independent references in numpy int64: written from the formulas, sharing nothing with the package but the layout."""

import numpy as np
import torch
from torch import Tensor


def signs(x: np.ndarray) -> np.ndarray:
    """±1 as int64, zero and -0.0 to +1, NaN to -1"""
    return np.where(x >= 0, 1, -1).astype(np.int64)


def pack(bits: np.ndarray) -> Tensor:
    """0/1 [..., K] -> the packed layout, one bit at a time"""
    k = bits.shape[-1]
    words = 16 * -(-k // 512)
    out = np.zeros((*bits.shape[:-1], words), dtype=np.uint32)
    for i in range(k):
        out[..., i // 32] |= bits[..., i].astype(np.uint32) << np.uint32(i % 32)
    return torch.from_numpy(out.view(np.int32))


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(np.int64) @ b.astype(np.int64).T


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    pad_value: int,
) -> np.ndarray:
    """x [B, H, W, C], w [O, kh, kw, C] in int64; the sum of the definition, position by position"""
    batch, height, width, _ = x.shape
    outputs, kh, kw, _ = w.shape
    out_h = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    out_w = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = np.zeros((batch, out_h, out_w, outputs), dtype=np.int64)
    filter_sums = w.sum(-1)
    for oy in range(out_h):
        for ox in range(out_w):
            for i in range(kh):
                for j in range(kw):
                    y = oy * stride[0] + i * dilation[0] - padding[0]
                    z = ox * stride[1] + j * dilation[1] - padding[1]
                    if 0 <= y < height and 0 <= z < width:
                        out[:, oy, ox] += x[:, y, z] @ w[:, i, j].T
                    else:
                        out[:, oy, ox] += pad_value * filter_sums[:, i, j]
    return out


def threshold_bits(x: np.ndarray, threshold: np.ndarray, direction: np.ndarray) -> np.ndarray:
    out = np.zeros(x.shape, dtype=np.int64)
    for c in range(x.shape[-1]):
        if direction[c] > 0:
            out[..., c] = x[..., c] >= threshold[c]
        elif direction[c] < 0:
            out[..., c] = x[..., c] <= threshold[c]
        else:
            out[..., c] = int(threshold[c] >= 0)
    return out


def philox(seed: int, offset: int, index: int) -> int:
    """Number `index` of the stream in plain Python integers (Salmon et al. 2011)"""
    mask = 0xFFFFFFFF
    block = index // 4
    c = [block & mask, block >> 32, offset & mask, (offset >> 32) & mask]
    k = [seed & mask, (seed >> 32) & mask]
    for _ in range(10):
        p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & mask, (p0 >> 32) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c[index % 4]
