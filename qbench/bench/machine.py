"""The machine made ready for a measurement."""

from __future__ import annotations

import torch

from qbench.errors import ConfigError


def prepare(device: str, threads: int) -> None:
    """Give torch its number of CPU threads, and check that the device is there.

    Raises:
        ConfigError: no CUDA device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device is available to torch; use 'cpu'", "--device")
    torch.set_num_threads(threads)
