"""What a trial names, as objects, and the modules whose code they are."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from qbench.data.augmentation.registry import AUGMENTATIONS
from qbench.data.datasets import DATASETS, Dataset
from qbench.errors import ConfigError
from qbench.nn.activation import ACTIVATIONS
from qbench.nn.models.catalogue import MODELS
from qbench.nn.models.model import Model
from qbench.nn.quant_op.select import OWN_OPS, ops
from qbench.schemes.named import spelled_out
from qbench.schemes.optimizers.registry import OPTIMIZERS
from qbench.schemes.schedules import SCHEDULES
from qbench.schemes.scheme import Scheme
from qbench.training.losses.catalogue import LOSSES
from qbench.trial.config import TrialConfig
from qbench.trial.identity import source_digest
from qbench.trial.plug_in_sources import KNOWN_PACKAGES
from quantizers import QUANTIZERS, Registry


class Named(Protocol):
    """What is read here of a `ResolvedTrial`."""

    @property
    def config(self) -> TrialConfig:
        """The configuration."""
        ...

    @property
    def scheme(self) -> Scheme:
        """The scheme, with the configuration's options."""
        ...

    @property
    def model(self) -> Model:
        """What builds the network."""
        ...

    @property
    def dataset(self) -> Dataset:
        """What loads the data."""
        ...

    @property
    def module(self) -> type:
        """The LightningModule that trains."""
        ...


# The registries of what a recipe names, by its field.
_RECIPE: dict[str, Registry[Any]] = {
    "activation_function": ACTIVATIONS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}


def named(trial: Named) -> Iterator[tuple[Registry[Any], str]]:
    """Yield each name that a trial looks up in a registry (a scheme is a value, which stands there in full)."""
    yield MODELS, trial.config.model
    yield DATASETS, trial.config.data
    yield from ((QUANTIZERS, spec.name) for spec in trial.scheme.specs)
    for field, registry in _RECIPE.items():
        value = getattr(trial.scheme.recipe, field)
        if value is not None:
            yield registry, spelled_out(value).name
    label_loss = spelled_out(trial.scheme.recipe.loss).options.get("label_loss")
    if label_loss is not None:
        yield LOSSES, label_loss if isinstance(label_loss, str) else label_loss["name"]
    yield from ((AUGMENTATIONS, spelled_out(each).name) for each in trial.config.augment)


def objects_of(trial: Named) -> list[Any]:
    """Return what a trial's names stand for: builders, loaders, classes, functions."""
    found = [trial.model.build, trial.dataset.load, trial.dataset.digest, trial.module]
    looked_up = (registry.get(name) for registry, name in named(trial) if registry not in (MODELS, DATASETS))
    return [*found, *looked_up]


def plug_in_modules(trial: Named) -> set[str]:
    """Return the modules that define what a trial names, or bases of it, or that filed it under its name."""
    modules = set(modules_of(objects_of(trial)))
    modules |= {name for registry, each in named(trial) if (name := registry.module_of(each)) is not None}
    if trial.config.module is not None:
        modules.add(trial.config.module.rpartition(":" if ":" in trial.config.module else ".")[0])
    return modules


def op_identity() -> list[Any]:
    """Return what stands for the QuantOps that plug-ins have registered, which decide costs and packed execution.

    The order of all ops, and the digest of those plug-ins' code; empty where there are none.
    """
    names = OWN_OPS.names()
    if not names:
        return []
    modules = {*modules_of(map(OWN_OPS.get, names)), *filter(None, map(OWN_OPS.module_of, names))}
    theirs = {name for name in modules if name.partition(".")[0] not in KNOWN_PACKAGES}
    return [[op.name for op in ops()], source_digest(theirs)]


@contextmanager
def no_new_ops() -> Iterator[None]:
    """Refuse QuantOps that are registered while the context lasts: a trial before it would have another identity.

    Raises:
        ConfigError: such an op, with the module that registers it.
    """
    before = set(OWN_OPS.names())
    yield
    added = [name for name in OWN_OPS.names() if name not in before]
    if added:
        raise ConfigError(
            f"{OWN_OPS.module_of(added[0])} registers the QuantOp {added[0]!r} when a trial imports it, and ops count "
            "in every trial: name its file under `plugins:` in the sweep's file, or by --plugin, and all trials have it"
        )


def modules_of(objects: Iterable[Any]) -> Iterator[str]:
    """Yield the names of the modules that define some objects.

    Of a class these are its bases' too; of a `functools.partial` those of the function and of its arguments; of a bound
    method those of its object's class; of any other object those of its class.
    """
    for each in objects:
        if isinstance(each, functools.partial):
            yield from modules_of([each.func, *each.args, *each.keywords.values()])
        elif isinstance(each, type):
            yield from (base.__module__ for base in each.__mro__)
        elif (owner := getattr(each, "__self__", None)) is not None and callable(each):
            yield from modules_of([owner, each.__func__] if hasattr(each, "__func__") else [owner])
        elif isinstance(name := getattr(each, "__module__", None), str):
            yield name
            if not hasattr(each, "__code__"):
                yield from modules_of([type(each)])
