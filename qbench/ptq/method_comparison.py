"""Calibration methods compared on one trained network: accuracy, thresholds, and how far they depend on the images."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

from torch import nn

from qbench.data.splits import Splits
from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.calibration import calibration_images
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.scheme import Scheme
from qbench.training.accuracy import accuracy
from qbench.training.scheme_module import SchemeModule
from quantizers import CALIBRATION_METHODS, DegenerateKLWarning


@dataclass(frozen=True)
class MethodResult:
    """What one calibration method gives.

    Attributes:
        method: its name.
        validation, test: accuracy under each calibration set.
        thresholds: the largest magnitude that each layer's input covers, under each calibration set, by layer name.
    """

    method: str
    validation: tuple[float, ...]
    test: tuple[float, ...]
    thresholds: dict[str, tuple[float, ...]]

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviation over mean of each layer's thresholds, over the calibration sets."""
        return {name: pstdev(found) / fmean(found) if fmean(found) else 0.0 for name, found in self.thresholds.items()}

    @property
    def mean_spread(self) -> float:
        """Mean of `spread` over the layers whose range the method chooses (the network's input is min-max)."""
        inner = list(self.spread.values())[1:] or list(self.spread.values())
        return fmean(inner)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; the key `rule` is the file format's word for the method."""
        return {
            "rule": self.method,
            "validation": self.validation,
            "test": self.test,
            "thresholds": self.thresholds,
            "spread": self.spread,
            "mean_spread": self.mean_spread,
        }


@dataclass(frozen=True)
class _Measured:
    """What one method gives under one calibration set; fields as those of `MethodResult`."""

    validation: float
    test: float
    thresholds: dict[str, float]


def method_scheme(method: str, bits: int = 8, weight_bits: int = 8, allow_float: tuple[str, ...] = ()) -> Scheme:
    """Return the post-training scheme whose activations get their ranges by the calibration method `method`.

    Args:
        method: its name.
        bits, weight_bits: of activations and weights.
        allow_float: see `Quantization`.

    Raises:
        ConfigError: no such method, or bits outside 2..8.
    """
    try:
        CALIBRATION_METHODS.get(method)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(str(error), "--method") from error
    found = get_scheme("int8-minmax").replace(
        name=f"int{bits}-{method}",
        weights={"name": "int8", "options": {"bits": weight_bits, "method": "minmax", "channel_axis": 0}},
        activations={"name": "int8", "options": {"bits": bits, "method": method}},
        allow_float=list(allow_float),
    )
    for spec in (found.quantization.weights, found.quantization.activations):
        assert isinstance(spec, QuantizerSpec)
        spec.build()
    return found


def calibrated(
    module: SchemeModule,
    splits: Splits,
    method: str,
    *,
    images: int = 512,
    seed: int = 0,
    bits: int = 8,
    weight_bits: int = 8,
) -> nn.Module:
    """Return a copy of the module's network, quantized and calibrated by `method`.

    Arguments and errors: as `compare_methods`; `seed` is that of the only calibration set.
    """
    chosen = method_scheme(method, bits, weight_bits, module.scheme.quantization.allow_float)
    copied = copy.deepcopy(module).eval()
    copied.quantize()
    network = apply_scheme(copied.model, chosen, input_shape=copied.input_shape)
    calibration.calibrate(network, calibration_images(splits, images, seed).images)
    return network


def compare_methods(
    module: SchemeModule,
    splits: Splits,
    methods: Sequence[str] | None = None,
    *,
    images: int = 512,
    sets: int = 5,
    seed: int = 0,
    bits: int = 8,
    weight_bits: int = 8,
    on_step: Callable[[int, int, str], None] | None = None,
) -> list[MethodResult]:
    """Calibrate one trained float32 network by every method on each of several calibration sets.

    All methods see the same sets: one pass over the images serves them all.

    Args:
        module: built for a post-training scheme that folds BatchNorm, trained, not quantized yet.
        splits: the data that it was trained on.
        methods: names of calibration methods; None takes all.
        images: how many a calibration set has, drawn without replacement from the training images.
        sets: how many calibration sets.
        seed: of the first set; the others follow.
        bits, weight_bits: of activations and weights.
        on_step: told, before each set and method, its number from 1, how many there are, and what it is.

    Raises:
        ConfigError: more images than there are, an unknown method, bits outside 2..8.
    """
    names = list(CALIBRATION_METHODS if methods is None else methods)
    allowed = module.scheme.quantization.allow_float
    schemes = {method: method_scheme(method, bits, weight_bits, allowed) for method in names}
    template = copy.deepcopy(module).eval()
    template.quantize()
    quantized = {
        method: apply_scheme(copy.deepcopy(template.model), scheme, input_shape=template.input_shape)
        for method, scheme in schemes.items()
    }
    found: dict[str, list[_Measured]] = {method: [] for method in names}
    for number in range(sets):
        chosen = calibration_images(splits, images, seed + number).images
        calibration.observe(template.model, chosen)
        statistics = calibration.statistics(template.model)
        for place, method in enumerate(names, start=1):
            if on_step is not None:
                on_step(number * len(names) + place, sets * len(names), f"calibration set {number + 1}: {method}")
            network = copy.deepcopy(quantized[method])
            calibration.load_statistics(network, statistics)
            with warnings.catch_warnings():
                # The threshold, which is shown, is min-max's then; a line for each set and layer says no more.
                warnings.simplefilter("ignore", DegenerateKLWarning)
                calibration.freeze(network)
            calibration.round_biases(network)
            found[method].append(_measure(network, splits))
    return [_collected(method, measured) for method, measured in found.items()]


def _measure(network: nn.Module, splits: Splits) -> _Measured:
    """Return accuracies and thresholds of a calibrated network."""
    thresholds = {}
    for name, layer in quant_layers(network):
        encoding = None if layer.input_quantizer is None else layer.input_quantizer.encoding()
        if encoding is not None:
            thresholds[name] = max(float(encoding.high.max()), -float(encoding.low.min()))
    return _Measured(accuracy(network, splits.validation), accuracy(network, splits.test), thresholds)


def _collected(method: str, sets: list[_Measured]) -> MethodResult:
    """Return the result of one method from what it gave under each calibration set."""
    return MethodResult(
        method,
        tuple(each.validation for each in sets),
        tuple(each.test for each in sets),
        {name: tuple(each.thresholds[name] for each in sets) for name in sets[0].thresholds},
    )
