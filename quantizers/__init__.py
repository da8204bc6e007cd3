"""What a number becomes: values of a number format and the gradient estimators to train through them."""

from quantizers.affine import affine_parameters
from quantizers.ap2 import ap2, ap2_normal
from quantizers.base import Quantizer
from quantizers.calibration_methods import CALIBRATION_METHODS, CalibrationMethod
from quantizers.encoding import Encoding
from quantizers.fixed_point import FixedPointMultiplier, requantize
from quantizers.formats import (
    BFLOAT16,
    BINARY,
    FLOAT16,
    FLOAT32,
    INT8,
    PIXEL8,
    TERNARY,
    UINT8,
    NumberFormat,
    odd_integer,
    signed_integer,
    unsigned_integer,
    value_table,
)
from quantizers.group_integer import GroupInteger
from quantizers.group_scale import group_scales
from quantizers.histogram_observer import HistogramObserver
from quantizers.kl import DegenerateKLWarning, KLThreshold, kl_threshold
from quantizers.layer_place import LayerPlace
from quantizers.learned_parameter import LearnedParameter
from quantizers.lsq import LSQ
from quantizers.minmax_observer import MinMaxObserver
from quantizers.moving_average_observer import MovingAverageObserver
from quantizers.moving_average_uniform import MovingAverageUniform
from quantizers.observer import Observer
from quantizers.odd import Odd
from quantizers.outliers import OutlierReport, analyse_outliers, clip_outliers
from quantizers.pixel8 import Pixel8
from quantizers.pixels import KNOWN_PIXELS, Pixels, find_pixels
from quantizers.quantized import Quantized, storage_bytes
from quantizers.ranges import Range
from quantizers.registered import QUANTIZERS, make, make_for_layer, register
from quantizers.registry import Registry, UnknownNameError
from quantizers.scaled_sign import ScaledSign
from quantizers.sign import Sign, sign, sign_ste
from quantizers.stochastic_sign import StochasticSign
from quantizers.straight_through import saturated_gradient, straight_through
from quantizers.table import Table
from quantizers.tanh_sign import TanhSign
from quantizers.ternary import Ternary
from quantizers.uniform import QuantizerState, Uniform, UnsignedUniform, fake_quantize
from quantizers.unit_range import UnitRange
from quantizers.value_tables import VALUE_TABLES

__all__ = [
    "BFLOAT16",
    "BINARY",
    "CALIBRATION_METHODS",
    "FLOAT16",
    "FLOAT32",
    "INT8",
    "KNOWN_PIXELS",
    "LSQ",
    "PIXEL8",
    "QUANTIZERS",
    "TERNARY",
    "UINT8",
    "VALUE_TABLES",
    "CalibrationMethod",
    "DegenerateKLWarning",
    "Encoding",
    "FixedPointMultiplier",
    "GroupInteger",
    "HistogramObserver",
    "KLThreshold",
    "LayerPlace",
    "LearnedParameter",
    "MinMaxObserver",
    "MovingAverageObserver",
    "MovingAverageUniform",
    "NumberFormat",
    "Observer",
    "Odd",
    "OutlierReport",
    "Pixel8",
    "Pixels",
    "Quantized",
    "Quantizer",
    "QuantizerState",
    "Range",
    "Registry",
    "ScaledSign",
    "Sign",
    "StochasticSign",
    "Table",
    "TanhSign",
    "Ternary",
    "Uniform",
    "UnitRange",
    "UnknownNameError",
    "UnsignedUniform",
    "affine_parameters",
    "analyse_outliers",
    "ap2",
    "ap2_normal",
    "clip_outliers",
    "fake_quantize",
    "find_pixels",
    "group_scales",
    "kl_threshold",
    "make",
    "make_for_layer",
    "odd_integer",
    "register",
    "requantize",
    "saturated_gradient",
    "sign",
    "sign_ste",
    "signed_integer",
    "storage_bytes",
    "straight_through",
    "unsigned_integer",
    "value_table",
]
