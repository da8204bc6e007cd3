"""What a number becomes: values of a number format and the gradient estimators to train through them."""

from quantizers.affine import affine_parameters
from quantizers.ap2 import ap2, ap2_normal
from quantizers.base import Quantizer
from quantizers.channel_statistics import ChannelStatistics, channel_statistics
from quantizers.extremes_observer import ExtremesObserver
from quantizers.fixed_point import (
    FixedPointMultiplier,
    multiply_by_fixed_point,
    requantize,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from quantizers.formats import (
    BINARY,
    FLOAT16,
    FLOAT32,
    INT8,
    PIXEL8,
    TERNARY,
    UINT8,
    NumberFormat,
    signed_integer,
    unsigned_integer,
)
from quantizers.histogram_observer import HistogramObserver
from quantizers.kl import DegenerateKLWarning, KLThreshold, kl_divergence, kl_threshold
from quantizers.lsq import LSQ, learned_step_quantize
from quantizers.moving_average_observer import MovingAverageObserver
from quantizers.moving_average_uniform import MovingAverageUniform
from quantizers.observer import Observer
from quantizers.outliers import OutlierReport, analyse_outliers, clip_outliers
from quantizers.pixels import KNOWN_PIXELS, Pixel8, Pixels, find_pixels
from quantizers.quantized import Quantized, storage_bytes
from quantizers.range_rules import RANGE_RULES, RangeRule
from quantizers.ranges import Range
from quantizers.registered import QUANTIZERS, make, register
from quantizers.registry import Registry, UnknownNameError
from quantizers.scaled_sign import ScaledSign, mean_magnitude
from quantizers.sign import Sign, sign, sign_ste
from quantizers.sqnr import sqnr_db
from quantizers.stochastic_sign import StochasticSign, hard_sigmoid, stochastic_sign
from quantizers.tanh_sign import TanhSign
from quantizers.ternary import Ternary, ternary_codes, ternary_step
from quantizers.uniform import QuantizerState, Uniform, UnsignedUniform, fake_quantize

__all__ = [
    "BINARY",
    "FLOAT16",
    "FLOAT32",
    "INT8",
    "KNOWN_PIXELS",
    "LSQ",
    "PIXEL8",
    "QUANTIZERS",
    "RANGE_RULES",
    "TERNARY",
    "UINT8",
    "ChannelStatistics",
    "DegenerateKLWarning",
    "ExtremesObserver",
    "FixedPointMultiplier",
    "HistogramObserver",
    "KLThreshold",
    "MovingAverageObserver",
    "MovingAverageUniform",
    "NumberFormat",
    "Observer",
    "OutlierReport",
    "Pixel8",
    "Pixels",
    "Quantized",
    "Quantizer",
    "QuantizerState",
    "Range",
    "RangeRule",
    "Registry",
    "ScaledSign",
    "Sign",
    "StochasticSign",
    "TanhSign",
    "Ternary",
    "Uniform",
    "UnknownNameError",
    "UnsignedUniform",
    "affine_parameters",
    "analyse_outliers",
    "ap2",
    "ap2_normal",
    "channel_statistics",
    "clip_outliers",
    "fake_quantize",
    "find_pixels",
    "hard_sigmoid",
    "kl_divergence",
    "kl_threshold",
    "learned_step_quantize",
    "make",
    "mean_magnitude",
    "multiply_by_fixed_point",
    "register",
    "requantize",
    "rounding_divide_by_pot",
    "saturating_rounding_doubling_high_mul",
    "sign",
    "sign_ste",
    "signed_integer",
    "sqnr_db",
    "stochastic_sign",
    "storage_bytes",
    "ternary_codes",
    "ternary_step",
    "unsigned_integer",
]
