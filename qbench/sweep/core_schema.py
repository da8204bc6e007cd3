"""ruamel.yaml reading YAML 1.2's core schema (YAML 1.2.2, 10.3.2), with string keys that occur once.

ruamel.yaml itself takes `1_000` for a number and `2020-01-01` for a date, which the core schema does not, and after a
`<<` it takes a key that occurs twice.
"""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.resolver import VersionedResolver

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "merge": r"<<",  # of YAML 1.1, and in many sweep files
}
"""Tag -> the plain scalars that have it; the first that fits counts, and what fits none is a string."""


class _Resolver(VersionedResolver):
    """Gives plain scalars the tags of the core schema, whatever version a file claims."""

    # By a scalar's first character; None stands for any.
    versioned_resolver: dict[None, list[tuple[str, re.Pattern[str]]]] = {  # noqa: RUF012  ruamel.yaml's own attribute
        None: [(_TAG + tag, re.compile(rf"(?:{pattern})\Z")) for tag, pattern in _SCALARS.items()]
    }

    @property
    def processing_version(self) -> tuple[int, int]:
        return (1, 2)


class _Constructor(SafeConstructor):
    """Makes plain values; a mapping's keys are different strings."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.tag == f"{_TAG}merge":
                continue
            if key.tag != f"{_TAG}str" or not isinstance(key.value, str):
                raise ConstructorError(None, None, "a key must be a string", key.start_mark)
            if key.value in seen:
                raise ConstructorError(None, None, f"key {key.value!r} occurs twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """Return the value of one YAML document; None for an empty text.

    Raises:
        YAMLError: no valid YAML, a key that is no string, or one that occurs twice; with its place where it has one.
        ValueError, LookupError: a tag such as `!!int` before a value that is none.
        RecursionError: nested too deeply.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Constructor = _Resolver, _Constructor
    return yaml.load(text)
