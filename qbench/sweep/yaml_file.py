"""A YAML file as plain values: safe, with YAML 1.2's numbers, one value per key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from qbench.errors import ConfigError


def read_yaml(path: Path) -> tuple[dict[str, Any], str]:
    """Return the mapping in a YAML file, and the file's text.

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
    """Return the value of one YAML document; None for an empty text.

    Raises:
        ConfigError: as `read_yaml`; the message holds the line and the column.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    from qbench.sweep.core_schema import load

    try:
        values = load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise ConfigError(f"is not valid YAML: {where}{error.problem or error.context}", file=file) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"is not valid YAML: {' '.join(str(error).split())}", file=file) from None
    except LookupError:
        raise ConfigError("is not valid YAML: a tag does not fit its value", file=file) from None
    except RecursionError:
        raise ConfigError("is not valid YAML: nested too deeply", file=file) from None
    _check_plain(values, (), file)
    return values


def _check_plain(value: Any, above: tuple[int, ...], file: str | None) -> None:
    # An alias can make a list hold itself, and `!!binary` make bytes: after this, values can be walked, and are JSON.
    if type(value) in (dict, list):  # `!!omap` is another mapping
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
