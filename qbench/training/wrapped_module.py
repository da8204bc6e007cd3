"""A network that someone else's LightningModule trains, quantized by a scheme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytorch_lightning as pl
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import nn

from qbench.errors import ConfigError, nearest
from qbench.schemes.recipe import Recipe
from qbench.schemes.scheme import Scheme
from qbench.training.first_batch import InputShape, example_shape
from qbench.training.latent_clip import clip_after_steps
from qbench.training.module_checkpoint import keep_scheme
from qbench.training.parameter_groups import parameter_groups
from qbench.training.planned_epochs import planned_epochs
from qbench.training.rates_asked import warn_of_rates
from qbench.training.readiness import check_calibrated
from qbench.training.scheme_module import SchemeModule
from quantizers import Quantizer


class WrappedModule(SchemeModule):
    """A network that another LightningModule, `theirs`, trains under its own recipe.

    `theirs` stays the object it was, with its class, steps, metrics, optimizers and names of parameters; its network
    is quantized in place. Of the scheme's recipe what is part of the network counts: the activation function, the kind
    of norm, and for how many epochs quantizers train relaxed. Optimizer, learning rates, loss and initial weights are
    its own: no weight is redrawn. After each step of its optimizers the latent weights are clipped.

    Args:
        theirs: is changed in place; its attribute `qbench` becomes this module.
        scheme: a `Scheme` or a registered scheme's name.
        input_shape: of the network, as SchemeModule's; None takes that of an `example_input_array`, or learns it.
        network: the name of the network in `theirs`, dotted for one further inside; empty where `theirs` is the network
            itself, by its `forward`.
        classes: of the data.
        seed: of the stochastic quantizers.

    Attributes:
        theirs: the LightningModule that trains.
        model: its network.
        network: the name.
        classes: of the data.

    Raises:
        ConfigError: there is no such network; it cannot be quantized; or a layer that was replaced stands in `theirs`
            outside of the network as well, and would go on in float32 there.
    """

    theirs: pl.LightningModule

    def __init__(
        self,
        theirs: pl.LightningModule,
        scheme: Scheme | str = "binarynet",
        *,
        input_shape: InputShape | None = None,
        network: str = "model",
        classes: int = 10,
        seed: int = 0,
    ) -> None:
        # Not as a submodule, of which the two would be each other's.
        object.__setattr__(self, "theirs", theirs)
        self.network, self.classes = network, classes
        self._has_told_rates = False
        if not isinstance(theirs, pl.LightningModule):
            raise ConfigError(
                f"expected a LightningModule, with steps and optimizers of its own, got a {type(theirs).__name__}; "
                "QuantModule(network, scheme) trains a network alone",
                "module",
            )
        if isinstance(theirs, SchemeModule) or hasattr(theirs, "qbench"):
            raise ConfigError(f"{type(theirs).__name__} is quantized already", "module")
        if not is_overridden("configure_optimizers", theirs):
            raise ConfigError(f"{type(theirs).__name__} has no configure_optimizers: nothing would train it", "module")
        if input_shape is None:
            input_shape = example_shape(theirs)
        super().__init__(find_network(theirs, network), scheme, input_shape=input_shape, seed=seed)
        clip_after_steps(theirs, self.clip_latents)
        keep_scheme(theirs, self)
        self._start_epoch = theirs.on_train_epoch_start
        setattr(theirs, "on_train_epoch_start", self._start_their_epoch)  # noqa: B010
        for hook in _EVALUATIONS:
            setattr(theirs, hook, _CheckedEvaluation(self, getattr(theirs, hook)).start)
        object.__setattr__(theirs, "qbench", self)

    def quantize(self) -> None:
        """Give every layer its quantizers, as a QuantModule does."""
        super().quantize()
        self._refuse_old_layers()

    def configure_optimizers(self) -> NoReturn:
        """Refuse to be trained: `theirs` is what a Trainer fits."""
        raise ConfigError(f"fit the wrapped {type(self.theirs).__name__}, which trains by its own recipe", "module")

    def _quantize_for_training(self) -> None:
        self._before = set(self.model.modules())
        super()._quantize_for_training()
        self._refuse_old_layers()

    def _refuse_old_layers(self) -> None:
        """Refuse what was replaced in the network and stands elsewhere in `theirs`."""
        inside = set(self.model.modules())
        for name, module in self.theirs.named_modules():
            if module in self._before and module not in inside:
                raise ConfigError(
                    f"{name} of {type(self.theirs).__name__} is a part of {self.network!r} under a second name, and "
                    "would stay in float32 there; reach it through the network",
                    "network",
                )

    def _start_their_epoch(self) -> None:
        # Of an unbounded training nobody knows the epochs; which is no matter to most schemes.
        if self._follows_epochs():
            self.start_epoch(self.theirs.current_epoch, planned_epochs(self.theirs.trainer))
        self.expect_parameters()
        self._tell_of_rates()
        self._start_epoch()

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the trainable parameters of `theirs` in groups for a torch optimizer, at their rates.

        Those of quantizers have the rates and decays that they ask for, all others the learning rate. For the module's
        own `configure_optimizers`, which otherwise honours no rates:

        >>> def configure_optimizers(self):
        ...     return torch.optim.Adam(self.qbench.parameter_groups(1e-3))
        """
        return parameter_groups(self.theirs, Recipe(), learning_rate)

    def _tell_of_rates(self) -> None:
        """Say once which quantizers do not get the rates that they ask for, in the module's own optimizers."""
        if not self._has_told_rates:
            remedy = "build the optimizer of self.qbench.parameter_groups(learning_rate) in configure_optimizers"
            warn_of_rates(self.theirs, self.theirs.trainer.optimizers, remedy)
            self._has_told_rates = True

    def _follows_epochs(self) -> bool:
        quantizers = (each for each in self.model.modules() if isinstance(each, Quantizer))
        scheduled = any(type(each).on_epoch is not Quantizer.on_epoch for each in quantizers)
        return scheduled or bool(self.scheme.recipe.relaxed_share)


_EVALUATIONS = ("on_validation_start", "on_test_start", "on_predict_start")


class _CheckedEvaluation:
    """A hook of a wrapped LightningModule's, which refuses to evaluate what waits for calibration.

    Args:
        wrapped: holds the network.
        hook: the LightningModule's own, which is called as well.
    """

    def __init__(self, wrapped: WrappedModule, hook: Callable[[], None]) -> None:
        self._wrapped, self._hook = wrapped, hook

    def start(self) -> None:
        """Check, then do what the module does; errors as `SchemeModule.forward`."""
        if self._wrapped.scheme.post_training is not None and self._wrapped.is_quantized:
            check_calibrated(self._wrapped.model)
        self._hook()


def find_network(theirs: pl.LightningModule, name: str) -> nn.Module:
    """Return the network of this name in `theirs`, dotted for one further inside; "" is `theirs` itself.

    Raises:
        ConfigError: there is none.
    """
    found: Any = theirs
    for part in name.split(".") if name else []:
        found = getattr(found, part, None)
    if not isinstance(found, nn.Module):
        children = [child for child, _ in theirs.named_children()]
        raise ConfigError(
            f"{type(theirs).__name__} has no network called {name!r}{nearest(name, children)}; name one of "
            f"{', '.join(children) or 'its modules'}, or '' where its own forward is the network",
            "network",
        )
    return found
