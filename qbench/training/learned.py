"""What the quantizers of a network ask of training: the parameters that are learned, with their rates."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from qbench.errors import ConfigError
from quantizers import LearnedParameter, Quantizer


def learned_parameters(module: nn.Module) -> dict[Tensor, LearnedParameter]:
    """Return what the quantizers of `module` want trained, each parameter once; what has the rate 0 is not trained.

    Raises:
        ConfigError: a parameter that belongs to no module of the network; one that has no value before the first
            batch; one that two quantizers want trained in two ways.
    """
    names = {parameter: name for name, parameter in module.named_parameters()}
    found: dict[Tensor, LearnedParameter] = {}
    owners: dict[Tensor, Quantizer] = {}
    for quantizer in quantizers_of(module):
        for name, parameter in quantizer.named_parameters():
            if is_lazy(parameter):
                raise ConfigError(
                    f"{label(quantizer)}: parameter {name!r} has no value before the first batch, and the optimizer is "
                    "built before it: make it in the constructor, or in for_layer(place) where it depends on the layer",
                    "quantizer",
                )
        for asked in quantizer.learned_parameters():
            if asked.parameter not in names:
                raise ConfigError(
                    f"{label(quantizer)}: learned_parameters() gives a parameter of shape "
                    f"{list(asked.parameter.shape)} that belongs to no module of the network, so that it would be "
                    "neither saved nor moved to a device: make it an attribute of the quantizer",
                    "quantizer",
                )
            before = found.setdefault(asked.parameter, asked)
            other = owners.setdefault(asked.parameter, quantizer)
            if (before.rate, before.weight_decay) != (asked.rate, asked.weight_decay):
                raise ConfigError(
                    f"{names[asked.parameter]} is asked for by {label(other)} with rate {before.rate:g} and weight "
                    f"decay {before.weight_decay}, and by {label(quantizer)} with {asked.rate:g} and "
                    f"{asked.weight_decay}: it has one of each",
                    "quantizer",
                )
    return {parameter: asked for parameter, asked in found.items() if asked.rate > 0}


def quantizers_of(module: nn.Module) -> list[Quantizer]:
    """Return the quantizers within a module, each once."""
    return [each for each in module.modules() if isinstance(each, Quantizer)]


def label(quantizer: Quantizer) -> str:
    """Return a quantizer's place and class, for messages."""
    kind = type(quantizer).__name__
    return f"{quantizer.layer_name} ({kind})" if quantizer.layer_name else kind
