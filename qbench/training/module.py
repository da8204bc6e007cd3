"""QuantModule: any classifier, quantized by a scheme, as a LightningModule."""

from __future__ import annotations

from functools import partial
from math import isfinite
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from qbench.errors import ConfigError, TrainingError
from qbench.nn.folding import fold_batch_norms
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.schemes.apply import apply_scheme, default_activation_quantizer, default_weight_quantizer
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import initialize
from qbench.schemes.scheme import Scheme
from qbench.schemes.structure import check_structure
from qbench.training.first_batch import FirstBatch, InputShape, example_shape
from qbench.training.latent_clip import clip_after_steps
from qbench.training.learning_rate import decay_per_epoch, first_and_last
from qbench.training.loop_module import LoopModule
from qbench.training.loss import squared_hinge
from qbench.training.parameter_groups import parameter_groups
from qbench.training.shift_adamax import ShiftAdaMax, halving
from quantizers import Quantizer


class QuantModule(LoopModule):
    """A classifier whose network is quantized by a scheme and trained as that scheme's recipe says.

    It runs in a plain `pl.Trainer`. To try a new quantizer, override one method:

    >>> class MyModule(QuantModule):
    ...     def weight_quantizer(self, layer):
    ...         return MyQuantizer() if layer.position > 0 else None

    Training: squared hinge loss; the scheme's optimizer, learning rate and its decay per epoch; updates of quantized
    layers scaled as the scheme says; after each optimizer step the latent weights are clipped. A post-training scheme
    trains the float network; `quantize` and `qbench.calibrate` then quantize it.

    A trial trains it in a short loop, which calls the steps `start_epoch`, `loss`, `clip_latents` and `check_finite`.
    Overrides of these may use `current_epoch`, `global_step`, `logger`, `log` and `log_dict` in either loop. A subclass
    that overrides a hook of Lightning's is trained by a `pl.Trainer` instead (`qbench.training.fit`).

    Args:
        model: maps [B, ...] to scores [B, classes]; quantized in place.
        scheme: a `Scheme` or a registered scheme's name.
        input_shape: of one example, without the batch, or a batch of examples (token ids, say). None takes that of the
            model's `example_input_array`, or learns it at the first batch; what the scheme asks of the network's
            structure is checked as soon as it is known.
        classes: of the data.
        learning_rate: the initial learning rate; None takes the scheme's.
        learning_rate_end: after the last epoch; None keeps the scheme's ratio of the last to the initial rate.
        seed: of the latent weights and the stochastic quantizers.

    Attributes:
        input_shape: as given or learned; None before the first batch.
        learning_rate, learning_rate_end: in the first epoch, and after the last one.

    Raises:
        ConfigError: a model that cannot be quantized; a learning_rate_end where the scheme halves the rate.
        TrainingError: after an epoch whose mean loss or a parameter is infinite or NaN.

    Logs: `train/loss`, `val/accuracy`, `test/accuracy` (fractions) per epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        scheme: Scheme | str = "binarynet",
        *,
        input_shape: InputShape | None = None,
        classes: int = 10,
        learning_rate: float | None = None,
        learning_rate_end: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.scheme = get_scheme(scheme) if isinstance(scheme, str) else scheme
        self.seed = seed
        self.learning_rate, self.learning_rate_end = first_and_last(self.scheme, learning_rate, learning_rate_end)
        self.model = model
        self.input_shape = example_shape(model) if input_shape is None else input_shape
        self._first_batch: FirstBatch | None = None
        self._layers: list[QuantLayer] | None = None  # found at the first step: walking the model takes time
        self._quantize_for_training()
        self._initialize()
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")
        self._losses: list[Tensor] = []
        clip_after_steps(self, self.clip_latents)

    @staticmethod
    def wrap(
        module: pl.LightningModule,
        scheme: Scheme | str,
        *,
        input_shape: InputShape | None = None,
        network: str = "model",
        classes: int = 10,
        seed: int = 0,
    ) -> pl.LightningModule:
        """Quantize the network of someone else's LightningModule in place, and return that module.

        It trains by its own recipe, in any `pl.Trainer`: its steps, losses, metrics and optimizers stay as they are.
        Its new attribute `qbench` is a `WrappedModule`, which holds arguments and errors, and whose `quantize` finishes
        a post-training scheme.

        >>> module = QuantModule.wrap(LitNet(), "binarynet", input_shape=(3, 32, 32), network="net")
        >>> pl.Trainer(max_epochs=5).fit(module, data)
        """
        from qbench.training.wrapped_module import WrappedModule  # a QuantModule itself

        return WrappedModule(
            module, scheme, input_shape=input_shape, network=network, classes=classes, seed=seed
        ).theirs

    # The two methods that a new quantizer overrides.

    def weight_quantizer(self, layer: QuantLayer) -> Quantizer | None:
        """Return the quantizer of `layer`'s weights, None for float32; by default the scheme's."""
        return default_weight_quantizer(self.scheme)(layer)

    def activation_quantizer(self, layer: QuantLayer) -> Quantizer | None:
        """Return the quantizer of `layer`'s input, None for float32; by default the scheme's."""
        return default_activation_quantizer(self.scheme)(layer)

    def quantize(self) -> None:
        """Give every layer its quantizers; a post-training scheme's are then to be calibrated.

        BatchNorm is folded first, where the scheme says so.

        Raises:
            ConfigError: the network cannot be quantized so, or the scheme folds and the input's shape is not known.
        """
        if self.scheme.folds_batch_norm:
            if self.input_shape is None:
                raise ConfigError(
                    f"{self.scheme.name} folds BatchNorms, whose place only an execution shows: give QuantModule the "
                    "input_shape of one example, without the batch, or let the network see a batch first",
                    "input_shape",
                )
            fold_batch_norms(self.model, self.input_shape)
        self._layers = None
        apply_scheme(
            self.model,
            self.scheme,
            input_shape=self.input_shape,
            seed=self.seed,
            weight_quantizer=self.weight_quantizer,
            activation_quantizer=self.activation_quantizer,
        )
        self._expect_batch(self.scheme)

    def _quantize_for_training(self) -> None:
        """Give the network the form in which it trains: quantized, or that in which it will be quantized afterwards."""
        if self.scheme.post_training is None:
            self.quantize()
            return
        trained = self.scheme.training_scheme()
        apply_scheme(self.model, trained, input_shape=self.input_shape)
        # What cannot be quantized is refused now, not after the training: but for quantizers that only a method names.
        asked = trained if self._chooses_quantizers() else self.scheme
        if self.input_shape is not None:
            check_structure(self.model, asked, self.input_shape)
        self._expect_batch(asked)

    def _chooses_quantizers(self) -> bool:
        """Whether a subclass decides the layers' quantizers, and not the scheme alone."""
        names = ("weight_quantizer", "activation_quantizer")
        return any(getattr(type(self), name) is not getattr(QuantModule, name) for name in names)

    def _initialize(self) -> None:
        """Draw the initial weights, where the scheme says so."""
        initialize(self.model, self.scheme, self.seed)

    def _expect_batch(self, applied: Scheme) -> None:
        """Check the structure at the first batch, where the input's shape is not known before it."""
        if self._first_batch is not None:
            self._first_batch.cancel()
        if self.input_shape is None:
            self._first_batch = FirstBatch(self.model, partial(self._see_batch, applied))

    def _see_batch(self, applied: Scheme, input_shape: InputShape) -> None:
        self.input_shape = input_shape
        check_structure(self.model, applied, input_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        return self.model(x)

    # What one step and one epoch are made of. The short loop calls these; so do Lightning's hooks below.

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Prepare for the training steps of epoch `epoch` (from 0) of `epochs`: relax the quantizers, or no longer."""
        if self.scheme.recipe.relaxed_share:
            for module in self.modules():
                if isinstance(module, Quantizer):
                    module.set_relaxed(epoch < self.scheme.recipe.relaxed_share * epochs)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the training loss of a batch: squared hinge."""
        return squared_hinge(self.model(images), labels)

    def clip_latents(self) -> None:
        """Bound the latent weights as their quantizers say; called after each optimizer step."""
        if self._layers is None:
            self._layers = [layer for _, layer in quant_layers(self.model)]
        for layer in self._layers:
            layer.clip_latent_()

    def check_finite(self, losses: list[Tensor], epoch: int) -> float | None:
        """Return the mean of an epoch's losses, None where there are none; called after the epoch's last step.

        In distributed training it is the mean of all processes, which so go on or stop together.

        Raises:
            TrainingError: the mean or a parameter is infinite or NaN.
        """
        # A NaN weight or threshold still binarizes to -1: the loss alone would not show it.
        broken = [name for name, value in self.named_parameters() if not bool(value.isfinite().all())]
        if broken:
            raise _diverged(f"parameter {broken[0]}", epoch)
        loss = float(_mean_of_processes(torch.stack(losses).mean())) if losses else None
        if loss is not None and not isfinite(loss):
            raise _diverged("training loss", epoch)
        return loss

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the scheme's optimizer over `parameter_groups`.

        Raises:
            ConfigError: every parameter is frozen.
        """
        groups = self.parameter_groups()
        if not groups:
            raise ConfigError(f"every parameter of {type(self.model).__name__} is frozen: nothing is to be trained")
        if self.scheme.recipe.optimizer == "adam":
            return torch.optim.Adam(groups, fused=True)
        if self.scheme.recipe.optimizer == "sgd":
            return torch.optim.SGD(groups, fused=True)
        return ShiftAdaMax(groups)

    def make_scheduler(self, optimizer: torch.optim.Optimizer, epochs: int) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the scheme's decay of the learning rate, to be stepped after each of `epochs` epochs."""
        if self.scheme.recipe.halve_every is not None:
            return halving(optimizer, self.scheme.recipe.halve_every)
        decay = decay_per_epoch(self.learning_rate, self.learning_rate_end, epochs)
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)

    def rate_after(self, epochs: int) -> float:
        """Return the learning rate after a training of `epochs` epochs."""
        if self.scheme.recipe.halve_every is not None:
            return self.learning_rate * 0.5 ** (epochs // self.scheme.recipe.halve_every)
        return self.learning_rate_end

    # Lightning's hooks.

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's losses, and start the epoch."""
        self._losses.clear()
        self.start_epoch(self.current_epoch, self._epochs())

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the batch's loss."""
        loss = self.loss(*batch)
        self._losses.append(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss."""
        # Logged once an epoch: a `self.log` in every step costs as much as a small network's step. A subclass with a
        # training_step of its own logs for itself.
        loss = self.check_finite(self._losses, self.current_epoch)
        if loss is not None:
            self.log("train/loss", loss, sync_dist=True)  # the same on all ranks; Lightning warns without

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count and log the right predictions."""
        images, labels = batch
        self.val_accuracy(self.model(images), labels)
        self.log("val/accuracy", self.val_accuracy)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count and log the right predictions."""
        images, labels = batch
        self.test_accuracy(self.model(images), labels)
        self.log("test/accuracy", self.test_accuracy)

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the predicted classes, int64 [B]."""
        return self.model(batch[0]).argmax(1)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the scheme's optimizer, and its decay of the learning rate."""
        optimizer = self.make_optimizer()
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer, self._epochs())}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trainable parameters with their learning rates: see `qbench.training.parameter_groups`."""
        return parameter_groups(self, self.scheme.recipe, self.learning_rate)

    def _epochs(self) -> int:
        """Return the Trainer's number of epochs; a ValueError where it is unbounded."""
        epochs = self.trainer.max_epochs
        if epochs is None or epochs < 0:
            raise ValueError("the learning rate decays over a known number of epochs: give the Trainer max_epochs")
        return epochs


def _mean_of_processes(value: Tensor) -> Tensor:
    """Return the mean of what the processes of a distributed training have; `value` itself where there is one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def _diverged(place: str, epoch: int) -> TrainingError:
    """Return the error for what became infinite or NaN in epoch `epoch`, from 0."""
    return TrainingError(f"{place} became infinite or NaN in epoch {epoch + 1}; try a lower learning_rate")
