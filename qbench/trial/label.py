"""Rows' labels, made of a template: `{scheme} w={model_options.width}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from qbench.errors import ConfigError, nearest
from qbench.trial.config import TrialConfig

_ABSENT = "-"
# A field, an escaped brace, plain text; what is left over is a brace that stands alone. `str.format` would follow
# attributes and run format specifications.
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]")


def render(template: str, flat_config: Mapping[str, Any]) -> str:
    """Return a label: the template, with each `{key}` replaced by the value of that key.

    `{{` and `}}` stand for braces. A key without a value is `-`.

    >>> render("{scheme} w={model_options.width}", {"scheme": "fp32", "model_options.width": 8})
    'fp32 w=8'

    Args:
        template: as a sweep file's `label`.
        flat_config: `TrialConfig.flat()`, or a row of results.

    Raises:
        ConfigError: a brace that stands alone.
    """
    return "".join(text if key is None else _shown(flat_config.get(key)) for key, text in _parts(template))


def fields(template: str) -> list[str]:
    """Return the keys that a template names, in its order.

    Raises:
        ConfigError: a brace that stands alone.
    """
    return [key for key, _ in _parts(template) if key is not None]


def check_template(template: str) -> None:
    """Refuse a template that cannot label the rows of any sweep.

    Raises:
        ConfigError: an empty text, characters that cannot be seen, a brace that stands alone, a field that is no key of
            a trial (the nearest one is named), or the seed, in which a row's trials differ.
    """
    if not template.strip() or not template.isprintable():
        raise ConfigError(f"must be one line of visible text, got {template!r}")
    known = TrialConfig.model_fields
    for key in fields(template):
        first, dot, _ = key.partition(".")
        if any(mark in key for mark in "!:["):
            raise ConfigError(f"a field is a trial's key and nothing more, got {{{key}}}")
        if first not in known:
            raise ConfigError(f"unknown key {{{key}}}{nearest(first, list(known))}")
        if first == "seed":
            raise ConfigError("a row's trials differ in their seed: leave {seed} out")
        nested = isinstance(known[first].default, dict)
        if nested and not dot:
            raise ConfigError(f"name one of its keys, as {{{key}.width}}, got {{{key}}}")
        if dot and not nested:
            raise ConfigError(f"{first!r} has no keys of its own, got {{{key}}}")


def check_used(template: str, flat_configs: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a template with a field that no trial of the sweep has.

    Raises:
        ConfigError: such a field, with the nearest key that a trial has.
    """
    present = {key for flat in flat_configs for key in flat}
    for key in fields(template):
        if key not in present:
            raise ConfigError(f"no trial has the key {{{key}}}{nearest(key, sorted(present))}", "label")


def _parts(template: str) -> Iterable[tuple[str | None, str]]:
    """Yield (key, "") for each field, and (None, text) for what stands between them."""
    for found in _PART.finditer(template):
        if found.group(1) is not None:
            yield found.group(1), ""
        elif found.group() in "{}":
            raise ConfigError(f"a brace stands alone in {template!r}; write {{{{ or }}}} for a brace")
        else:
            yield None, {"{{": "{", "}}": "}"}.get(found.group(), found.group())


def _shown(value: Any) -> str:
    if value is None:
        return _ABSENT
    return value if isinstance(value, str) else json.dumps(value)
