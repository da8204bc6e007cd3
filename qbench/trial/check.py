"""Finds configurations that could not be run, before anything is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.hooks import watching
from qbench.nn.quant_layer import quant_layers
from qbench.ptq.calibration import calibration_images
from qbench.schemes.quantization import Role
from qbench.training.module import QuantModule
from qbench.trial.resolved import ResolvedTrial
from quantizers import BINARY, Quantizer


def check(trial: ResolvedTrial) -> None:
    """Build the trial as `run_trial` will, run it on random images, and forget it.

    Raises:
        ConfigError: names, options or parts that `run_trial` could not use.
    """
    config = trial.config
    post_training = trial.scheme.post_training is not None
    if post_training:
        calibration_images(trial.dataset.load(config.split_seed), config.calibration_images, config.split_seed)
    with torch.random.fork_rng(devices=[]):
        module = trial.build()
        if post_training:
            module.quantize()
        else:
            _check_trains(module)
        _check_signs(module.model, trial.model.input_shape)


def _check_trains(module: QuantModule) -> None:
    """Refuse quantizers that only calibration makes ready: they would pass float values through a whole training."""
    choose = module.scheme.quantization.choose
    for name, layer in quant_layers(module.model):
        roles: tuple[tuple[Role, Quantizer | None], ...] = (
            ("weights", layer.weight_quantizer),
            ("activations", layer.input_quantizer),
        )
        for role, quantizer in roles:
            if quantizer is not None and quantizer.needs_calibration:
                raise ConfigError(
                    f"{name}: {type(quantizer).__name__} needs calibration, which only schemes of the stage "
                    "'post-training' have; int8_qat and lsq train with quantization",
                    f"scheme_options.{choose(role, name, layer.position, layer.layer_count).option}",
                )


@torch.no_grad()
def _check_signs(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Refuse a ReLU in front of a sign, which the scheme could not replace: every activation would be +1."""
    binary = {name: layer for name, layer in quant_layers(network) if layer.input_format == BINARY}
    negative: dict[str, bool] = {}

    def look(name: str, x: Tensor) -> None:
        negative[name] = negative.get(name, False) or bool((x < 0).any())

    with watching(binary, inputs=look):
        generator = torch.Generator().manual_seed(0)
        network.eval()(torch.randn(16, *input_shape, generator=generator))
    for name, seen in negative.items():
        if not seen:
            raise ConfigError(
                f"{name}: its binary input is never negative, so every sign would be +1: the model applies a ReLU "
                "that is no nn.ReLU or Activation module, which a scheme can replace",
                "model",
            )
