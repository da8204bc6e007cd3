"""Configurations that could not be run, found before anything is trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.ptq.calibration import calibration_images
from qbench.training.module import QuantModule
from qbench.trial.resolved import ResolvedTrial
from quantizers import BINARY, MovingAverageUniform, Uniform


def check(trial: ResolvedTrial) -> None:
    """Build the trial as `run_trial` will, without data, and forget it.

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
