"""Range rules compared on one trained network: accuracy, thresholds, and how far another calibration set moves them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any

from torch import nn

from qbench.data.splits import Examples, Splits
from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.calibration import calibration_images
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.scheme import Scheme
from qbench.training.accuracy import predict
from qbench.training.module import QuantModule
from quantizers import CALIBRATION_METHODS, DegenerateKLWarning, Uniform


@dataclass(frozen=True)
class MethodResult:
    """One rule.

    Attributes:
        rule: its name.
        validation, test: accuracy under each calibration set.
        thresholds: largest covered magnitude of each layer's input, under each calibration set, by layer name.
    """

    rule: str
    validation: tuple[float, ...]
    test: tuple[float, ...]
    thresholds: dict[str, tuple[float, ...]]

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviation over mean of each layer's thresholds, over the calibration sets."""
        return {name: pstdev(found) / fmean(found) if fmean(found) else 0.0 for name, found in self.thresholds.items()}

    @property
    def mean_spread(self) -> float:
        """Mean of `spread` over the layers whose range the rule chooses (the network's input is min-max)."""
        inner = list(self.spread.values())[1:] or list(self.spread.values())
        return fmean(inner)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "spread": self.spread, "mean_spread": self.mean_spread}


def method_scheme(rule: str, bits: int = 8, weight_bits: int = 8) -> Scheme:
    """The post-training scheme whose activations are ranged by `rule`.

    Raises:
        ConfigError: no such rule, or bits outside 2..8.
    """
    try:
        CALIBRATION_METHODS.get(rule)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(str(error), "--rule") from error
    found = get_scheme("int8-minmax").replace(
        name=f"int{bits}-{rule}",
        weights={"name": "int8", "options": {"bits": weight_bits, "method": "minmax", "channel_axis": 0}},
        activations={"name": "int8", "options": {"bits": bits, "method": rule}},
    )
    for spec in (found.quantization.weights, found.quantization.activations):
        assert isinstance(spec, QuantizerSpec)
        spec.build()
    return found


def calibrated(
    module: QuantModule,
    splits: Splits,
    rule: str,
    *,
    images: int = 512,
    seed: int = 0,
    bits: int = 8,
    weight_bits: int = 8,
) -> nn.Module:
    """A copy of the module's network, quantized with activations ranged by `rule`; arguments as `compare_rules`."""
    chosen = method_scheme(rule, bits, weight_bits)
    copied = copy.deepcopy(module).eval()
    copied.quantize()
    network = apply_scheme(copied.model, chosen)
    calibration.calibrate(network, calibration_images(splits, images, seed).images)
    return network


def compare_methods(
    module: QuantModule,
    splits: Splits,
    rules: Sequence[str] | None = None,
    *,
    images: int = 512,
    sets: int = 5,
    seed: int = 0,
    bits: int = 8,
    weight_bits: int = 8,
) -> list[MethodResult]:
    """Calibrate one trained float32 network by every rule on each of several calibration sets.

    All rules see the same sets: one pass over the images serves them all.

    Args:
        module: built for a post-training scheme that folds BatchNorm, trained, not quantized yet.
        rules: names; None takes all.
        images: of a calibration set, drawn without replacement from the training images.
        sets: how many calibration sets.
        seed: of the first set; the others follow.
        bits, weight_bits: of activations and weights.

    Raises:
        ConfigError: more images than there are, an unknown rule.
    """
    names = list(CALIBRATION_METHODS if rules is None else rules)
    schemes = {rule: method_scheme(rule, bits, weight_bits) for rule in names}
    template = copy.deepcopy(module).eval()
    template.quantize()
    found: dict[str, list[tuple[float, float, dict[str, float]]]] = {rule: [] for rule in names}
    for number in range(sets):
        chosen = calibration_images(splits, images, seed + number).images
        calibration.observe(template.model, chosen)
        statistics = calibration.statistics(template.model)
        for rule in names:
            network = apply_scheme(copy.deepcopy(template.model), schemes[rule])
            calibration.load_statistics(network, statistics)
            with warnings.catch_warnings():
                # The threshold, which is shown, is min-max's then; a line for each set and layer says no more.
                warnings.simplefilter("ignore", DegenerateKLWarning)
                calibration.freeze(network)
            calibration.round_biases(network)
            validation, test = (_accuracy(network, part) for part in (splits.validation, splits.test))
            found[rule].append((validation, test, _thresholds(network)))
    results = []
    for rule, runs in found.items():
        layers = runs[0][2]
        results.append(
            MethodResult(
                rule,
                tuple(run[0] for run in runs),
                tuple(run[1] for run in runs),
                {name: tuple(run[2][name] for run in runs) for name in layers},
            )
        )
    return results


def _accuracy(network: nn.Module, part: Examples) -> float:
    return int((predict(network, part.images) == part.labels).sum()) / len(part)


def _thresholds(network: nn.Module) -> dict[str, float]:
    found = {}
    for name, layer in quant_layers(network):
        if isinstance(layer.input_quantizer, Uniform):
            covered = layer.input_quantizer.covered()
            found[name] = max(float(covered.high.max()), -float(covered.low.min()))
    return found
