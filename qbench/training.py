"""One trial, from its configuration to its figures."""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from filelock import FileLock
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

import cuda_ext
from qbench import calibration
from qbench.bias_correction import correct_biases
from qbench.blocks import UnsupportedStructureError
from qbench.data import Examples, Source, Splits, TensorDataModule, source
from qbench.data.datamodule import EVALUATION_BATCH
from qbench.errors import ConfigError, TrainingError, UserError
from qbench.estimate import estimate_network, trace
from qbench.integer import agreement
from qbench.layer_report import report_layers
from qbench.layers import quant_layers
from qbench.models import Model, model
from qbench.module import QuantModule
from qbench.schemes import Scheme, scheme
from qbench.seeds import derive
from qbench.trial import TrialConfig, code_digest, digest, source_digest
from qbench.weights import flat_state, load_state, load_tensors, save_tensors
from quantizers import BINARY, QUANTIZERS, MovingAverageUniform, Quantizer, Uniform
from quantizers.registry import import_dotted

OnEpoch = Callable[[int, int], None]
# Packages whose code the version or `code_digest` stands for, or that a plug-in's classes are made of.
_KNOWN_PACKAGES = sys.stdlib_module_names | {
    *("qbench", "quantizers", "cuda_ext"),
    *("torch", "pytorch_lightning", "lightning_fabric"),
}


@dataclass(frozen=True)
class Parts:
    """What a configuration's names stand for."""

    config: TrialConfig
    scheme: Scheme
    model: Model
    source: Source
    module: type[QuantModule]

    @property
    def epochs(self) -> int:
        """Epochs that the scheme trains for within the budget."""
        return self.config.epochs * self.scheme.epoch_factor

    def plugins(self) -> set[str]:
        """Modules outside the project whose code this trial runs: those that define its parts and their bases."""
        parts = [self.model.build, self.source.load, self.module]
        parts += [QUANTIZERS.get(spec.name) for spec in self.scheme.specs]
        modules: set[str] = set()
        for part in parts:
            found: Any = part
            while isinstance(found, functools.partial):
                found = found.func
            bases = found.__mro__ if isinstance(found, type) else (found,)
            modules |= {base.__module__ for base in bases if hasattr(base, "__module__")}
        return {name for name in modules if name.partition(".")[0] not in _KNOWN_PACKAGES}

    @property
    def overrides_quantizers(self) -> bool:
        """Whether the module, and not the scheme alone, decides the layers' quantizers."""
        own, base = self.module, QuantModule
        return (
            own.weight_quantizer is not base.weight_quantizer
            or own.activation_quantizer is not base.activation_quantizer
            or own.quantize is not base.quantize
        )

    def build(self) -> QuantModule:
        """The module before training; a function of the configuration."""
        torch.manual_seed(derive(self.config.seed, "network"))
        return self.module(
            self.model.make(self.config.model_options),
            self.scheme,
            classes=self.source.classes,
            learning_rate=self.config.learning_rate,
            learning_rate_end=self.config.learning_rate_end,
            seed=self.config.seed,
        )


def resolve(config: TrialConfig) -> Parts:
    """Look up a configuration's names and try its options.

    Raises:
        ConfigError: an unknown name (with the nearest) or option, or parts that do not fit together.
    """
    parts = Parts(
        config,
        scheme(config.scheme, **config.scheme_options),
        model(config.model),
        source(config.data),
        _module(config.module),
    )
    if parts.model.input_shape != parts.source.input_shape or parts.model.classes != parts.source.classes:
        raise ConfigError(
            f"{config.model!r} takes {parts.model.input_shape} and gives {parts.model.classes} classes, "
            f"data {config.data!r} has {parts.source.input_shape} and {parts.source.classes}",
            "model",
        )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device is available to torch; use 'cpu'", "device")
    return parts


def check(config: TrialConfig) -> None:
    """Build the trial as `run_trial` will, without data, and forget it.

    Raises:
        ConfigError: names, options or parts that `run_trial` could not use.
    """
    parts = resolve(config)
    post_training = parts.scheme.stage == "post-training"
    if post_training:
        calibration_images(parts.source.load(config.split_seed), config.calibration_images, config.split_seed)
    with torch.random.fork_rng(devices=[]):
        module = parts.build()
        if post_training:
            module.quantize()
        else:
            _check_trains(module)
        _check_signs(module.model, parts.model.input_shape)


def _check_trains(module: QuantModule) -> None:
    """A quantizer that only calibration makes ready would pass float values through a whole training."""
    for name, layer in quant_layers(module.model):
        for field, quantizer in (("weights", layer.weight_quantizer), ("activations", layer.input_quantizer)):
            if isinstance(quantizer, Uniform) and not isinstance(quantizer, MovingAverageUniform):
                raise ConfigError(
                    f"{name}: {type(quantizer).__name__} needs calibration, which schemes have whose stage is "
                    "'post-training'; int8_qat and lsq train with quantization",
                    f"scheme_options.{field}",
                )


@torch.no_grad()
def _check_signs(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    """A ReLU in front of a sign makes every activation +1; one that the scheme could not replace is found here."""
    negative: dict[str, bool] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            negative[name] = negative.get(name, False) or bool((inputs[0] < 0).any())

        return hook

    binary = [(name, layer) for name, layer in quant_layers(network) if layer.input_format == BINARY]
    handles = [layer.register_forward_pre_hook(look(name)) for name, layer in binary]
    try:
        generator = torch.Generator().manual_seed(0)
        network.eval()(torch.randn(16, *input_shape, generator=generator))
    finally:
        for handle in handles:
            handle.remove()
    for name, seen in negative.items():
        if not seen:
            raise ConfigError(
                f"{name}: its binary input is never negative, so every sign would be +1: the model applies a ReLU "
                "that is no nn.ReLU or Activation module, which a scheme can replace",
                "model",
            )


def _module(path: str | None) -> type[QuantModule]:
    if path is None:
        return QuantModule
    try:
        found: Any = import_dotted(path)
    except (ImportError, AttributeError) as error:
        raise ConfigError(str(error), "module") from error
    if not (isinstance(found, type) and issubclass(found, QuantModule)):
        raise ConfigError(f"{path!r} is no subclass of QuantModule", "module")
    return found


def trial_id(config: TrialConfig) -> str:
    """Identity of a trial's result: its configuration, its scheme, the code and the plug-ins that produce it."""
    parts = resolve(config)
    return digest(config.model_dump(), parts.scheme.model_dump(), code_digest(), source_digest(parts.plugins()))


def training_key(config: TrialConfig) -> str:
    """Identity of a trial's training: equal for trials that differ only in what happens after it."""
    parts = resolve(config)
    # Without names and calibration: what is not quantized in training trains as fp32 does. (What evaluation uses
    # counts, for it decides which epoch is the best.)
    fields = config.model_dump(exclude={"scheme", "scheme_options", "calibration_images"})
    trained = parts.scheme.training_scheme().model_dump(exclude={"name", "description"})
    # A module that overrides quantizers does so in training, or after it.
    stage = parts.scheme.stage if parts.overrides_quantizers else None
    return digest(fields, trained, stage, code_digest(), source_digest(parts.plugins()))


@dataclass(frozen=True)
class TrialResult:
    """A trial's figures.

    Attributes:
        row: configuration keys, `trial_id`, `training_key`, `shared` and the figures, one level, plain values.
        predictions: the predicted class of each test image, in the split's order.
        labels: the true ones.
    """

    row: dict[str, Any]
    predictions: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Trained:
    """A trained network's state and how it came about.

    Attributes:
        state: of the epoch with the best validation accuracy (the first of equals).
        epoch: that epoch, counted from 1.
        loss: mean training loss of the last epoch; None where the module logs none.
        seconds: of the training, with validation after each epoch.
        shared: another trial trained it.
    """

    state: dict[str, Tensor]
    epoch: int
    loss: float | None
    seconds: float
    shared: bool


def run_trial(
    config: TrialConfig, folder: Path, *, logger: Logger | None = None, on_epoch: OnEpoch | None = None
) -> TrialResult:
    """Train (or take over an equal training), quantize, evaluate.

    Args:
        config: the trial.
        folder: `folder/trainings` keeps trained networks; trials with equal `training_key` share one.
            `folder/layers/<trial id>.json` gets the layers' report where layers are integers.
        logger: of the training's history, e.g. a WandbLogger; a shared training has none.
        on_epoch: called after each epoch with the epoch, counted from 1, and their number.

    Raises:
        ConfigError: a configuration that cannot be built.
        TrainingError: the loss became infinite or NaN.
    """
    parts = resolve(config)
    with _threads(config.threads):
        splits = parts.source.load(config.split_seed)
        store = folder / "trainings" / training_key(config)
        store.mkdir(parents=True, exist_ok=True)
        module = parts.build()
        with FileLock(store / "lock"):
            trained = _stored_training(store)
            if trained is None:
                trained = _train(parts, module, splits, logger, on_epoch)
                _store_training(store, trained)
            load_state(module.model, trained.state)
            if parts.scheme.stage == "post-training":
                module.quantize()
                _calibrate(parts, module.model, splits, store)
        module.to("cpu").eval()
        _check_ready(module.model)
        _write_layers(parts, module.model, splits, folder)
        return _evaluate(parts, module, splits, trained)


def trained_module(config: TrialConfig, folder: Path, key: str | None = None) -> QuantModule:
    """The module that a finished trial evaluated: trained, quantized, calibrated, in evaluation mode, on the CPU.

    Args:
        config: the trial's.
        folder: what `run_trial` was given.
        key: the trial's training_key as its row has it; None computes it, which asks for unchanged code.

    Raises:
        ConfigError: a configuration that cannot be built.
        UserError: no trained weights there, or other ones than this code's network has.
    """
    parts, module, store = _load_training(config, folder, key)
    if parts.scheme.stage == "post-training":
        module.quantize()
        _calibrate(parts, module.model, parts.source.load(config.split_seed), store)
    return module.eval()


def float_module(config: TrialConfig, folder: Path, key: str | None = None) -> QuantModule:
    """The float32 network of a finished trial, trained and not quantized, as a module of the scheme int8-minmax.

    Args, raises: as `trained_module`.

    Raises:
        ConfigError: a trial whose training was quantized.
    """
    trained_as = resolve(config).scheme.training_scheme()
    if trained_as.specs:
        raise ConfigError(
            f"{config.scheme} quantizes in training: its network has no float32 form to calibrate", "scheme"
        )
    post_training = config.model_copy(update={"scheme": "int8-minmax", "scheme_options": {}})
    return _load_training(post_training, folder, key or training_key(config))[1].eval()


def _load_training(config: TrialConfig, folder: Path, key: str | None) -> tuple[Parts, QuantModule, Path]:
    """The parts, the module with its trained weights, not quantized after training, and where they are kept."""
    parts = resolve(config.model_copy(update={"device": "cpu"}))
    store = folder / "trainings" / (key or training_key(config))
    trained = _stored_training(store)
    if trained is None:
        raise UserError(f"{store}: holds no trained weights")
    with torch.random.fork_rng(devices=[]):
        module = parts.build()
    try:
        load_state(module.model, trained.state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{store}: was trained by other code, whose network differs: {reason}") from None
    return parts, module, store


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    parts: Parts, module: QuantModule, splits: Splits, logger: Logger | None, on_epoch: OnEpoch | None
) -> Trained:
    config = parts.config
    device = torch.device(config.device)
    data = TensorDataModule(
        Splits(splits.train.to(device), splits.validation.to(device), splits.test), config.batch_size, config.seed
    )
    best = _BestWeights(on_epoch)
    start = time.perf_counter()
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=parts.epochs,
            logger=logger or False,
            callbacks=[best],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic=device.type == "cuda",  # the CPU's kernels are; some CUDA ones must be asked
            log_every_n_steps=1_000_000,
        )
        trainer.fit(module, data)
    if trainer.interrupted:
        raise KeyboardInterrupt
    loss = trainer.callback_metrics.get("train/loss")
    seconds = time.perf_counter() - start
    return Trained(best.state, best.epoch, None if loss is None else float(loss), seconds, shared=False)


class _BestWeights(pl.Callback):
    """Keeps the state of the epoch with the best validation accuracy."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self.accuracy = -1.0
        self.epoch = 0
        self.state: dict[str, Tensor] = {}
        self.on_epoch = on_epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        accuracy = float(trainer.callback_metrics["val/accuracy"])
        if accuracy > self.accuracy:
            self.accuracy, self.epoch = accuracy, trainer.current_epoch + 1
            model = pl_module.model
            assert isinstance(model, nn.Module)
            self.state = {key: tensor.clone() for key, tensor in flat_state(model.state_dict()).items()}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.on_epoch is not None:
            self.on_epoch(trainer.current_epoch + 1, trainer.max_epochs or 0)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's notices on devices and its hints on workers, which say nothing about a trial."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _stored_training(store: Path) -> Trained | None:
    facts = store / "training.json"
    if not facts.exists():
        return None
    known = json.loads(facts.read_text())
    return Trained(
        load_tensors(store / "weights.safetensors"), known["epoch"], known["loss"], known["seconds"], shared=True
    )


def _store_training(store: Path, trained: Trained) -> None:
    save_tensors(trained.state, store / "weights.safetensors")
    # Last, and in one step: its presence says that the weights are whole.
    temporary = store / ".training.json"
    temporary.write_text(json.dumps({"epoch": trained.epoch, "loss": trained.loss, "seconds": trained.seconds}))
    temporary.replace(store / "training.json")


def calibration_images(splits: Splits, count: int, seed: int) -> Examples:
    """`count` training images drawn without replacement by `seed`.

    Raises:
        ConfigError: more images than there are.
    """
    if count > len(splits.train):
        raise ConfigError(f"{count} images of {len(splits.train)} training images", "calibration_images")
    order = torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(derive(seed, "calibration")))
    return splits.train[order[:count]]


def _calibrate(parts: Parts, network: nn.Module, splits: Splits, store: Path) -> None:
    """Calibrate, with one pass over the images for all schemes that observe the same network the same way."""
    config = parts.config
    images = calibration_images(splits, config.calibration_images, config.split_seed).images
    observers = calibration.observer_settings(network)
    key = digest(config.calibration_images, config.split_seed, _observed_network(parts.scheme), observers)
    path = store / f"calibration-{key}.safetensors"
    if path.exists():
        calibration.load_statistics(network, load_tensors(path))
    else:
        calibration.observe(network, images)
        save_tensors(calibration.statistics(network), path)
    calibration.freeze(network, parts.scheme.clip_outliers)
    if parts.scheme.bias_correction:
        network.eval()
        correct_biases(network, images)
    calibration.round_biases(network)


def _observed_network(scheme: Scheme) -> dict[str, Any]:
    """Everything of a scheme that shapes what calibration observes: all but names and the rules, which come after."""
    fields = scheme.model_dump(exclude={"name", "description"})
    for field in ("weights", "activations", "network_input"):
        if fields[field] is not None:
            fields[field]["options"] = {k: v for k, v in fields[field]["options"].items() if k not in _RULE_OPTIONS}
    return fields


_RULE_OPTIONS = ("rule", "rule_options", "power_of_two")


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Predicted classes, int64 [N], of an evaluating network."""
    return torch.cat([network(batch).argmax(1) for batch in images.split(EVALUATION_BATCH)])


@torch.no_grad()
def packed_predictions(network: nn.Module, images: Tensor) -> tuple[Tensor, list[str]] | None:
    """Predictions of packed execution, and the names of its ops; None where no layer runs packed."""
    layers = trace(network, tuple(images.shape[1:]))
    try:
        ops = [traced.layer.pack(traced.geometry) for traced in layers]
        if not any(op.packs for op in ops):
            return None
        return predict(network, images), [op.name for op in ops]
    finally:
        for _, layer in quant_layers(network):
            layer.unpack()


def _check_ready(network: nn.Module) -> None:
    """What is not calibrated passes float values on, and would be reported at the cost of integers."""
    waiting = [name for name, q in network.named_modules() if isinstance(q, Quantizer) and not q.is_ready]
    if waiting:
        raise TrainingError(f"{waiting[0]} was never calibrated: its figures would be those of float values")


def _evaluate(parts: Parts, module: QuantModule, splits: Splits, trained: Trained) -> TrialResult:
    network, test = module.model, splits.test
    predictions = predict(network, test.images)
    validation = predict(network, splits.validation.images)
    float_network = None
    if parts.scheme.fold_batch_norm:
        with torch.random.fork_rng(devices=[]):
            float_network = parts.model.make(parts.config.model_options)
    figures: dict[str, Any] = {
        "test/accuracy": _share(predictions == test.labels),
        "val/accuracy": _share(validation == splits.validation.labels),
        **_execution_figures(network, test.images, predictions),
        "time/train_s": trained.seconds,
        "training/epochs": parts.epochs,
        "training/best_epoch": trained.epoch,
        "training/loss": trained.loss,
        "training/learning_rate_start": module.learning_rate,
        "training/learning_rate_end": module.rate_after(parts.epochs),
        **estimate_network(network, parts.model.input_shape, float_network=float_network).figures(
            parts.config.batch_size
        ),
    }
    identity = {
        "trial_id": trial_id(parts.config),
        "training_key": training_key(parts.config),
        "shared": trained.shared,
    }
    return TrialResult(parts.config.flat() | identity | figures, predictions.tolist(), test.labels.tolist())


def _write_layers(parts: Parts, network: nn.Module, splits: Splits, folder: Path) -> None:
    """`folder/layers/<trial id>.json`: the report of a network whose layers are integers, on validation images."""
    if not any(
        quantizer is not None and quantizer.format.kind == "integer"
        for _, layer in quant_layers(network)
        for quantizer in (layer.weight_quantizer, layer.input_quantizer)
    ):
        return
    report = report_layers(network, splits.validation.images, splits.validation.labels)
    path = folder / "layers" / f"{trial_id(parts.config)}.json"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n")
    temporary.replace(path)


def _execution_figures(network: nn.Module, images: Tensor, predictions: Tensor) -> dict[str, Any]:
    """What runs other than in float32, and how far it agrees with fake-quantized evaluation.

    The chain in integers where the network has one; else layer by layer through the QuantOps, in float between them.
    """
    packed = packed_predictions(network, images)
    figures: dict[str, Any] = {
        "kernel/agreement": None if packed is None else _share(packed[0] == predictions),
        "kernel/execution": None if packed is None else "layers",
        "kernel/ops": None if packed is None else " ".join(packed[1]),
        "int8/equal_outputs": None,
        "int8/within_one": None,
        "int8/no_chain": None,
        "kernel/backend": None if packed is None else cuda_ext.backends()["cpu"].selected,
    }
    if packed is None or "int8" not in packed[1]:
        return figures
    try:
        found = agreement(network, images)
    except UnsupportedStructureError as error:
        return figures | {"int8/no_chain": str(error)}
    return figures | {
        "kernel/agreement": found.predictions,
        "kernel/execution": "integer chain",
        "int8/equal_outputs": found.equal_outputs,
        "int8/within_one": found.within_one,
    }


def _share(equal: Tensor) -> float:
    return int(equal.sum()) / len(equal)
