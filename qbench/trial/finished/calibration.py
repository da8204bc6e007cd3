"""Calibration methods tried on a finished trial's network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qbench.data.splits import Splits
from qbench.ptq.method_comparison import MethodResult, calibrated, compare_methods
from qbench.ptq.quantization_report import IMAGES, QuantizationReport, report_quantization
from qbench.training.scheme_module import SchemeModule
from qbench.trial.finished.module import open_float_module
from qbench.trial.record import TrialRecord
from qbench.trial.trial_data import dataset_of


def compare_trial(record: TrialRecord, methods: Sequence[str] | None = None, **options: Any) -> list[MethodResult]:
    """Compare calibration methods on a finished trial's network and its own data, as `compare_methods` does.

    Raises:
        ConfigError, UserError: as `open_float_module`.
    """
    module, splits = _opened(record)
    return compare_methods(module, splits, methods, seed=record.config.split_seed, **options)


def report_calibrated_trial(record: TrialRecord, method: str, **options: Any) -> QuantizationReport:
    """Report on the layers of a finished trial's network under one calibration method.

    Raises:
        ConfigError, UserError: as `open_float_module`.
    """
    module, splits = _opened(record)
    network = calibrated(module, splits, method, seed=record.config.split_seed, **options)
    some = splits.validation.first(IMAGES)
    return report_quantization(network, some.images, some.labels)


def _opened(record: TrialRecord) -> tuple[SchemeModule, Splits]:
    config = record.config
    return open_float_module(record), dataset_of(config).splits(config.split_seed, config.data)
