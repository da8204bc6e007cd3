"""What a trial's configuration stands for: its scheme, network, data and module, and its identity."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.calibration import calibration_images
from qbench.data import Source, source
from qbench.errors import ConfigError
from qbench.layers import quant_layers
from qbench.models import Model, model
from qbench.module import QuantModule, overrides, own_hooks
from qbench.schemes import Scheme, scheme
from qbench.seeds import derive
from qbench.trial import TrialConfig, code_digest, digest, source_digest
from quantizers import BINARY, QUANTIZERS, MovingAverageUniform, Uniform
from quantizers.registry import import_dotted

# Packages whose code the version or `code_digest` stands for, or that a plug-in's classes are made of.
_KNOWN_PACKAGES = sys.stdlib_module_names | {
    *("qbench", "quantizers", "cuda_ext"),
    *("torch", "pytorch_lightning", "lightning_fabric"),
}


@dataclass(frozen=True)
class Parts:
    """What a configuration's names stand for."""

    config: TrialConfig
    scheme: Scheme
    model: Model
    source: Source
    module: type[QuantModule]

    @property
    def epochs(self) -> int:
        """Epochs that the scheme trains for within the budget."""
        return self.config.epochs * self.scheme.epoch_factor

    def plugins(self) -> set[str]:
        """Modules outside the project whose code this trial runs: those that define its parts and their bases."""
        parts = [self.model.build, self.source.load, self.module]
        parts += [QUANTIZERS.get(spec.name) for spec in self.scheme.specs]
        modules: set[str] = set()
        for part in parts:
            found: Any = part
            while isinstance(found, functools.partial):
                found = found.func
            bases = found.__mro__ if isinstance(found, type) else (found,)
            modules |= {base.__module__ for base in bases if hasattr(base, "__module__")}
        return {name for name in modules if name.partition(".")[0] not in _KNOWN_PACKAGES}

    @property
    def overrides_quantizers(self) -> bool:
        """Whether the module, and not the scheme alone, decides the layers' quantizers."""
        return bool(overrides(self.module, ("weight_quantizer", "activation_quantizer", "quantize")))

    def build(self) -> QuantModule:
        """The module before training; a function of the configuration."""
        torch.manual_seed(derive(self.config.seed, "network"))
        return self.module(
            self.model.make(self.config.model_options),
            self.scheme,
            classes=self.source.classes,
            learning_rate=self.config.learning_rate,
            learning_rate_end=self.config.learning_rate_end,
            seed=self.config.seed,
        )


def resolve(config: TrialConfig) -> Parts:
    """Look up a configuration's names and try its options.

    Raises:
        ConfigError: an unknown name (with the nearest) or option, or parts that do not fit together.
    """
    parts = Parts(
        config,
        scheme(config.scheme, **config.scheme_options),
        model(config.model),
        source(config.data),
        _module(config.module),
    )
    if parts.model.input_shape != parts.source.input_shape or parts.model.classes != parts.source.classes:
        raise ConfigError(
            f"{config.model!r} takes {parts.model.input_shape} and gives {parts.model.classes} classes, "
            f"data {config.data!r} has {parts.source.input_shape} and {parts.source.classes}",
            "model",
        )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device is available to torch; use 'cpu'", "device")
    if config.compile and (hooks := own_hooks(parts.module)):
        raise ConfigError(f"compiles no module with hooks of its own ({', '.join(hooks)})", "compile")
    return parts


def check(config: TrialConfig) -> None:
    """Build the trial as `run_trial` will, without data, and forget it.

    Raises:
        ConfigError: names, options or parts that `run_trial` could not use.
    """
    parts = resolve(config)
    post_training = parts.scheme.stage == "post-training"
    if post_training:
        calibration_images(parts.source.load(config.split_seed), config.calibration_images, config.split_seed)
    with torch.random.fork_rng(devices=[]):
        module = parts.build()
        if post_training:
            module.quantize()
        else:
            _check_trains(module)
        _check_signs(module.model, parts.model.input_shape)


def _check_trains(module: QuantModule) -> None:
    """A quantizer that only calibration makes ready would pass float values through a whole training."""
    for name, layer in quant_layers(module.model):
        for field, quantizer in (("weights", layer.weight_quantizer), ("activations", layer.input_quantizer)):
            if isinstance(quantizer, Uniform) and not isinstance(quantizer, MovingAverageUniform):
                raise ConfigError(
                    f"{name}: {type(quantizer).__name__} needs calibration, which schemes have whose stage is "
                    "'post-training'; int8_qat and lsq train with quantization",
                    f"scheme_options.{field}",
                )


@torch.no_grad()
def _check_signs(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    """A ReLU in front of a sign makes every activation +1; one that the scheme could not replace is found here."""
    negative: dict[str, bool] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            negative[name] = negative.get(name, False) or bool((inputs[0] < 0).any())

        return hook

    binary = [(name, layer) for name, layer in quant_layers(network) if layer.input_format == BINARY]
    handles = [layer.register_forward_pre_hook(look(name)) for name, layer in binary]
    try:
        generator = torch.Generator().manual_seed(0)
        network.eval()(torch.randn(16, *input_shape, generator=generator))
    finally:
        for handle in handles:
            handle.remove()
    for name, seen in negative.items():
        if not seen:
            raise ConfigError(
                f"{name}: its binary input is never negative, so every sign would be +1: the model applies a ReLU "
                "that is no nn.ReLU or Activation module, which a scheme can replace",
                "model",
            )


def _module(path: str | None) -> type[QuantModule]:
    if path is None:
        return QuantModule
    try:
        found: Any = import_dotted(path)
    except (ImportError, AttributeError) as error:
        raise ConfigError(str(error), "module") from error
    if not (isinstance(found, type) and issubclass(found, QuantModule)):
        raise ConfigError(f"{path!r} is no subclass of QuantModule", "module")
    return found


def trial_id(config: TrialConfig) -> str:
    """Identity of a trial's result: its configuration, its scheme, the code and the plug-ins that produce it."""
    parts = resolve(config)
    return digest(config.model_dump(), parts.scheme.model_dump(), code_digest(), source_digest(parts.plugins()))


def training_key(config: TrialConfig) -> str:
    """Identity of a trial's training: equal for trials that differ only in what happens after it."""
    parts = resolve(config)
    # Without names and calibration: what is not quantized in training trains as fp32 does. (What evaluation uses
    # counts, for it decides which epoch is the best.)
    fields = config.model_dump(exclude={"scheme", "scheme_options", "calibration_images"})
    trained = parts.scheme.training_scheme().model_dump(exclude={"name", "description"})
    # A module that overrides quantizers does so in training, or after it.
    stage = parts.scheme.stage if parts.overrides_quantizers else None
    return digest(fields, trained, stage, code_digest(), source_digest(parts.plugins()))
