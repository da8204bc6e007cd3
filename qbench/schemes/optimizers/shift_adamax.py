"""Shift-based AdaMax: an optimizer whose step is made of shifts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from quantizers import ap2, ap2_normal

_LARGEST = 2.0**127
_BLOCK = 2**16


def scalar_ap2(x: float) -> float:
    """Return AP2 of a number, by `quantizers.ap2` in float64."""
    return float(ap2(torch.tensor(x, dtype=torch.float64)))


class ShiftAdaMax(Optimizer):
    """AdaMax whose learning rate and whose division are powers of two.

        m = β1·m + (1 - β1)·g
        v = max(β2·v, |g|)
        θ = θ - AP2(α / (1 - β1^t)) · s · m / (AP2(v) + 2^-27)

    for step t = 1, 2, ... and the group's scale s: Glorot's learning-rate scale of binary layers, rounded by AP2 unless
    `round_scale` is False. m and v start at 0 and are not rounded; with v = 0 the divisor is 2^-27 and m is 0 too. The
    paper's algorithm read literally multiplies by `1 - β1^t` and divides by v; this is what the authors' code does.
    m / (AP2(v) + ε) is a shift as long as v is well above ε: where it is not, ε bounds the step.

    Latent weights are not clipped here, as they are in the authors' code, but by whoever owns them, after the step.

    State per parameter: `momentum` and `maximum` (m and v), the parameter's shape and dtype, and `step`, one number.
    Operations are grouped (foreach). float32 is fast; other types go through `quantizers.ap2`.

    Args:
        params: parameters, or groups of them with their own `lr`, `scale`, ...
        lr: α; 0 moves nothing. With a power of two, only the bias correction `1 / (1 - β1^t)` is rounded.
        betas: β1, β2. The Torch7 scripts have 0.9 and 0.999; the paper has 1 - 2^-3 and 1 - 2^-10 with α = 2^-10.
        eps: added to AP2(v).
        scale: s.
        round_scale: s is AP2(scale).

    Raises:
        ValueError: a setting, of all or of a group, out of range.
        RuntimeError: from `step`, for a sparse or complex gradient.

    Attributes:
        rounds_rates: its rates are rounded to powers of two, to which a schedule has to keep.

    Source: Hubara et al., arXiv 1602.02505, algorithm 4 (Courbariaux et al., arXiv 1602.02830, the same), and the
    authors' published Torch7 code; AdaMax: Kingma, Ba, arXiv 1412.6980, algorithm 2.
    """

    rounds_rates = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2.0**-6,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 2.0**-27,
        *,
        scale: float = 1.0,
        round_scale: bool = True,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": tuple(betas), "eps": eps, "scale": scale, "round_scale": round_scale}
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; a ValueError for a setting out of range."""
        settings = {**self.defaults, **param_group}
        for name in ("eps", "scale"):
            if not (settings[name] > 0 and math.isfinite(settings[name])):
                raise ValueError(f"{name} must be positive and finite, got {settings[name]}")
        if not (settings["lr"] >= 0 and math.isfinite(settings["lr"])):
            raise ValueError(f"lr must be finite and not negative, got {settings['lr']}")
        if len(settings["betas"]) != 2 or not all(0 <= beta < 1 for beta in settings["betas"]):
            raise ValueError(f"betas must be two numbers in [0, 1), got {settings['betas']}")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for step, parameters in self._by_step(group).items():
                self._update(group, step, parameters)
        return loss

    def _by_step(self, group: dict[str, Any]) -> dict[int, list[Tensor]]:
        """Return the group's parameters that have a gradient, by how many steps each has taken: mostly one number."""
        found: dict[int, list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            if parameter.grad.layout != torch.strided:
                raise RuntimeError("ShiftAdaMax takes no sparse gradients: every step decays all of m and v")
            if parameter.is_complex():
                raise RuntimeError("ShiftAdaMax takes no complex parameters: they have no nearest power of two")
            state = self.state[parameter]
            if not state:
                state["step"] = 0
                state["momentum"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["maximum"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["step"] += 1
            found.setdefault(state["step"], []).append(parameter)
        return found

    def _update(self, group: dict[str, Any], step: int, parameters: list[Tensor]) -> None:
        """Take step number `step` of these parameters."""
        beta1, beta2 = group["betas"]
        rate = scalar_ap2(group["lr"] / (1 - beta1**step))
        scale = scalar_ap2(group["scale"]) if group["round_scale"] else group["scale"]
        states = [self.state[parameter] for parameter in parameters]
        gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [state["momentum"] for state in states]
        maxima = [state["maximum"] for state in states]
        for theta, g, m, v in _pieces(parameters, gradients, momenta, maxima):
            torch._foreach_lerp_(m, g, 1 - beta1)
            torch._foreach_mul_(v, beta2)
            torch._foreach_maximum_(v, torch._foreach_abs(g))
            divisors = [ap2_normal(each) for each in v]
            torch._foreach_clamp_max_(divisors, _LARGEST)  # AP2's largest
            torch._foreach_add_(divisors, group["eps"])
            torch._foreach_addcdiv_(theta, m, divisors, -rate * scale)


def _pieces(*lists: list[Tensor]) -> Iterator[list[list[Tensor]]]:
    """Yield the lists as they are on a GPU, where few kernels are fast; on a CPU block by block.

    That is three times faster there: a block stays in the cache from the first of the nine passes to the last.
    """
    if any(tensor.device.type != "cpu" or not tensor.is_contiguous() for tensors in lists for tensor in tensors):
        yield list(lists)
        return
    for tensors in zip(*lists, strict=True):
        for blocks in zip(*(tensor.view(-1).split(_BLOCK) for tensor in tensors), strict=True):
            yield [[block] for block in blocks]
