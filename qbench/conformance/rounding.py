"""What a scheme makes of each layer's weights and inputs, by the reference's own formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qbench.conformance import formulas
from qbench.conformance.difference import Difference, MismatchError
from qbench.errors import ConfigError
from qbench.nn.quant_layer import QuantLayer
from qbench.schemes.quantization import Role
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.scheme import Scheme
from quantizers import VALUE_TABLES, Quantizer

BINARY_NAMES = ("sign", "stochastic_sign", "tanh_sign")
"""The quantizers whose evaluation is the sign."""

_INTEGER_NAMES = ("int8", "uniform", "uint8", "int8_qat", "lsq")
_FEW = 0.05
"""The share of a layer's inputs that may lie outside the range that calibration or training has found."""


def _table(weight: Tensor, options: Mapping[str, Any]) -> Tensor:
    values = options.get("values", "nf4")
    return formulas.nearest_values(
        weight,
        VALUE_TABLES[values] if isinstance(values, str) else values,
        options.get("group_size"),
        options.get("scale_bits", 32),
        options.get("cover", True),
    )


_WITHOUT_DATA: dict[str, Callable[[Tensor, Mapping[str, Any]], Tensor]] = {
    "group_integer": lambda weight, options: formulas.group_integers(
        weight, options.get("bits", 4), options.get("group_size", 32), options.get("scale_bits", 16)
    ),
    "odd": lambda weight, options: formulas.dorefa_weights(weight, options.get("bits", 4)),
    "table": _table,
}
"""What becomes of a weight by formulas that need its values and the scheme's options alone."""


class Rounding:
    """The weights and inputs of a quantized network's layers, rounded by the reference's formulas.

    Of the quantizers only the numbers are read that data has set: the scale and the zero point of an input, the step of
    LSQ. Which quantizer serves which layer, the scheme says, by the order in which the float network calls its layers.

    Args:
        quantized: the network under `scheme`.
        scheme: what was applied to it.
        order: names of the layers that are called, in the order of their first calls.

    Raises:
        ConfigError: a quantizer whose formula is not known here.
    """

    def __init__(self, quantized: nn.Module, scheme: Scheme, order: Sequence[str]) -> None:
        self._scheme = scheme
        self._layers: dict[str, Any] = dict(quantized.named_modules())
        self._order = list(order)
        for name in self._order if scheme.quantization.quantizes else ():
            if not self.replaces(name) and not scheme.quantization.allows_float(name):
                raise MismatchError(f"{name} is left in float32, which nothing allows")

    def replaces(self, name: str) -> bool:
        """Whether a quantizable layer stands in the place of the float network's; if not, it runs as it is."""
        return isinstance(self._layers[name], QuantLayer)

    def spec(self, role: Role, name: str) -> QuantizerSpec | None:
        """Return the quantizer that the scheme has for a layer; None for float32."""
        if name not in self._order or not self.replaces(name):
            return None
        quantizer = self._layers[name].weight_quantizer if role == "weights" else self._layers[name].input_quantizer
        if quantizer is None and self._scheme.quantization.allows_float(name):
            return None
        position = self._order.index(name)
        return self._scheme.quantization.choose(role, name, position, len(self._order)).spec

    def choice(self, role: Role, name: str) -> str | None:
        """Return the name of `spec`."""
        spec = self.spec(role, name)
        return None if spec is None else spec.name

    def parameters(
        self, name: str, layer: Any, factor: Tensor | None, shift: Tensor | None, difference: Difference
    ) -> tuple[Tensor, Tensor | None]:
        """Return a layer's weight, rounded, and its bias; float64.

        Args:
            name: of the layer.
            layer: of the float network.
            factor, shift: of the BatchNorm that is folded into it.
            difference: is told of the float weight and bias, which the quantized network's are compared with.
        """
        own, found = layer.weight, self._layers[name]
        bias = getattr(layer, "bias", None)
        if factor is not None and shift is not None:
            own = own * factor.reshape(-1, *[1] * (own.dim() - 1))
            bias = shift if bias is None else shift + factor * bias
        difference.meet(own, found.weight.detach(), f"the weight of {name}")
        weight = self._rounded_weight(name, found.weight.detach())
        if bias is None and getattr(found, "bias", None) is None:
            return weight, None
        if bias is None:
            raise MismatchError(f"{name} has a bias, which the network's does not")
        # Half a unit either way: at the border of two, float32 may take the other.
        unit = self._unit(name)
        stored = found.bias.detach().double()
        off = (stored - bias).abs() - (0.0 if unit is None else 0.5001 * unit)
        difference.meet(bias, bias + off.clamp_min(0.0), f"the bias of {name}")
        return weight, stored

    def _unit(self, name: str) -> Tensor | None:
        """Return the unit of the int32 sums of a layer whose bias calibration rounds to it, float64; None elsewhere."""
        specs = [self.spec("weights", name), self.spec("activations", name)]
        if self._scheme.post_training is None or any(spec is None or spec.name not in _INTEGER_NAMES for spec in specs):
            return None
        weight, source = self._layers[name].weight_quantizer.encoding(), self._layers[name].input_quantizer.encoding()
        return weight.scale.double() * source.scale.double()

    def _rounded_weight(self, name: str, weight: Tensor) -> Tensor:
        spec = self.spec("weights", name)
        if spec is None or self._scheme.quantization.evaluation_weights == "latent":
            return weight.double()
        if spec.name in BINARY_NAMES:
            return formulas.signs(weight)
        if spec.name == "scaled_sign":
            return formulas.scaled_signs(weight)
        if spec.name in _WITHOUT_DATA:
            return _WITHOUT_DATA[spec.name](weight, spec.options)
        if spec.name == "ternary":
            return formulas.ternary(weight, spec.options.get("channel_axis") == 0)
        if spec.name in _INTEGER_NAMES:
            encoding = _encoding(name, self._layers[name].weight_quantizer)
            if spec.name in ("int8", "int8_qat", "uniform") and _follows_extremes(spec):
                scale = formulas.channel_scales(weight, spec.options.get("bits", 8))
                if not torch.allclose(scale, encoding.scale, rtol=1e-6, atol=0):
                    raise MismatchError(f"the weight of {name}: a scale is not max|w| / {encoding.format.maximum:g}")
            shape = [-1 if encoding.scale.numel() > 1 else 1] + [1] * (weight.dim() - 1)
            return formulas.integers(
                weight, encoding.scale.reshape(shape), 0.0, encoding.format.minimum, encoding.format.maximum
            )
        raise ConfigError(f"no formula of {spec.name!r} is known, which {self._scheme.name} has for weights", "scheme")

    def input(self, name: str, x: Tensor, own: Tensor) -> Tensor:
        """Return a layer's input `x`, rounded, in float64; tokens as they are.

        Args:
            name: of the layer.
            x: what the quantized network's layer took.
            own: the same as the reference has it.
        """
        if not x.is_floating_point():
            return x
        spec = self.spec("activations", name)
        if spec is None:
            return x.double()
        if spec.name in BINARY_NAMES:
            return formulas.signs(x)
        if spec.name == "unit_range":
            return formulas.dorefa_activations(x, spec.options.get("bits", 4))
        if spec.name not in _INTEGER_NAMES:
            raise ConfigError(
                f"no formula of {spec.name!r} is known, which {self._scheme.name} has for activations", "scheme"
            )
        encoding = _encoding(name, self._layers[name].input_quantizer)
        low, high = float(encoding.low), float(encoding.high)
        slack = float(encoding.scale) / 2
        outside = float(((own < low - slack) | (own > high + slack)).double().mean())
        if outside > _FEW:
            raise MismatchError(f"{outside:.0%} of the inputs of {name} are outside its range, {low:.3g} to {high:.3g}")
        zero = 0.0 if encoding.zero_point is None else encoding.zero_point.double()
        return formulas.integers(x, encoding.scale, zero, encoding.format.minimum, encoding.format.maximum)


def _encoding(name: str, quantizer: Quantizer | None) -> Any:
    encoding = None if quantizer is None else quantizer.encoding()
    if encoding is None:
        raise MismatchError(f"{name} has no scale: nothing is quantized")
    return encoding


def _follows_extremes(spec: QuantizerSpec) -> bool:
    """Whether a weight's scale is that of the channel's largest magnitude."""
    options = spec.options
    return (
        options.get("channel_axis") == 0
        and options.get("method", "minmax") == "minmax"
        and options.get("momentum", 1.0) == 1.0
        and not options.get("power_of_two", False)
        and not options.get("full_range", False)
    )
