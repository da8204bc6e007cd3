"""A trial's module that is no QuantModule: built around the trial's network, or with one of its own."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytorch_lightning as pl
from torch import nn

from qbench.data.datasets import Dataset
from qbench.errors import ConfigError, one_line
from qbench.nn.models.model import Model
from qbench.training.wrapped_module import find_network
from qbench.trial.config import TrialConfig

OWN_NETWORK = "module"
"""The configuration's `model` for the network that the module itself builds."""


def own_model(kind: type[pl.LightningModule], config: TrialConfig, dataset: Dataset) -> Model:
    """Return, as a model, the network that a module of `kind` builds by itself for this data set."""
    build = functools.partial(_network_of, kind, config)
    return Model(build, dataset.input_shape, dataset.classes, f"the network that {kind.__name__} builds")


def make_theirs(kind: type[pl.LightningModule], config: TrialConfig, model: Model) -> pl.LightningModule:
    """Return a module of `kind`, built by the configuration's `module_options`, around the trial's network.

    The network is handed in as the argument that `config.network` names, but for a model that the module builds itself.

    Raises:
        ConfigError: arguments that `kind` does not take, or a module that does not keep the network under that name.
    """
    if config.model == OWN_NETWORK:
        return _make(kind, config.module_options)
    parameters = inspect.signature(kind).parameters
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    if config.network not in parameters and not takes_any:
        raise ConfigError(
            f"{kind.__name__} takes no argument {config.network!r} for the trial's model; name its argument by "
            f"network, or write model: {OWN_NETWORK} where it builds its own",
            "network",
        )
    network = model.make(config.model_options)
    theirs = _make(kind, {**config.module_options, config.network: network})
    if getattr(theirs, config.network, None) is not network:
        raise ConfigError(f"{kind.__name__} does not keep its argument {config.network!r} under that name", "network")
    return theirs


def _make(kind: type[pl.LightningModule], options: dict[str, Any]) -> pl.LightningModule:
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{kind.__name__} cannot be built: {one_line(error)}", "module_options") from error


def _network_of(kind: type[pl.LightningModule], config: TrialConfig) -> nn.Module:
    """Return the float network of a new module."""
    return find_network(_make(kind, config.module_options), config.network)
