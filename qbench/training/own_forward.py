"""A `forward` of a subclass's own in a trial, which measures the network."""

from __future__ import annotations

from inspect import getattr_static

import torch
from torch import Tensor

from qbench.errors import ConfigError
from qbench.nn.evaluation_mode import evaluating
from qbench.training.first_batch import InputShape
from qbench.training.scheme_module import SchemeModule

_EXAMPLES = 4


@torch.no_grad()
def check_own_forward(module: SchemeModule) -> None:
    """Refuse a module whose `forward` gives other scores in evaluation than its network does.

    A trial trains and validates by `forward`, but measures accuracy, costs and packed execution on `module.model`. The
    two are compared, exactly, on a batch of random examples (of integers, on the one that the module was given).

    Raises:
        ConfigError: they differ.
    """
    overridden = getattr_static(type(module), "forward") is not getattr_static(SchemeModule, "forward")
    if module.input_shape is None or not (overridden or "forward" in vars(module)):
        return
    images = _examples(module.input_shape).to(next(module.parameters()).device)
    with evaluating(module):
        own, network = module(images), module.model(images)
    if not (isinstance(own, Tensor) and own.shape == network.shape and torch.equal(own, network)):
        raise ConfigError(
            f"{type(module).__name__}.forward gives other scores than its network, and a trial measures the network: "
            "put what forward adds into the model (model.forward, or a module around it)",
            "module",
        )


def _examples(input_shape: InputShape) -> Tensor:
    if isinstance(input_shape, Tensor):
        return input_shape
    return torch.rand(_EXAMPLES, *input_shape, generator=torch.Generator().manual_seed(0))
