"""What is known of activation functions: signs, zeros, order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FunctionFacts:
    """What is known of a function of single values y = f(x), whatever its parameters are; False where it is not known.

    Attributes:
        rising: f never falls, so that the sign of y is a comparison of x with one number; and y depends on no other
            value than x and the parameters of its channel.
        nonnegative: no y is below 0.
        keeps_sign: y >= 0 wherever x >= 0: nonnegative values stay so.
        zero_over_a_range: y is exactly 0 over a range of negative x, whose signs are lost (y < 0 elsewhere).
    """

    rising: bool = False
    nonnegative: bool = False
    keeps_sign: bool = False
    zero_over_a_range: bool = False


_NONNEGATIVE = {"relu", "relu6", "sigmoid", "hardsigmoid", "softplus", "softmax", "exp", "abs", "square"}
_KEEPS_SIGN = {"gelu", "silu", "mish", "elu", "celu", "selu", "leaky_relu", "prelu", "rrelu", "tanh", "softsign",
               "hardtanh", "hardswish", "sign", "hardshrink", "softshrink"}  # fmt: skip
_ZERO_OVER_A_RANGE = {"hardswish", "hardshrink", "softshrink", "threshold"}
_RISING = {"relu", "relu6", "hardtanh", "clamp", "tanh", "sigmoid", "hardsigmoid", "log_sigmoid", "softplus",
           "softsign", "elu", "celu", "selu", "sign"}  # fmt: skip

FACTS = {
    name: FunctionFacts(name in _RISING, name in _NONNEGATIVE, name in _KEEPS_SIGN, name in _ZERO_OVER_A_RANGE)
    for name in _NONNEGATIVE | _KEEPS_SIGN | _ZERO_OVER_A_RANGE | _RISING
}
"""What is known of the functions of ATen, by the name that a graph's node gives them."""
