"""What a Lightning checkpoint says of the scheme it was trained with, and whether it fits a module."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from torch import nn

from qbench.errors import ConfigError
from qbench.nn.folding import DirectedMaxPool2d
from qbench.nn.quant_layer import quant_layers
from qbench.nn.replacing import replace_modules
from qbench.training.hyperparameters import NotPlainError, as_plain, scheme_of, split
from qbench.training.scheme_module import SchemeModule

SCHEME_KEY = "qbench/scheme"
"""Key of a module's scheme in a checkpoint."""

_COMPILED = "_orig_mod."  # torch.compile puts it into the names of what it wraps
_SHOWN = 3

_log = logging.getLogger(__name__)


class SchemeInCheckpoints:
    """A LightningModule's checkpoint hooks, which keep the scheme and refuse a checkpoint of another one.

    Args:
        owner: the LightningModule; its own hooks are called as well.
        quantized: the module whose network the scheme quantizes: `owner` itself, or what wraps it.
    """

    def __init__(self, owner: pl.LightningModule, quantized: SchemeModule) -> None:
        self._save, self._load = owner.on_save_checkpoint, owner.on_load_checkpoint
        self._owner, self._quantized = owner, quantized

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the scheme; leave out of a QuantModule's hyperparameters what only a pickle of code would hold."""
        self._save(checkpoint)
        module, left_out = self._quantized, dict(self._quantized.left_out)
        key = pl.LightningModule.CHECKPOINT_HYPER_PARAMS_KEY
        if key in checkpoint and checkpoint.get(pl.LightningModule.CHECKPOINT_HYPER_PARAMS_TYPE) is None:
            checkpoint[key], others = split(checkpoint[key])
            left_out |= others
        checkpoint[SCHEME_KEY] = {
            "scheme": _plain_or_text(module.scheme.flat()),
            "quantized": module.is_quantized,
            "input_shape": module.input_shape,
            "quantizers": _quantizers(module.model),
            "left_out": left_out,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the module the structure that the checkpoint's state is of, or refuse it.

        Raises:
            ConfigError: a checkpoint of another scheme or of other quantizers; or of the float network, where this one
                is quantized already.
        """
        found = checkpoint.get(SCHEME_KEY)
        state = checkpoint["state_dict"]
        if found is None:
            _log.warning(
                "the checkpoint does not say what scheme it was trained with (an earlier version wrote it); whether "
                "that is %s is not known",
                self._quantized.scheme.name,
            )
        else:
            _take_structure(self._quantized, found)
        checkpoint["state_dict"] = state = named_as(self._owner, state)
        if found is not None:
            _direct_pools(self._owner, self._quantized.model, state)
        self._load(checkpoint)


def keep_scheme(owner: pl.LightningModule, quantized: SchemeModule) -> None:
    """Let the checkpoints of `owner` keep the scheme of `quantized`: see `SchemeInCheckpoints`.

    The hooks are replaced in the instance, so that those that a class overrides need not call them.
    """
    hooks = SchemeInCheckpoints(owner, quantized)
    setattr(owner, "on_save_checkpoint", hooks.on_save_checkpoint)  # noqa: B010
    setattr(owner, "on_load_checkpoint", hooks.on_load_checkpoint)  # noqa: B010


@contextmanager
def as_another_network() -> Iterator[None]:
    """Say of a state that does not fit what is to be done.

    Raises:
        ConfigError: the first tensor that is missing, left over, or of another shape.
    """
    try:
        yield
    except RuntimeError as error:
        first, _, rest = str(error).partition("\n")
        if not first.startswith("Error(s) in loading state_dict"):
            raise
        differing = [line.strip().rstrip(".") for line in rest.splitlines()]
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise ConfigError(
            f"the checkpoint does not fit: {differing[0]}{more}: give the network that was trained, built with the "
            "same options, and its scheme",
            "model",
        ) from None


def _take_structure(module: SchemeModule, found: Mapping[str, Any]) -> None:
    _check_scheme(module, found["scheme"])
    if module.input_shape is None:
        module.input_shape = found["input_shape"]
    if module.is_quantized and not found["quantized"]:
        raise ConfigError(
            "the checkpoint holds the float network, as it was before quantize(), and this one is quantized: load it "
            "into a module that is not yet",
            "checkpoint",
        )
    if found["quantized"] and not module.is_quantized:
        module.quantize()
    _check_quantizers(_quantizers(module.model), found["quantizers"])


def _check_scheme(module: SchemeModule, flat: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that was trained under other settings; name and description may differ."""
    stored = scheme_of(flat, module.scheme)
    there, here = (_plain_or_text(each.settings()) for each in (stored, module.scheme))
    differing = [key for key in here if here[key] != there[key]]
    if differing:
        listed = [f"{key} is {_short(there[key])} there and {_short(here[key])} here" for key in differing[:_SHOWN]]
        more = f", and {len(differing) - _SHOWN} more differ" if len(differing) > _SHOWN else ""
        raise ConfigError(
            f"the checkpoint was trained with scheme {stored.name}, this module's is {module.scheme.name}: "
            f"{'; '.join(listed)}{more}. Build the module with the checkpoint's scheme, or, to start from its weights "
            'alone, give load_state_dict the checkpoint\'s "state_dict"',
            "scheme",
        )


def _check_quantizers(here: dict[str, list[str]], there: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose layers had quantizers of other classes or formats: a method chose them, say."""
    for name in [*here, *(each for each in there if each not in here)]:
        if here.get(name) != there.get(name):
            mine, theirs = (_held(each.get(name)) for each in (here, there))
            raise ConfigError(
                f"layer {name}: the checkpoint has {theirs}, this network has {mine}: load it by the class that "
                "trained it, with the network as it was then",
                "checkpoint",
            )


def _held(quantizers: list[str] | None) -> str:
    return "no such layer" if quantizers is None else f"{' and '.join(quantizers)} for weights and inputs"


def _quantizers(network: nn.Module) -> dict[str, list[str]]:
    """Return what quantizes the weights and the input of each layer, by its name: class and format."""
    return {
        name.replace(_COMPILED, ""): [
            "float32" if each is None else f"{type(each).__name__} ({each.format.name}, {each.format.bits} bits)"
            for each in (layer.weight_quantizer, layer.input_quantizer)
        ]
        for name, layer in quant_layers(network)
    }


def _direct_pools(owner: nn.Module, network: nn.Module, state: Mapping[str, Any]) -> None:
    """Give max-pools the kind that the state has: which BatchNorms turn them round depends on the trained weights."""
    inside, replaced = set(network.modules()), dict[nn.Module, nn.Module]()
    for name, module in owner.named_modules():
        direction = state.get(f"{name}.direction")
        if type(module) is nn.MaxPool2d and module in inside and direction is not None:
            replaced[module] = DirectedMaxPool2d(module, direction)
        elif type(module) is DirectedMaxPool2d and direction is None:
            replaced[module] = nn.MaxPool2d(
                module.kernel_size, module.stride, module.padding, module.dilation, ceil_mode=module.ceil_mode
            )
    replace_modules(network, replaced)


def named_as(owner: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return `state` under the names that `owner` has, whichever of the two torch.compile has wrapped parts of."""
    own = {name.replace(_COMPILED, ""): name for name in owner.state_dict()}
    return {own.get(name.replace(_COMPILED, ""), name.replace(_COMPILED, "")): value for name, value in state.items()}


def _plain_or_text(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as plain values; of an object, which a checkpoint cannot keep, its text."""
    found = {}
    for key, each in value.items():
        try:
            found[key] = as_plain(each)
        except NotPlainError:
            found[key] = repr(each)
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
