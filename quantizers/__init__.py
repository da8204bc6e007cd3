"""What a number becomes: values of a number format and the gradient estimators to train through them."""

from quantizers.affine import affine_parameters
from quantizers.base import Quantizer
from quantizers.extremes_observer import ExtremesObserver
from quantizers.formats import (
    BINARY,
    FLOAT16,
    FLOAT32,
    INT8,
    TERNARY,
    UINT8,
    NumberFormat,
    signed_integer,
    unsigned_integer,
)
from quantizers.histogram_observer import HistogramObserver
from quantizers.kl import DegenerateKLWarning, KLThreshold, kl_divergence, kl_threshold
from quantizers.observer import Observer
from quantizers.quantized import Quantized, storage_bytes
from quantizers.range_rules import RANGE_RULES, RangeRule
from quantizers.ranges import Range
from quantizers.registered import QUANTIZERS, make, register
from quantizers.registry import Registry, UnknownNameError
from quantizers.sign import Sign, sign, sign_ste
from quantizers.stochastic_sign import StochasticSign, hard_sigmoid, stochastic_sign
from quantizers.uniform import QuantizerState, Uniform, UnsignedUniform, fake_quantize

__all__ = [
    "BINARY",
    "FLOAT16",
    "FLOAT32",
    "INT8",
    "QUANTIZERS",
    "RANGE_RULES",
    "TERNARY",
    "UINT8",
    "DegenerateKLWarning",
    "ExtremesObserver",
    "HistogramObserver",
    "KLThreshold",
    "NumberFormat",
    "Observer",
    "Quantized",
    "Quantizer",
    "QuantizerState",
    "Range",
    "RangeRule",
    "Registry",
    "Sign",
    "StochasticSign",
    "Uniform",
    "UnknownNameError",
    "UnsignedUniform",
    "affine_parameters",
    "fake_quantize",
    "hard_sigmoid",
    "kl_divergence",
    "kl_threshold",
    "make",
    "register",
    "sign",
    "sign_ste",
    "signed_integer",
    "stochastic_sign",
    "storage_bytes",
    "unsigned_integer",
]
