"""qbench compares number formats for neural networks on the same data, budget and seeds.

The names that a program needs are attributes of this package, each loaded when it is first asked for: `import qbench`
itself loads neither torch nor Lightning.

>>> from qbench import QuantModule, get_model
>>> module = QuantModule(get_model("digits-mlp").make({}), "binarynet")
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qbench.cost.estimate import Estimate, estimate
    from qbench.data.augmentation.registry import AUGMENTATIONS
    from qbench.data.datamodule import TensorDataModule
    from qbench.data.datasets import DATASETS, Dataset, get_dataset
    from qbench.data.splits import Examples, Splits
    from qbench.deploy.int8.network import IntegerNetwork
    from qbench.deploy.onnx.qdq import export_onnx
    from qbench.deploy.packed.convert import pack
    from qbench.deploy.packed.file import load as load_packed
    from qbench.deploy.packed.file import save as save_packed
    from qbench.deploy.packed.network import PackedNetwork
    from qbench.errors import ConfigError, TrainingError, UserError
    from qbench.nn.activation import ACTIVATIONS, FunctionFacts, register_activation
    from qbench.nn.models.catalogue import MODELS, get_model
    from qbench.nn.models.model import Model
    from qbench.nn.quant_conv2d import QuantConv2d
    from qbench.nn.quant_layer import QuantLayer
    from qbench.nn.quant_linear import QuantLinear
    from qbench.nn.quant_op.base import QuantOp
    from qbench.nn.quant_op.select import register_op
    from qbench.ptq.calibration import calibrate
    from qbench.report.model.report_model import make_report
    from qbench.report.study import read_study
    from qbench.schemes.apply import apply_scheme
    from qbench.schemes.catalogue import SCHEMES, get_scheme
    from qbench.schemes.optimizers.registry import OPTIMIZERS
    from qbench.schemes.schedules import SCHEDULES
    from qbench.schemes.scheme import Scheme
    from qbench.training.losses.catalogue import LOSSES
    from qbench.training.module import QuantModule
    from qbench.training.wrapped_module import WrappedModule
    from qbench.trial.config import TrialConfig
    from qbench.trial.record import TrialRecord
    from qbench.trial.resolved import ResolvedTrial, resolve
    from qbench.trial.result import TrialResult
    from qbench.trial.run import run_trial

_PLACES = {
    "ACTIVATIONS": "qbench.nn.activation",
    "AUGMENTATIONS": "qbench.data.augmentation.registry",
    "ConfigError": "qbench.errors",
    "DATASETS": "qbench.data.datasets",
    "Dataset": "qbench.data.datasets",
    "Estimate": "qbench.cost.estimate",
    "Examples": "qbench.data.splits",
    "FunctionFacts": "qbench.nn.activation",
    "IntegerNetwork": "qbench.deploy.int8.network",
    "LOSSES": "qbench.training.losses.catalogue",
    "MODELS": "qbench.nn.models.catalogue",
    "Model": "qbench.nn.models.model",
    "OPTIMIZERS": "qbench.schemes.optimizers.registry",
    "PackedNetwork": "qbench.deploy.packed.network",
    "QuantConv2d": "qbench.nn.quant_conv2d",
    "QuantLayer": "qbench.nn.quant_layer",
    "QuantLinear": "qbench.nn.quant_linear",
    "QuantModule": "qbench.training.module",
    "QuantOp": "qbench.nn.quant_op.base",
    "ResolvedTrial": "qbench.trial.resolved",
    "SCHEDULES": "qbench.schemes.schedules",
    "SCHEMES": "qbench.schemes.catalogue",
    "Scheme": "qbench.schemes.scheme",
    "Splits": "qbench.data.splits",
    "TensorDataModule": "qbench.data.datamodule",
    "TrainingError": "qbench.errors",
    "TrialConfig": "qbench.trial.config",
    "TrialRecord": "qbench.trial.record",
    "TrialResult": "qbench.trial.result",
    "UserError": "qbench.errors",
    "WrappedModule": "qbench.training.wrapped_module",
    "apply_scheme": "qbench.schemes.apply",
    "calibrate": "qbench.ptq.calibration",
    "estimate": "qbench.cost.estimate",
    "export_onnx": "qbench.deploy.onnx.qdq",
    "get_dataset": "qbench.data.datasets",
    "get_model": "qbench.nn.models.catalogue",
    "get_scheme": "qbench.schemes.catalogue",
    "load_packed": "qbench.deploy.packed.file:load",
    "make_report": "qbench.report.model.report_model",
    "pack": "qbench.deploy.packed.convert",
    "read_study": "qbench.report.study",
    "register_activation": "qbench.nn.activation",
    "register_op": "qbench.nn.quant_op.select",
    "resolve": "qbench.trial.resolved",
    "run_trial": "qbench.trial.run",
    "save_packed": "qbench.deploy.packed.file:save",
}
"""Public name -> its module, with the name that it has there where that is another one."""

__all__ = [
    "ACTIVATIONS",
    "AUGMENTATIONS",
    "DATASETS",
    "LOSSES",
    "MODELS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SCHEMES",
    "ConfigError",
    "Dataset",
    "Estimate",
    "Examples",
    "FunctionFacts",
    "IntegerNetwork",
    "Model",
    "PackedNetwork",
    "QuantConv2d",
    "QuantLayer",
    "QuantLinear",
    "QuantModule",
    "QuantOp",
    "ResolvedTrial",
    "Scheme",
    "Splits",
    "TensorDataModule",
    "TrainingError",
    "TrialConfig",
    "TrialRecord",
    "TrialResult",
    "UserError",
    "WrappedModule",
    "apply_scheme",
    "calibrate",
    "estimate",
    "export_onnx",
    "get_dataset",
    "get_model",
    "get_scheme",
    "load_packed",
    "make_report",
    "pack",
    "read_study",
    "register_activation",
    "register_op",
    "resolve",
    "run_trial",
    "save_packed",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module, or read the installed version."""
    if name == "__version__":
        return version("qbench")  # when it is asked for: a checkout that is not installed has none
    if name not in _PLACES:
        raise AttributeError(f"module 'qbench' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    found = globals()[name] = getattr(import_module(module), attribute or name)
    return found


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
