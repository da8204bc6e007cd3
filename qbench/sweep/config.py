"""A sweep's file: wandb's YAML, read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qbench.errors import ConfigError, config_error, nearest
from qbench.sweep.distribution import Distribution, parse_distribution
from qbench.sweep.yaml_file import read_yaml
from qbench.trial.config import SETTINGS, TrialConfig
from qbench.trial.identity import digest
from qbench.trial.label import check_template
from qbench.trial.metrics import METRICS

# Keys of wandb that would change what a sweep does, in ways that qbench does not offer: refused, never ignored.
_REFUSED = {
    "program": "qbench trains the trials itself and runs no program; remove the key",
    "command": "qbench trains the trials itself and runs no command; remove the key",
    "early_terminate": "every trial runs to its end, so that schemes are compared at the same budget; remove the key",
    "controller": "qbench is the controller; remove the key",
    "imageuri": "qbench runs on this machine, in no image; remove the key",
    "job": "qbench runs on this machine, as no launch job; remove the key",
    "launch": "qbench runs on this machine, as no launch job; remove the key",
    "scheduler": "qbench schedules the trials itself; remove the key",
}
_METHODS = ("grid", "random")
_NAME = r"^\w[\w .+-]{0,99}$"


class _Metric(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: str
    parameters: dict[str, Any]
    metric: _Metric | None = None
    name: str | None = None
    description: str | None = None
    project: str | None = None
    entity: str | None = None
    run_cap: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    label: str | None = None
    plugins: list[str] = []


@dataclass(frozen=True)
class Parameter:
    """One swept parameter.

    Attributes:
        path: its place in the trial's config, `("model_options", "width")`.
        key: its place in the file, `parameters.model_options.parameters.width.values`.
        distribution: what it can be.
    """

    path: tuple[str, ...]
    key: str
    distribution: Distribution


@dataclass(frozen=True)
class SweepConfig:
    """A checked sweep file.

    Attributes:
        file: where it was read.
        text: what stood there.
        name: the file's `name`, else its stem; the output folder's name too.
        method: `grid` (every combination, in the file's order: the last parameter changes fastest) or `random`.
        parameters: in the file's order.
        metric, goal: by which the best trial is named; a None metric where the file has none.
        run_cap: the most trials of the sweep; None for no limit.
        seed: of a random search: the file's top-level key `seed` (qbench's own), else 0.
        description, project, entity: handed to wandb.
        label: of the rows, a template (`qbench.trial.label`); None names them by what differs. qbench's own key.
        plugins: files beside the sweep file, or modules, whose names its trials use (`load_plugins`). qbench's own key.
    """

    file: Path
    text: str
    name: str
    method: Literal["grid", "random"]
    parameters: tuple[Parameter, ...]
    metric: str | None = None
    goal: Literal["minimize", "maximize"] = "minimize"
    run_cap: int | None = None
    seed: int = 0
    description: str | None = None
    project: str | None = None
    entity: str | None = None
    label: str | None = None
    plugins: tuple[str, ...] = ()

    @property
    def sweep_id(self) -> str:
        """The sweep's identity: 8 hexadecimal digits made of its name and the file's text."""
        return sweep_identity(self.name, self.text)

    @property
    def folder(self) -> Path:
        """The file's folder; dotted paths can name modules in it."""
        return self.file.resolve().parent

    def key_of(self, config_key: str | None) -> str:
        """Return where the file sets a key of the trial's config: `scheme` -> `parameters.scheme.values`."""
        path = tuple((config_key or "").split("."))
        best: Parameter | None = None
        for parameter in self.parameters:
            length = len(parameter.path)
            if parameter.path == path[:length] and (best is None or length > len(best.path)):
                best = parameter
        if best is not None:
            return ".".join([best.key, *path[len(best.path) :]])
        for parameter in self.parameters:
            values = parameter.distribution.values or ()
            if parameter.path == (SETTINGS,) and any(isinstance(v, Mapping) and path[0] in v for v in values):
                return ".".join([parameter.key, *path])
        inside = [p for p in self.parameters if p.path[: len(path)] == path]
        return ".".join(["parameters", *path]) if inside or config_key else "parameters"


def sweep_identity(name: str, text: str) -> str:
    """Return the id of the sweep of this name whose file holds `text`."""
    return digest(name, text)[:8]


def load_sweep(path: Path) -> SweepConfig:
    """Return the checked sweep file at `path`.

    Raises:
        ConfigError: what `read_yaml` refuses; an unknown key, or one of wandb's that qbench cannot honour; a method
            other than grid and random; no parameter; a parameter whose distribution is malformed, or, in a grid,
            has no finite list of values; a label with a field that is no key of a trial. The names of schemes, models
            and data are checked later, trial by trial.
    """
    values, text = read_yaml(path)
    try:
        return _parse(path, values, text)
    except ConfigError as error:
        raise error.within(file=str(path)) from None


def _parse(path: Path, values: Mapping[str, Any], text: str) -> SweepConfig:
    for key, reason in _REFUSED.items():
        if key in values:
            raise ConfigError(f"not supported: {reason}", key)
    metric = values.get("metric")
    if isinstance(metric, Mapping) and "target" in metric:
        raise ConfigError("not supported: no trial is left out when a target is reached; remove it", "metric.target")
    try:
        file = _File.model_validate(dict(values))
    except ValidationError as error:
        place = error.errors(include_url=False)[0]["loc"]
        known = list((_Metric if len(place) > 1 and place[0] == "metric" else _File).model_fields)
        raise config_error(error, known) from None
    if file.method == "bayes":
        raise ConfigError("bayes is not supported yet; use one of grid, random", "method")
    if file.method not in _METHODS:
        raise ConfigError(f"unknown method {file.method!r}{nearest(file.method, list(_METHODS))}", "method")
    if file.seed is not None and file.method == "grid":
        raise ConfigError("a grid draws nothing; a trial's seed is `parameters.seed`", "seed")
    if file.metric is not None and file.metric.name not in METRICS:
        raise ConfigError(
            f"unknown metric {file.metric.name!r}{nearest(file.metric.name, list(METRICS))}", "metric.name"
        )
    _check_name(file.name, path)
    _check_label(file.label)
    parameters = tuple(_parameters(file.parameters, (), "parameters"))
    if not parameters:
        raise ConfigError("is empty: there is nothing to try", "parameters")
    if file.method == "grid":
        _check_grid(parameters)
    return SweepConfig(
        file=path,
        text=text,
        name=file.name or path.stem,
        method="grid" if file.method == "grid" else "random",
        parameters=parameters,
        metric=file.metric.name if file.metric else None,
        goal=file.metric.goal if file.metric else "minimize",
        run_cap=file.run_cap,
        seed=file.seed or 0,
        description=file.description,
        project=file.project,
        entity=file.entity,
        label=file.label,
        plugins=tuple(file.plugins),
    )


def _check_name(name: str | None, path: Path) -> None:
    # The name becomes a folder's: no separators, nothing hidden.
    if not re.match(_NAME, path.stem if name is None else name):
        raise ConfigError(
            f"{path.stem if name is None else name!r} cannot name a folder: use at most 100 letters, digits, "
            "spaces and any of ._+-, the first a letter or digit",
            "name",
        )


def _check_label(label: str | None) -> None:
    if label is not None:
        try:
            check_template(label)
        except ConfigError as error:
            raise error.within(prefix="label") from None


def _parameters(values: Mapping[str, Any], path: tuple[str, ...], key: str) -> Iterator[Parameter]:
    for name, keys in values.items():
        here, there = (*path, name), f"{key}.{name}"
        known = [*TrialConfig.model_fields, SETTINGS]
        if not path and name not in known:
            raise ConfigError(f"unknown key{nearest(name, known)}", there)
        if not isinstance(keys, Mapping):
            hint = f"`values: {keys}`" if isinstance(keys, list) else f"`value: {keys}`"
            raise ConfigError(f"must say how it is chosen, for example {hint}", there)
        if "parameters" in keys:
            if set(keys) != {"parameters"}:
                raise ConfigError("nested `parameters` stand alone", there)
            inner = keys["parameters"]
            if not isinstance(inner, Mapping) or not inner:
                raise ConfigError("must hold at least one parameter", f"{there}.parameters")
            yield from _parameters(inner, here, f"{there}.parameters")
            continue
        try:
            distribution = parse_distribution(keys)
        except ConfigError as error:
            raise error.within(prefix=there) from None
        tail = next((word for word in ("values", "value") if word in keys), None)
        yield Parameter(here, f"{there}.{tail}" if tail else there, distribution)


def _check_grid(parameters: tuple[Parameter, ...]) -> None:
    for parameter in parameters:
        if parameter.distribution.values is None:
            name = parameter.distribution.name
            raise ConfigError(
                f"a grid needs a finite list of values, which {name} is not: use `values`, int_uniform or q_uniform, "
                "or `method: random`",
                parameter.key,
            )
