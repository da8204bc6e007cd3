"""What a scheme's optimizer gets: the parameters, in groups of one learning rate each."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from qbench.nn.quant_layer import quant_layers
from qbench.schemes.initialize import glorot_scale
from qbench.schemes.recipe import Recipe
from quantizers import Quantizer

RATE_SCALE = "rate_scale"
"""Key of a parameter group: its learning rate over that of the training."""
STEP_RATE = 0.01
"""The learning rate of learned steps (LSQ), over that of the other parameters.

Adam moves a parameter by about the learning rate, whatever the scale of its gradient (LSQ's factor g included), and a
step of 8 bits is near 0.01 where weights are near 0.1. Chosen on the validation set of digits: see docs/decisions.md.
"""


def parameter_groups(module: nn.Module, recipe: Recipe, learning_rate: float) -> list[dict[str, Any]]:
    """Return the trainable parameters with their learning rates; weights of quantized layers have scaled ones.

    A frozen parameter (`requires_grad` is False) is in no group. ShiftAdaMax gets the scale apart from the rate, for it
    rounds both by AP2; with the others a group says by `RATE_SCALE` what its rate has been multiplied by. Learned steps
    (LSQ) move at `STEP_RATE` of the rate and never decay: decay would shrink the range.
    """
    scales = _scales(module) if recipe.learning_rate_scale == "glorot" else {}
    steps = _learned_steps(module)
    groups: dict[float, list[Tensor]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad and parameter not in steps:
            groups.setdefault(scales.get(parameter, 1.0), []).append(parameter)
    found: list[dict[str, Any]] = [
        {"params": each, "lr": learning_rate, "scale": scale}
        if recipe.optimizer == "shift-adamax"
        else {"params": each, "lr": learning_rate * scale, RATE_SCALE: scale}
        for scale, each in groups.items()
    ]
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter in steps]
    if learned:
        found.append({"params": learned, "lr": learning_rate * STEP_RATE, RATE_SCALE: STEP_RATE, "weight_decay": 0.0})
    return found


def _scales(module: nn.Module) -> dict[Tensor, float]:
    """Return Glorot's scale of each quantized weight."""
    return {
        layer.weight: glorot_scale(layer.weight)
        for _, layer in quant_layers(module)
        if layer.weight_quantizer is not None
    }


def _learned_steps(module: nn.Module) -> set[Tensor]:
    quantizers = [each for each in module.modules() if isinstance(each, Quantizer)]
    return {step for quantizer in quantizers for step in quantizer.learned_steps()}
