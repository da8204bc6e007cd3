"""QuantModule: any classifier, quantized by a scheme, as a LightningModule."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import currentframe
from math import isfinite
from typing import Any, Self

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.cloud_io import _load as read_checkpoint
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from qbench.data.classification import check_scores, predicted_classes
from qbench.errors import ConfigError, TrainingError
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import initialize
from qbench.schemes.optimizers.registry import build_optimizer
from qbench.schemes.scheme import Scheme
from qbench.training.batch_images import check_labelled, images_of
from qbench.training.first_batch import InputShape
from qbench.training.hyperparameters import constructor_arguments, loading_arguments, split
from qbench.training.latent_clip import clip_after_steps
from qbench.training.learning_rate import first_and_last
from qbench.training.losses.catalogue import build_loss, needs_teacher
from qbench.training.mean_loss import MeanLoss
from qbench.training.module_checkpoint import SCHEME_KEY, as_another_network, keep_scheme, named_as
from qbench.training.parameter_groups import parameter_groups
from qbench.training.planned_epochs import planned_epochs
from qbench.training.rates_asked import check_decays
from qbench.training.recipe_schedule import as_scheme_options, make_schedule, rate_after
from qbench.training.scheme_module import SchemeModule
from qbench.training.teacher import Teacher
from qbench.training.validation import scores_and_loss
from qbench.training.wrapped_module import WrappedModule


class QuantModule(SchemeModule):
    """A classifier whose network is quantized by a scheme and trained as that scheme's recipe says.

    It runs in a plain `pl.Trainer`. To try a new quantizer, override one method:

    >>> class MyModule(QuantModule):
    ...     def weight_quantizer(self, layer):
    ...         return MyQuantizer() if layer.position > 0 else None

    Training: the scheme's loss, optimizer, learning rate and its schedule by epoch; updates of quantized
    layers scaled as the scheme says; after each optimizer step the latent weights are clipped. A post-training scheme
    trains the float network; `quantize` and `qbench.calibrate` then quantize it.

    A trial trains it in a short loop, which calls the steps `start_epoch`, `loss`, `clip_latents` and `check_finite`.
    Overrides of these may use `current_epoch`, `global_step`, `logger`, `log` and `log_dict` in either loop. A subclass
    that overrides a hook of Lightning's is trained by a `pl.Trainer` instead (`qbench.training.fit`).

    Every step runs the network through `forward`, so that one of a subclass's own counts. A checkpoint keeps the scheme
    and the plain arguments of the constructor, a subclass's as well: see `load_from_checkpoint`.

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
        teacher: the trained network that a distilling loss compares with; no part of the module, nor of its state.

    Attributes:
        input_shape: as given or learned; None before the first batch.
        recipe_loss: the scheme's loss (`qbench.training.losses`).
        learning_rate, learning_rate_end: in the first epoch, and after the last one.

    Raises:
        ConfigError: a model that cannot be quantized; a learning_rate_end where the scheme halves the rate.
        TrainingError: after an epoch whose mean loss or a parameter is infinite or NaN.

    Logs: `train/loss`, `val/loss`, `val/accuracy`, `test/loss`, `test/accuracy` (fractions) per epoch; no `val/loss` or
    `test/loss` where the loss compares with a teacher and the module has none.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Remember the arguments, a subclass's own among them, for the checkpoints."""
        module = super().__new__(cls)
        object.__setattr__(module, "_built_with", (args, options))
        return module

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
        teacher: nn.Module | None = None,
    ) -> None:
        chosen = get_scheme(scheme) if isinstance(scheme, str) else scheme
        rates = first_and_last(chosen, learning_rate, learning_rate_end)  # refused before the model is changed
        with as_scheme_options():
            loss = build_loss(chosen.recipe.loss, classes)
        super().__init__(model, chosen, input_shape=input_shape, seed=seed)
        self.learning_rate, self.learning_rate_end = rates
        self.recipe_loss = loss
        self._check_loss_is_used()
        self.set_teacher(teacher)
        initialize(model, self.scheme, seed)
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")
        self._val_loss, self._test_loss = MeanLoss(), MeanLoss()
        self._losses: list[Tensor] = []
        clip_after_steps(self, self.clip_latents)
        keep_scheme(self, self)
        self._keep_arguments({"model": model, "scheme": scheme, "teacher": teacher})

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
        return WrappedModule(
            module, scheme, input_shape=input_shape, network=network, classes=classes, seed=seed
        ).theirs

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **arguments: Any,
    ) -> Self:
        """Return the module of a checkpoint: scheme, input shape, classes, rates, seed, weights, calibration.

        >>> module = QuantModule.load_from_checkpoint("best.ckpt", model=network)

        A post-training scheme that was quantized is quantized again, and has the checkpoint's scales.

        Args:
            checkpoint_path, map_location, hparams_file, strict, weights_only: as Lightning's.
            arguments: of the constructor: `model`, the network that was trained, freshly built, and whatever else a
                checkpoint does not keep because it is no plain value. Others take the place of those that it keeps.

        Raises:
            ConfigError: an argument that is missing; another network or scheme, or layers with other quantizers, than
                it was trained with; a dotted path in the checkpoint's scheme that leads to no class of quantizers,
                modules, optimizers or schedules that is imported: give `scheme`.
        """
        if hparams_file is None:
            held = read_checkpoint(checkpoint_path, map_location="meta", weights_only=weights_only)
            if hasattr(checkpoint_path, "seek"):
                checkpoint_path.seek(0)
            kept = held.get(cls.CHECKPOINT_HYPER_PARAMS_KEY, {})
            arguments = loading_arguments(cls, kept, held.get(SCHEME_KEY, {}).get("left_out", {}), arguments)
        with as_another_network():
            return super().load_from_checkpoint(
                checkpoint_path, map_location, hparams_file, strict, weights_only, **arguments
            )

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a state as every module does; under whatever names torch.compile has given to parts of either."""
        return super().load_state_dict(named_as(self, state_dict), strict=strict, assign=assign)

    def save_hyperparameters(self, *args: Any, ignore: Any = None, frame: Any = None, logger: bool = True) -> None:
        """Save hyperparameters as every LightningModule does, but for the network, whose weights a checkpoint has."""
        ignored = ["model", *([ignore] if isinstance(ignore, str) else ignore or [])]
        here = currentframe()
        caller = here.f_back if frame is None and here is not None else frame
        super().save_hyperparameters(*args, ignore=ignored, frame=caller, logger=logger)

    def _check_loss_is_used(self) -> None:
        """Refuse a teacher that would be trained for nothing."""
        if needs_teacher(self.recipe_loss) and type(self).loss_of_scores is not QuantModule.loss_of_scores:
            raise ConfigError(
                f"{type(self).__name__}.loss_of_scores takes the place of the loss {self.scheme.recipe.loss}, which "
                "needs a teacher and would not be called: override loss or batch_loss in its stead",
                "scheme_options.loss",
            )

    def _keep_arguments(self, given: Mapping[str, Any]) -> None:
        """Make hyperparameters of the constructor's plain arguments; `given` are those that QuantModule's own got."""
        args, options = vars(self).pop("_built_with", ((), {}))
        arguments = constructor_arguments(self, args, options, given)
        if arguments.get("scheme") is given["scheme"]:
            arguments["scheme"] = self.scheme
        if arguments.get("teacher") is given["teacher"]:
            arguments.pop("teacher", None)  # a trained module needs none, and training asks for it
        kept, self.left_out = split(arguments)
        self.hparams.update(kept)

    # What one step and one epoch are made of. The short loop calls these; so do Lightning's hooks below.

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the training loss of a batch, [].

        Where a subclass overrides it, validation and tests call it too, without gradients: `self.training` is False
        then, and what it logs is dropped.

        Raises:
            ScoresError: the network gives no scores [B, classes].
            DataError: labels that are not int64 [B].
        """
        scores = self.scores(images)
        check_scores(scores, labels)
        return self.batch_loss(scores, images, labels)

    def batch_loss(self, scores: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch whose scores are known: `loss_of_scores`, or the recipe's with its teacher.

        Raises:
            ConfigError: a loss that needs a teacher, and there is none.
        """
        if not needs_teacher(self.recipe_loss):
            return self.loss_of_scores(scores, labels)
        if self._teacher is None:
            raise ConfigError(
                f"the loss {self.scheme.recipe.loss} compares with a teacher: give {type(self).__name__} the trained "
                "network as teacher=, or set_teacher(network)",
                "teacher",
            )
        loss: Tensor = self.recipe_loss(scores, labels, self._teacher.scores(images))
        return loss

    def loss_of_scores(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores [B, classes] and labels [B]: the recipe's.

        Raises:
            ConfigError: that needs a teacher's scores, which only `batch_loss` gives.
        """
        if needs_teacher(self.recipe_loss):
            raise ConfigError(
                f"the loss {self.scheme.recipe.loss} needs a teacher's scores: call batch_loss(scores, images, labels)",
                "scheme_options.loss",
            )
        return self.recipe_loss(scores, labels)

    @property
    def knows_its_loss(self) -> bool:
        """Whether `batch_loss` has what it needs: not without a teacher, where it compares with one."""
        return self._teacher is not None or not needs_teacher(self.recipe_loss)

    def set_teacher(self, network: nn.Module | None) -> None:
        """Let a distilling loss compare with this network: in evaluation mode, frozen, no part of the module."""
        self._teacher = None if network is None else Teacher(network)

    def scores(self, images: Tensor) -> Tensor:
        """Return the scores that `forward` gives for a batch, [B, classes]; errors as there."""
        self.check_calibrated()
        found: Tensor = self(images)
        return found

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
            ConfigError: every parameter is frozen; an optimizer that refuses its options or the parameters, or that has
                no weight decay where a quantizer asks for one.
        """
        groups = self.parameter_groups()
        if not groups:
            raise ConfigError(f"every parameter of {type(self.model).__name__} is frozen: nothing is to be trained")
        with as_scheme_options():
            optimizer = build_optimizer(self.scheme.recipe.optimizer, groups)
        check_decays(self, optimizer)
        return optimizer

    def make_scheduler(self, optimizer: torch.optim.Optimizer, epochs: int) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the scheme's schedule of the learning rate, to be stepped after each of `epochs` epochs.

        Raises:
            ConfigError: see `qbench.training.recipe_schedule.make_schedule`.
        """
        return make_schedule(self.scheme.recipe, optimizer, epochs, self.learning_rate, self.learning_rate_end)

    def rate_after(self, epochs: int) -> float:
        """Return the learning rate after a training of `epochs` epochs."""
        return rate_after(self.scheme.recipe, epochs, self.learning_rate, self.learning_rate_end)

    # Lightning's hooks.

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's losses, and start the epoch."""
        self._losses.clear()
        self.start_epoch(self.current_epoch, planned_epochs(self.trainer))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the batch's loss; raises DataError for labels of no class, where they are on the CPU."""
        check_labelled(batch, self.val_accuracy.num_classes)
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
        """Log the right predictions and the loss."""
        images, labels = batch
        check_labelled(batch, self.val_accuracy.num_classes)
        scores, loss = scores_and_loss(self, images, labels)
        self.val_accuracy(scores, labels)
        self.log("val/accuracy", self.val_accuracy)
        if loss is not None:
            self._val_loss.update(loss, len(labels))
            self.log("val/loss", self._val_loss)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the right predictions and the loss."""
        images, labels = batch
        check_labelled(batch, self.test_accuracy.num_classes)
        scores, loss = scores_and_loss(self, images, labels)
        self.test_accuracy(scores, labels)
        self.log("test/accuracy", self.test_accuracy)
        if loss is not None:
            self._test_loss.update(loss, len(labels))
            self.log("test/loss", self._test_loss)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the predicted classes, int64 [B], of a batch of images, or of a tuple that begins with them.

        Raises:
            ConfigError: a batch of another kind.
        """
        scores = self.scores(images_of(batch))
        check_scores(scores)
        return predicted_classes(scores)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the scheme's optimizer, and its decay of the learning rate."""
        optimizer = self.make_optimizer()
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer, planned_epochs(self.trainer))}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trainable parameters with their learning rates: see `qbench.training.parameter_groups`."""
        return parameter_groups(self, self.scheme.recipe, self.learning_rate)


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
