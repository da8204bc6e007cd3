"""What a scheme asks of a network's structure, checked on its graph."""

from __future__ import annotations

from torch import Tensor, nn

from qbench.schemes.scheme import Scheme


def check_structure(network: nn.Module, scheme: Scheme, input_shape: tuple[int, ...] | Tensor) -> None:
    """Refuse a quantized network whose forward does not compute what `scheme` says.

    Args:
        network: what `apply_scheme` returned.
        scheme: the scheme that was applied.
        input_shape: of one example, or a batch of examples.

    Raises:
        ConfigError: see the package.
    """
