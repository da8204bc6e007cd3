"""One trial's configuration, as a validated value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qbench.errors import ConfigError, config_error
from qbench.schemes.named import Named

SETTINGS = "settings"
"""The key of a sweep's parameter whose values are mappings of a trial's keys."""

_Count = Annotated[int, Field(ge=1)]
_Seed = Annotated[int, Field(ge=0, lt=2**31)]
_Rate = Annotated[float, Field(ge=0, lt=1e3, allow_inf_nan=False)]


class TrialConfig(BaseModel):
    """All that decides a trial's result, but for the code. Immutable; unknown keys and wrong types are errors.

    Attributes:
        scheme: a registered scheme's name, or a dotted path to a `Scheme`.
        scheme_options: fields of the scheme to replace, e.g. `{"last_layer": "float"}`.
        seed: of the initial weights, the order of batches and the stochastic quantizers.
        model, model_options: a registered model, or a dotted path to a `Model`, and its builder's arguments; "module"
            is the network that a module which is no QuantModule builds.
        data: a registered data set, or a dotted path to a `Dataset`.
        augment: what changes the images, in its order: names of `qbench.data.augmentation`, with options or without, as
            `[flip, {name: crop, options: {padding: 4}}]`. Training batches alone, drawn by the seed; `normalize`, which
            comes first, changes validation and test images too.
        split_seed: of the split; the same for every trial that is to be compared.
        epochs: the budget; a scheme may train for a multiple of it (`Recipe.epoch_factor`).
        batch_size: training images per step.
        learning_rate, learning_rate_end: in the first epoch and after the last one; None takes the scheme's, 0 leaves
            the weights as they are. A module that is no QuantModule has rates of its own.
        select, select_mode: the logged metric by which the best epoch is chosen, whose weights are kept, and whether
            the largest ("max") or the smallest ("min") is the best; None goes by the metric's name (acc, loss, ...).
        calibration_images: training images (chosen by `split_seed`) that post-training schemes calibrate on.
        module: dotted path to a QuantModule subclass, or to any LightningModule, which trains by its own recipe; None
            is QuantModule itself.
        module_options: arguments of the module, beside those that a trial gives.
        network: of a module that is no QuantModule, the name of its network, which is also the argument that takes the
            trial's model. With the model "module" it builds its own.
        device: where training runs.
        compile: training's forward and backward go through torch.compile: minutes before the first step, faster steps.
            Part of the identity, because fused sums round otherwise.
        threads: CPU threads of torch; part of the identity, because sums in another order round otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    scheme: str
    scheme_options: dict[str, Any] = {}
    seed: _Seed = 0
    model: str = "digits-convnet"
    model_options: dict[str, Any] = {}
    data: str = "digits"
    augment: list[Named] = []
    split_seed: _Seed = 0
    epochs: _Count = 30
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: _Rate | None = None
    learning_rate_end: _Rate | None = None
    select: str = "val/accuracy"
    select_mode: Literal["max", "min"] | None = None
    calibration_images: _Count = 512
    module: str | None = None
    module_options: dict[str, Any] = {}
    network: str = "model"
    device: Literal["cpu", "cuda"] = "cpu"
    compile: bool = False
    threads: _Count = 1

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrialConfig:
        """Return the config of plain values (of a YAML file, say).

        The key `settings` holds more of these values, so that one parameter of a sweep can set several together: a
        scheme with its own network, rates and epochs.

        Raises:
            ConfigError: an unknown key (the nearest one is named), a missing or ill-typed value, a value set inside
                `settings` and outside. Names such as the scheme's are looked up later, by `resolve`.
        """
        plain = {key: value for key, value in values.items() if key != SETTINGS}
        if SETTINGS in values:
            if not isinstance(values[SETTINGS], Mapping):
                raise ConfigError(f"must be a mapping of a trial's keys, got {values[SETTINGS]!r}", SETTINGS)
            plain = _merged(plain, values[SETTINGS], SETTINGS)
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            raise config_error(error, list(cls.model_fields)) from None

    @classmethod
    def from_flat(cls, row: Mapping[str, Any]) -> TrialConfig:
        """Return the config whose `flat` keys a row holds; the row's other keys are passed over.

        Raises:
            ConfigError: as `from_mapping`.
        """
        values: dict[str, Any] = {}
        for key, value in row.items():
            *outer, last = key.split(".")
            if (outer or [last])[0] not in cls.model_fields:
                continue
            place = values
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = value
        return cls.from_mapping(values)

    def flat(self) -> dict[str, Any]:
        """Return the config's keys on one level, nested ones dotted: `model_options.width`.

        An option whose value is an empty mapping, or one with a dot in a key (a layer's name), keeps it as its value.
        Where there are no options at all there is no key; nor is there one for a list without entries.
        """
        return _flattened({key: value for key, value in self.model_dump().items() if value not in ({}, [])})


def _merged(values: Mapping[str, Any], more: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the values of both, merged in nested mappings too; `key` is the place of `more`, for messages."""
    merged = dict(values)
    for name, value in more.items():
        here = f"{key}.{name}"
        if name == SETTINGS:
            raise ConfigError("settings hold no settings", here)
        if name not in merged:
            merged[name] = value
        elif isinstance(value, Mapping) and isinstance(merged[name], Mapping):
            merged[name] = _merged(merged[name], value, here)
        else:
            raise ConfigError("is set here and outside of settings", here)
    return merged


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one level with dotted keys; one that is empty or has a dot in a key stays whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value and not any("." in str(inner) for inner in value):
            flat.update(_flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
