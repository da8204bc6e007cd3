"""JSON from files that anyone may have edited: only what JSON allows, and only numbers that a float can hold."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def loads(text: str) -> Any:
    """Return the value of a JSON text.

    Python's reader takes `NaN`, `Infinity` and `1e999`, which no writer here writes: a mean over one of them is no
    number.

    Raises:
        ValueError: no JSON; a number that is not finite or that a float cannot hold; values nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _integer(text: str) -> int:
    if len(text) > 300:
        _refuse(f"{text[:20]}...")
    return int(text)
