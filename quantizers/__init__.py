"""What a number becomes: values of a number format and the gradient estimators to train through them."""

from quantizers.base import Quantizer
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
from quantizers.quantized import Quantized, storage_bytes
from quantizers.registered import QUANTIZERS, make, register
from quantizers.registry import Registry, UnknownNameError
from quantizers.sign import Sign, sign, sign_ste
from quantizers.stochastic_sign import StochasticSign, hard_sigmoid, stochastic_sign

__all__ = [
    "BINARY",
    "FLOAT16",
    "FLOAT32",
    "INT8",
    "QUANTIZERS",
    "TERNARY",
    "UINT8",
    "NumberFormat",
    "Quantized",
    "Quantizer",
    "Registry",
    "Sign",
    "StochasticSign",
    "UnknownNameError",
    "hard_sigmoid",
    "make",
    "register",
    "sign",
    "sign_ste",
    "signed_integer",
    "stochastic_sign",
    "storage_bytes",
    "unsigned_integer",
]
