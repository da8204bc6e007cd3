"""A module whose network a scheme quantizes, however it is trained."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.folding import fold_batch_norms
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.schemes.apply import apply_scheme, default_activation_quantizer, default_weight_quantizer
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme
from qbench.schemes.structure import check_structure
from qbench.training.first_batch import FirstBatch, InputShape, example_shape
from qbench.training.late_parameters import LateParameters
from qbench.training.learned import quantizers_of
from qbench.training.loop_module import LoopModule
from qbench.training.readiness import check_calibrated, check_trains
from quantizers import Quantizer


class SchemeModule(LoopModule):
    """A network that a scheme quantizes, in training or after it: what QuantModule and WrappedModule share.

    The weights stay as they are.

    Args:
        model: quantized in place.
        scheme: a `Scheme` or a registered scheme's name.
        input_shape: of one example, without the batch, or a batch of examples (token ids, say). None takes that of the
            model's `example_input_array`, or learns it at the first batch; what the scheme asks of the network's
            structure is checked as soon as it is known.
        seed: of the stochastic quantizers.

    Attributes:
        input_shape: as given or learned; None before the first batch.
        left_out: arguments of the constructor that a checkpoint cannot keep: the class of each, by name.

    Raises:
        ConfigError: a model that cannot be quantized so; a quantizer that only calibration makes ready, in a scheme
            that quantizes in training.
    """

    def __init__(
        self, model: nn.Module, scheme: Scheme | str, *, input_shape: InputShape | None = None, seed: int = 0
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ConfigError(
                f"expected a network, an nn.Module, got {model!r}; get_model(name).make() builds one by its name",
                "model",
            )
        super().__init__()
        self.scheme = get_scheme(scheme) if isinstance(scheme, str) else scheme
        self.seed = seed
        self.model = model
        self.input_shape = example_shape(model) if input_shape is None else input_shape
        self._first_batch: FirstBatch | None = None
        self._has_quantized = False
        self.left_out: dict[str, str] = {}
        self._late_parameters: LateParameters | None = None
        self._layers: list[QuantLayer] | None = None  # found at the first step: walking the model takes time
        self._quantize_for_training()

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
        self._has_quantized = True
        self._expect_batch(self.scheme)

    @property
    def is_quantized(self) -> bool:
        """Whether the layers have their quantizers: of a post-training scheme only after `quantize`."""
        return self._has_quantized or any(layer.is_quantized for _, layer in quant_layers(self.model))

    def _quantize_for_training(self) -> None:
        """Give the network the form in which it trains: quantized, or that in which it will be quantized afterwards."""
        if self.scheme.post_training is None:
            self.quantize()
            check_trains(self.model, self.scheme)
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
        return any(getattr(type(self), name) is not getattr(SchemeModule, name) for name in names)

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
        """Return the scores, [B, classes].

        Raises:
            TrainingError: in evaluation, a post-training scheme's quantizer that waits for calibration.
        """
        self.check_calibrated()
        scores: Tensor = self.model(x)
        return scores

    def check_calibrated(self) -> None:
        """Refuse to evaluate a post-training scheme between `quantize` and calibration; errors as `forward`."""
        if not self.training and self.scheme.post_training is not None and self.is_quantized:
            check_calibrated(self.model)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Prepare for the training steps of epoch `epoch` (from 0) of `epochs`, which the optimizer is there for.

        Every quantizer hears of the epoch (`Quantizer.on_epoch`), after it was relaxed, or no longer.
        """
        share = self.scheme.recipe.relaxed_share
        for quantizer in quantizers_of(self):
            if share:
                quantizer.set_relaxed(epoch < share * epochs)
            quantizer.on_epoch(epoch, epochs)
        self.expect_parameters()

    def expect_parameters(self) -> None:
        """Take the parameters that the quantizers have now for all that they will have: the first step checks it."""
        self._late_parameters = LateParameters(self)

    def clip_latents(self) -> None:
        """Bound the latent weights as their quantizers say; called after each optimizer step.

        Raises:
            ConfigError: after an epoch's first step, a parameter of a quantizer that the optimizer does not know.
        """
        if self._late_parameters is not None:
            self._late_parameters.check(self)
            self._late_parameters = None
        if self._layers is None:
            self._layers = [layer for _, layer in quant_layers(self.model)]
        for layer in self._layers:
            layer.clip_latent_()
