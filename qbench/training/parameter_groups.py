"""What a scheme's optimizer gets: the parameters, in groups of one learning rate each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from qbench.nn.quant_layer import quant_layers
from qbench.schemes.initialize import glorot_scale
from qbench.schemes.optimizers.registry import rounds_rates
from qbench.schemes.recipe import Recipe
from qbench.training.learned import learned_parameters, quantizers_of

RATE_SCALE = "rate_scale"
"""Key of a parameter group: its learning rate over that of the training."""


def parameter_groups(module: nn.Module, recipe: Recipe, learning_rate: float) -> list[dict[str, Any]]:
    """Return the trainable parameters in named groups of one learning rate and weight decay each.

    Weights of quantized layers have rates scaled by the recipe; a quantizer's parameters have those that it asks for
    (`Quantizer.learned_parameters`), and parameters that it does not name are not trained. A frozen parameter
    (`requires_grad` is False) is in no group. ShiftAdaMax gets the scale apart from the rate, for it rounds both by
    AP2; with the others a group says by `RATE_SCALE` what its rate has been multiplied by.

    The key `name` tells groups apart in logs: `parameters`, `weights x5.2` (scaled), `quantizers x0.01`. A group
    without the key `weight_decay` has the optimizer's. No two names are equal.

    Raises:
        ConfigError: see `qbench.training.learned.learned_parameters`.
    """
    scales = _scales(module) if recipe.learning_rate_scale == "glorot" else {}
    asked = learned_parameters(module)
    learned = {parameter: _Group("quantizers", each.rate, each.weight_decay) for parameter, each in asked.items()}
    of_quantizers = {parameter for quantizer in quantizers_of(module) for parameter in quantizer.parameters()}
    groups: dict[_Group, list[Tensor]] = {}
    for parameter in module.parameters():
        if not parameter.requires_grad or (parameter in of_quantizers and parameter not in learned):
            continue
        scale = scales.get(parameter)
        group = learned.get(parameter) or (_Group("parameters") if scale is None else _Group("weights", scale))
        groups.setdefault(group, []).append(parameter)
    return _told_apart([group.as_dict(parameters, recipe, learning_rate) for group, parameters in groups.items()])


def _told_apart(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number the groups whose names, rounded as they are, are equal: `weights x258.3`, `weights x258.3 (2)`."""
    seen: Counter[str] = Counter()
    for group in groups:
        name = group["name"]
        seen[name] += 1
        if seen[name] > 1:
            group["name"] = f"{name} ({seen[name]})"
    return groups


@dataclass(frozen=True)
class _Group:
    """What the parameters of a group share."""

    kind: str
    scale: float = 1.0
    weight_decay: float | None = None

    def as_dict(self, parameters: list[Tensor], recipe: Recipe, learning_rate: float) -> dict[str, Any]:
        """Return the group as torch's optimizers take it."""
        decay = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        common = {"params": parameters, "name": self._name, **decay}
        if rounds_rates(recipe.optimizer):
            return {**common, "lr": learning_rate, "scale": self.scale}
        return {**common, "lr": learning_rate * self.scale, RATE_SCALE: self.scale}

    @property
    def _name(self) -> str:
        scaled = "" if self.scale == 1 else f" x{self.scale:.4g}"
        return f"{self.kind}{scaled}" + (f" decay {self.weight_decay:g}" if self.weight_decay else "")


def _scales(module: nn.Module) -> dict[Tensor, float]:
    """Return Glorot's scale of each quantized weight."""
    return {
        layer.weight: glorot_scale(layer.weight)
        for _, layer in quant_layers(module)
        if layer.weight_quantizer is not None
    }
