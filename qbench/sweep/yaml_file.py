"""A YAML file as plain values: safe, with YAML 1.2's numbers, one value per key."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from qbench.errors import ConfigError

_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader reading scalars by YAML 1.2's core schema (YAML 1.2.2, 10.3.2).

    PyYAML follows 1.1, where `1e-4` is a string, `no` is false, `010` is eight and `1:30` is ninety.
    """

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  PyYAML's own class attribute

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, "a key must be a string", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} occurs twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = str(node.value)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text, 10)

    def construct_real(self, node: yaml.ScalarNode) -> float:
        text = node.value.lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))


for _tag, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", re.compile(r"^<<$"), ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_real)


def read_yaml(path: Path) -> tuple[dict[str, Any], str]:
    """The mapping in a YAML file, and the file's text.

    Raises:
        ConfigError: no such file, not readable, not UTF-8, not YAML, a key given twice, a mapping's key that is no
            string, several documents, a value that contains itself, or anything but a mapping.
    """
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError("is not a text file in UTF-8", file=file) from None
    except FileNotFoundError:
        raise ConfigError("no such file", file=file) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=file) from None
    values = parse_yaml(text, file)
    if values is None:
        raise ConfigError("is empty", file=file)
    if not isinstance(values, dict):
        raise ConfigError(f"must hold keys and values, not a {_kind(values)}", file=file)
    return values, text


def parse_yaml(text: str, file: str | None = None) -> Any:
    """The value of one YAML document; None for an empty text.

    Raises:
        ConfigError: as `read_yaml`; the message holds the line and the column.
    """
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506  a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise ConfigError(f"is not valid YAML: {where}{error.problem or error.context}", file=file) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"is not valid YAML: {' '.join(str(error).split())}", file=file) from None
    except RecursionError:
        raise ConfigError("is not valid YAML: nested too deeply", file=file) from None
    _check_plain(values, (), file)
    return values


def _check_plain(value: Any, above: tuple[int, ...], file: str | None) -> None:
    # An alias can make a list hold itself, and `!!binary` make bytes: after this, values can be walked, and are JSON.
    if isinstance(value, (dict, list)):
        if id(value) in above or len(above) > 64:
            raise ConfigError("a value contains itself, or is nested too deeply", file=file)
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item, (*above, id(value)), file)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"holds {value}: numbers must be finite", file=file)
    elif value is not None and not isinstance(value, (str, int, float)):
        raise ConfigError(f"holds a {type(value).__name__}: only strings, numbers and booleans are used", file=file)


def _kind(value: Any) -> str:
    return {list: "list", str: "string", bool: "boolean", int: "number", float: "number"}.get(type(value), "value")
