"""How a network is run to be watched: in evaluation, every layer by its own call, every product visible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

_WATCHED = ContextVar("watched", default=False)


def is_watched() -> bool:
    """Whether what runs now runs to be watched, on an example that is nobody's batch: see `plain_execution`."""
    return _WATCHED.get() or torch.compiler.is_exporting()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Keep every module in evaluation while the context lasts; each has its own mode again afterwards."""
    modes = {module: module.training for module in network.modules()}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def unfused_attention() -> Iterator[None]:
    """Switch torch's fused attention off, which reads the weights of layers without calling them."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def plain_execution() -> Iterator[None]:
    """Switch torch's fused forms off while the context lasts: they skip the calls of layers, or hide their products.

    Gradients are on, without which an encoder layer of a transformer reads its layers' weights; attention is its two
    products; recurrent layers are products and functions, which mkldnn and cuDNN fuse.
    """
    mkldnn, cudnn = torch.backends.mkldnn, torch.backends.cudnn
    before = mkldnn.enabled, cudnn.enabled
    token = _WATCHED.set(True)
    try:
        # Not their `flags`, which set more than this, and warn of it.
        mkldnn.enabled = cudnn.enabled = False  # type: ignore[assignment]
        with torch.enable_grad(), unfused_attention(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mkldnn.enabled, cudnn.enabled = before
        _WATCHED.reset(token)
