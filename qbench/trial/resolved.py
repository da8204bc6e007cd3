"""A trial's configuration with its names looked up, and its identity."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch

from qbench.data.datasets import Dataset
from qbench.data.splits import Splits
from qbench.errors import ConfigError, one_line
from qbench.nn.models.catalogue import get_model
from qbench.nn.models.model import Model
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme
from qbench.seeds import derive
from qbench.training.module import QuantModule
from qbench.training.overrides import overrides
from qbench.training.scheme_module import SchemeModule
from qbench.training.selection import Selection
from qbench.training.settings import TrainingSettings
from qbench.training.wrapped_module import WrappedModule
from qbench.trial.config import TrialConfig
from qbench.trial.data_identity import check_unchanged, data_digest
from qbench.trial.identity import code_digest, digest, source_digest
from qbench.trial.named_objects import no_new_ops, op_identity, plug_in_modules
from qbench.trial.plug_in_sources import KNOWN_PACKAGES
from qbench.trial.teacher import of_teacher, teacher_config
from qbench.trial.their_module import OWN_NETWORK, make_theirs, own_model
from qbench.trial.trial_data import dataset_of
from quantizers.registry import import_dotted

# Options of a scheme that a module which is no QuantModule would pass over.
_RECIPE_OF_ITS_OWN = ("loss", "optimizer", "schedule")


@dataclass(frozen=True)
class ResolvedTrial:
    """A trial whose names have been looked up, once; what they stand for decides its identities.

    Attributes:
        config: the configuration.
        scheme: the named scheme, with the config's options.
        model: builds the network.
        dataset: loads the splits.
        module: the QuantModule subclass that trains, or someone else's LightningModule.
        selection: chooses the best epoch.
        teacher: the trial whose trained network the loss compares with; None where it needs none.
    """

    config: TrialConfig
    scheme: Scheme
    model: Model
    dataset: Dataset
    module: type[pl.LightningModule]
    selection: Selection = field(default_factory=Selection)
    teacher: ResolvedTrial | None = None

    @property
    def epochs(self) -> int:
        """The epochs of the training: the config's, times the scheme's factor."""
        return self.config.epochs * self.scheme.recipe.epoch_factor

    @property
    def settings(self) -> TrainingSettings:
        """The training's length, batches and device."""
        config = self.config
        return TrainingSettings(
            self.epochs, config.batch_size, config.seed, config.device, config.compile, self.selection
        )

    @functools.cached_property
    def trial_id(self) -> str:
        """Identity of the result: the configuration, the scheme, and the code, plug-ins and data that produce it."""
        own = (self.config.model_dump(), self.scheme.settings(), code_digest(), self._plugin_digest, self.data_digest)
        return digest(*own, *op_identity(), *self._teacher_key)

    @functools.cached_property
    def training_key(self) -> str:
        """Identity of the training: equal for trials that differ only in what happens after it."""
        # Without names and calibration: what is not quantized in training trains as fp32 does. (The weights that
        # evaluation uses count, for they decide which epoch is the best.)
        config = self.config.model_dump(exclude={"scheme", "scheme_options", "calibration_images"})
        trained = self.scheme.training_scheme().settings()
        # A module that overrides quantizers does so in training, or after it.
        stage = self.scheme.flat()["stage"] if self._overrides_quantizers else None
        own = (config, trained, stage, code_digest(), self._plugin_digest, self.data_digest)
        return digest(*own, *self._teacher_key)

    @property
    def _teacher_key(self) -> list[str]:
        return [] if self.teacher is None else [self.teacher.training_key]

    @functools.cached_property
    def data_digest(self) -> str:
        """What stands for the data's content: see `qbench.trial.data_identity.data_digest`."""
        return data_digest(self.dataset, self.config.split_seed, self.config.data)

    def load_splits(self) -> Splits:
        """Return the trial's data, which are those that it was planned with.

        Raises:
            DataError: files that are missing or damaged; images or labels that are refused; other content than when
                the trial was planned.
        """
        splits = self.dataset.splits(self.config.split_seed, self.config.data)
        check_unchanged(self.dataset, splits, self.data_digest, self.config.data)
        return splits

    @functools.cached_property
    def plugins(self) -> frozenset[str]:
        """The modules outside the project that define what this trial names, or bases of it; not what they import."""
        return frozenset(name for name in plug_in_modules(self) if name.partition(".")[0] not in KNOWN_PACKAGES)

    @functools.cached_property
    def _plugin_digest(self) -> str:
        return source_digest(set(self.plugins))

    @property
    def _overrides_quantizers(self) -> bool:
        """Whether the module, and not the scheme alone, decides the layers' quantizers."""
        names = ("weight_quantizer", "activation_quantizer", "quantize")
        return issubclass(self.module, QuantModule) and bool(overrides(self.module, names))

    def build(self) -> SchemeModule:
        """Return the module as it is before training; it depends on nothing but the configuration.

        torch's global generator is seeded by it.
        """
        config = self.config
        torch.manual_seed(derive(config.seed, "network"))
        common: dict[str, Any] = {
            "input_shape": self.model.input_shape,
            "classes": self.dataset.classes,
            "seed": config.seed,
        }
        if not issubclass(self.module, QuantModule):
            theirs = make_theirs(self.module, config, self.model)
            return WrappedModule(theirs, self.scheme, network=config.network, **common)
        rates: dict[str, Any] = {
            "learning_rate": config.learning_rate,
            "learning_rate_end": config.learning_rate_end,
        }
        taken = sorted({"model", "scheme", *common, *rates} & config.module_options.keys())
        if taken:
            raise ConfigError("a trial gives this argument itself", f"module_options.{taken[0]}")
        network = self.model.make(config.model_options)
        try:
            inspect.signature(self.module).bind(network, self.scheme, **common, **rates, **config.module_options)
        except TypeError as error:
            raise ConfigError(f"{self.module.__name__}: {error}", "module_options") from error
        try:
            return self.module(network, self.scheme, **common, **rates, **config.module_options)
        except (TypeError, ValueError) as error:
            if not config.module_options:
                raise
            text = f"{self.module.__name__} cannot be built: {one_line(error)}"
            raise ConfigError(text, "module_options") from error


def resolve(config: TrialConfig) -> ResolvedTrial:
    """Look up a configuration's names, and apply the scheme's options.

    Raises:
        ConfigError: an unknown name (the nearest one is named) or option, parts that do not fit together, a device that
            is not there, or a module that registers a QuantOp only now (see `no_new_ops`).
    """
    with no_new_ops():
        return _resolved(config)


def _resolved(config: TrialConfig) -> ResolvedTrial:
    module, dataset = _module(config.module), dataset_of(config)
    _check_module_settings(module, config)
    scheme = get_scheme(config.scheme, **config.scheme_options)
    trial = ResolvedTrial(
        config,
        scheme,
        own_model(module, config, dataset) if config.model == OWN_NETWORK else get_model(config.model),
        dataset,
        module,
        Selection.of(config.select, config.select_mode),
        _teacher(config, scheme, dataset) if issubclass(module, QuantModule) else None,
    )
    model, dataset = trial.model, trial.dataset
    if model.input_shape != dataset.input_shape or model.classes != dataset.classes:
        raise ConfigError(
            f"{config.model!r} takes {model.input_shape} and gives {model.classes} classes, "
            f"data {config.data!r} has {dataset.input_shape} and {dataset.classes}",
            "model",
        )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device is available to torch; use 'cpu'", "device")
    return trial


def _teacher(config: TrialConfig, scheme: Scheme, dataset: Dataset) -> ResolvedTrial | None:
    found = teacher_config(config, scheme, dataset.classes)
    if found is None:
        return None
    try:
        return resolve(found)
    except ConfigError as error:
        raise of_teacher(error, found.scheme) from error.__cause__


def _module(path: str | None) -> type[pl.LightningModule]:
    if path is None:
        return QuantModule
    try:
        found: Any = import_dotted(path)
    except (ImportError, AttributeError) as error:
        raise ConfigError(str(error), "module") from error
    if not (isinstance(found, type) and issubclass(found, pl.LightningModule)):
        raise ConfigError(f"{path!r} is no subclass of QuantModule, nor any other LightningModule", "module")
    return found


def _check_module_settings(module: type[pl.LightningModule], config: TrialConfig) -> None:
    """Refuse settings that would change nothing, for they belong to a module of the other kind."""
    if issubclass(module, QuantModule):
        if config.model == OWN_NETWORK:
            raise ConfigError(f"{module.__name__} builds no network; name a model", "model")
        if config.network != TrialConfig.model_fields["network"].default:
            raise ConfigError(f"{module.__name__} is a QuantModule, whose network is its model", "network")
        return
    for key in ("learning_rate", "learning_rate_end"):
        if getattr(config, key) is not None:
            raise ConfigError(
                f"{module.__name__} trains by its own recipe, whose rates are arguments of its own: see module_options",
                key,
            )
    for key in _RECIPE_OF_ITS_OWN:
        if key in config.scheme_options:
            raise ConfigError(f"{module.__name__} trains by its own recipe", f"scheme_options.{key}")
