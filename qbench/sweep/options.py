"""Values from command-line options, `KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qbench.errors import ConfigError
from qbench.sweep.yaml_file import parse_yaml
from qbench.trial.config import TrialConfig


def trial_config(given: Mapping[str, Any], options: Sequence[str]) -> TrialConfig:
    """Return the config of keys with values (None is not given) and of `key=value` texts (see `parse_options`).

    Raises:
        ConfigError: as `parse_options`, and for an unknown key or a bad value.
    """
    return TrialConfig.from_mapping(parse_options(options, given))


def parse_options(options: Sequence[str], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return nested values: those `given`, without None, and those of `key=value` texts (dotted keys, YAML values).

    Raises:
        ConfigError: a text without `=`, a key given twice, a value that is no YAML.
    """
    values: dict[str, Any] = {key: value for key, value in (given or {}).items() if value is not None}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"expected KEY=VALUE, got {text!r}", "--option")
        *outer, last = key.split(".")
        inner = values
        for name in outer:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ConfigError("is given both as a value and with keys below it", key)
        if last in inner:
            raise ConfigError("is given twice", key)
        try:
            inner[last] = parse_yaml(value)
        except ConfigError as error:
            raise error.within(prefix=key) from None
    return values
