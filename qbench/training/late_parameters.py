"""Parameters that a quantizer makes only in its first batch, when the optimizer has been built without them."""

from __future__ import annotations

from torch import nn

from qbench.errors import ConfigError
from qbench.training.learned import quantizers_of


class LateParameters:
    """Refuses parameters of quantizers that appear after the optimizer was built.

    Args:
        module: before its first step; its optimizer exists.
    """

    def __init__(self, module: nn.Module) -> None:
        self._known = set(_parameters(module).values())

    def check(self, module: nn.Module) -> None:
        """Refuse those that `module` has got since.

        Raises:
            ConfigError: such a parameter, by quantizer and name.
        """
        for name, parameter in _parameters(module).items():
            if parameter not in self._known:
                raise ConfigError(
                    f"{name}: this parameter of a quantizer appeared in the first batch, after the optimizer was "
                    "built, and would not be trained: make it in the constructor, or in for_layer(place) where it "
                    "depends on the layer",
                    "quantizer",
                )


def _parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of quantizers by `quantizer: name`."""
    return {
        f"{quantizer.layer_name or type(quantizer).__name__}: {name}": parameter
        for quantizer in quantizers_of(module)
        for name, parameter in quantizer.named_parameters()
    }
