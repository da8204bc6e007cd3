"""A network that can be built by name: float, with activation slots; a scheme decides the rest.

A block is matrix product -> (max-pool) -> BatchNorm -> activation slot, without bias, as in BinaryConnect and
BinaryNet; the output layer's BatchNorm goes to the loss.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from qbench.errors import ConfigError, nearest

BATCH_NORM_EPS = 1e-4
"""ε of every BatchNorm in these networks."""


@dataclass(frozen=True)
class Model:
    """A network that can be built by name.

    Attributes:
        build: makes the network, from options that all have defaults.
        input_shape: of one example, without the batch.
        classes: how many scores it gives.
        description: one line for people.
    """

    build: Callable[..., nn.Module]
    input_shape: tuple[int, ...]
    classes: int
    description: str

    @property
    def options(self) -> dict[str, Any]:
        """The builder's options and their defaults."""
        return {name: parameter.default for name, parameter in inspect.signature(self.build).parameters.items()}

    def make(self, options: Mapping[str, Any]) -> nn.Module:
        """Return the network, freshly initialized from torch's global generator.

        Raises:
            ConfigError: an option that the builder does not take, or one of the wrong type or value.
        """
        known = self.options
        for key, value in options.items():
            if key not in known:
                raise ConfigError(f"unknown option{nearest(key, sorted(known))}", f"model_options.{key}")
            if type(value) is not type(known[key]) and not (isinstance(known[key], float) and type(value) is int):
                expected = type(known[key]).__name__
                raise ConfigError(f"expected {expected}, got {value!r}", f"model_options.{key}")
        try:
            return self.build(**options)
        except (ValueError, RuntimeError) as error:
            raise ConfigError(str(error), "model_options") from error
