"""What a swept parameter can be: the distributions of a wandb sweep file.

Names, keys and defaults are wandb's (docs.wandb.ai, "Sweep configuration options"); so are the meanings, checked
against the quantile functions of wandb's open source `sweeps` package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from qbench.errors import ConfigError, nearest


@dataclass(frozen=True)
class Distribution:
    """One parameter's distribution.

    Attributes:
        name: wandb's name, e.g. `log_uniform_values`.
        quantile: u in [0, 1) -> value, the inverse of the cumulative distribution.
        values: every value in a grid, in the file's order; None if a grid cannot hold this distribution.
        support: number of distinct values that can be drawn; None for infinitely many (or not counted).
    """

    name: str
    quantile: Callable[[float], Any]
    values: tuple[Any, ...] | None = None
    support: int | None = None


def parse_distribution(keys: Mapping[str, Any]) -> Distribution:
    """Return the distribution that a parameter's keys describe: `{"min": 1, "max": 3, "distribution": "uniform"}`.

    Without `distribution`: `value` is constant, `values` categorical, `values` with `probabilities`
    categorical_w_probabilities, and `min` with `max` int_uniform if both are integers, else uniform.

    Raises:
        ConfigError: an unknown distribution or key, a key missing or of the wrong type, an empty range. The key is
            relative to the parameter (`values`, `min`).
    """
    name = keys["distribution"] if "distribution" in keys else _implied(keys)
    if not isinstance(name, str) or name not in _KINDS:
        raise ConfigError(f"unknown distribution {name!r}{nearest(str(name), sorted(_KINDS))}", "distribution")
    allowed, build = _KINDS[name]
    for key in keys:
        if key not in (*allowed, "distribution"):
            raise ConfigError(f"{name} has no such key{nearest(key, list(allowed))}", key)
    return build(name, keys)


def _implied(keys: Mapping[str, Any]) -> str:
    if "probabilities" in keys:
        return "categorical_w_probabilities"
    if "values" in keys:
        return "categorical"
    if "value" in keys:
        return "constant"
    if "min" in keys and "max" in keys:
        return "int_uniform" if _is_int(keys["min"]) and _is_int(keys["max"]) else "uniform"
    raise ConfigError("needs `value`, `values`, `min` and `max`, `distribution`, or nested `parameters`")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(keys: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = keys.get(key, default)
    if value is None:
        raise ConfigError("is required", key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"must be a number, got {value!r}", key)
    if not math.isfinite(value):
        raise ConfigError(f"must be finite, got {value!r}", key)
    return value


def _range(keys: Mapping[str, Any], positive: bool = False) -> tuple[float, float]:
    low, high = _number(keys, "min"), _number(keys, "max")
    if positive and low <= 0:
        raise ConfigError(f"must be above 0, got {low}", "min")
    if low > high:
        raise ConfigError(f"is empty: min {low} is above max {high}", "max")
    return low, high


def _step(keys: Mapping[str, Any]) -> float:
    # wandb's default is 1; an integer step gives integers, which is what epochs and widths need.
    step = _number(keys, "q", 1)
    if step <= 0:
        raise ConfigError(f"must be above 0, got {step}", "q")
    return step


def _rounded(value: float, step: float) -> float:
    # round() of a float is half to even, as numpy's.
    return round(value / step) * step


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _categorical(name: str, keys: Mapping[str, Any]) -> Distribution:
    values = keys.get("values")
    if not isinstance(values, list):
        raise ConfigError(f"must be a list, got {values!r}", "values")
    if not values:
        raise ConfigError("is an empty list: there is nothing to try", "values")
    for index, value in enumerate(values):
        if any(_same(value, other) for other in values[:index]):
            raise ConfigError(f"holds {value!r} twice: the same trial would run twice", "values")
    count = len(values)
    if name == "categorical":
        return Distribution(name, lambda u: values[int(u * count)], tuple(values), count)
    shares = keys.get("probabilities")
    if not isinstance(shares, list) or len(shares) != count:
        raise ConfigError(f"must be a list of {count} numbers, one for each value, got {shares!r}", "probabilities")
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ConfigError(f"must be numbers from 0 to 1, got {share!r}", "probabilities")
    if not math.isclose(math.fsum(shares), 1, abs_tol=1e-6):
        raise ConfigError(f"must sum to 1, got {math.fsum(shares):g}", "probabilities")
    last = max(index for index, share in enumerate(shares) if share > 0)

    def quantile(u: float) -> Any:
        total = 0.0
        for index, share in enumerate(shares):
            total += share
            if u < total or index == last:
                return values[index]

    return Distribution(name, quantile, None, sum(share > 0 for share in shares))


def _constant(name: str, keys: Mapping[str, Any]) -> Distribution:
    if "value" not in keys:
        raise ConfigError("is required", "value")
    value = keys["value"]
    return Distribution(name, lambda _: value, (value,), 1)


def _int_uniform(name: str, keys: Mapping[str, Any]) -> Distribution:
    for key in ("min", "max"):
        if not _is_int(keys.get(key)):
            raise ConfigError(f"must be an integer, got {keys.get(key)!r}", key)
    low, high = int(keys["min"]), int(keys["max"])
    _range(keys)
    values = range(low, high + 1)
    return Distribution(name, lambda u: values[int(u * len(values))], _listed(values), len(values))


def _listed(values: range) -> tuple[Any, ...] | None:
    # A grid of a billion is refused by its size, not by the memory it takes.
    return tuple(values) if len(values) <= 1_000_000 else None


def _uniform(name: str, keys: Mapping[str, Any]) -> Distribution:
    low, high = _range(keys)
    return Distribution(name, lambda u: low + u * (high - low))


def _q_uniform(name: str, keys: Mapping[str, Any]) -> Distribution:
    (low, high), step = _range(keys), _step(keys)
    # As wandb's grid: min, min + q, ... below max. A sample is round(x / q) * q.
    count = math.ceil((high - low) / step)
    if count == 0:
        raise ConfigError("is empty in steps of q: max equals min", "max")
    values = tuple(low + index * step for index in range(count)) if count <= 1_000_000 else None
    return Distribution(name, lambda u: _rounded(low + u * (high - low), step), values)


def _log_uniform(exponents: bool, inverse: bool, stepped: bool) -> Callable[[str, Mapping[str, Any]], Distribution]:
    def build(name: str, keys: Mapping[str, Any]) -> Distribution:
        low, high = _range(keys, positive=not exponents)
        step = _step(keys) if stepped else None
        if not exponents:
            low, high = math.log(low), math.log(high)
        elif max(abs(low), abs(high)) > 700:
            raise ConfigError(f"{name} takes exponents of e, within 700 of 0: use {name}_values for values", "max")
        if inverse and exponents:
            low, high = -high, -low  # log(1/x) is uniform between min and max

        def quantile(u: float) -> float:
            value = math.exp(low + u * (high - low))
            return value if step is None else _rounded(value, step)

        return Distribution(name, quantile)

    return build


def _normal(log: bool, stepped: bool) -> Callable[[str, Mapping[str, Any]], Distribution]:
    def build(name: str, keys: Mapping[str, Any]) -> Distribution:
        mu, sigma = _number(keys, "mu", 0.0), _number(keys, "sigma", 1.0)
        if sigma <= 0:
            raise ConfigError(f"must be above 0, got {sigma}", "sigma")
        step = _step(keys) if stepped else None

        def quantile(u: float) -> float:
            value = NormalDist(mu, sigma).inv_cdf(max(u, 2.0**-53))
            value = math.exp(value) if log else value
            return value if step is None else _rounded(value, step)

        return Distribution(name, quantile)

    return build


def _beta(stepped: bool) -> Callable[[str, Mapping[str, Any]], Distribution]:
    def build(name: str, keys: Mapping[str, Any]) -> Distribution:
        shape = {key: _number(keys, key, 1.0) for key in ("a", "b")}
        for key, value in shape.items():
            if value <= 0:
                raise ConfigError(f"must be above 0, got {value}", key)
        step = _step(keys) if stepped else None

        def quantile(u: float) -> float:
            from scipy.stats import beta

            value = float(beta.ppf(u, shape["a"], shape["b"]))
            return value if step is None else _rounded(value, step)

        return Distribution(name, quantile)

    return build


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[str, Mapping[str, Any]], Distribution]]] = {
    "constant": (("value",), _constant),
    "categorical": (("values",), _categorical),
    "categorical_w_probabilities": (("values", "probabilities"), _categorical),
    "int_uniform": (("min", "max"), _int_uniform),
    "uniform": (("min", "max"), _uniform),
    "q_uniform": (("min", "max", "q"), _q_uniform),
    "log_uniform": (("min", "max"), _log_uniform(exponents=True, inverse=False, stepped=False)),
    "log_uniform_values": (("min", "max"), _log_uniform(exponents=False, inverse=False, stepped=False)),
    "q_log_uniform": (("min", "max", "q"), _log_uniform(exponents=True, inverse=False, stepped=True)),
    "q_log_uniform_values": (("min", "max", "q"), _log_uniform(exponents=False, inverse=False, stepped=True)),
    "inv_log_uniform": (("min", "max"), _log_uniform(exponents=True, inverse=True, stepped=False)),
    # log(1/x) uniform between log(1/max) and log(1/min) is log(x) uniform between log(min) and log(max).
    "inv_log_uniform_values": (("min", "max"), _log_uniform(exponents=False, inverse=True, stepped=False)),
    "normal": (("mu", "sigma"), _normal(log=False, stepped=False)),
    "q_normal": (("mu", "sigma", "q"), _normal(log=False, stepped=True)),
    "log_normal": (("mu", "sigma"), _normal(log=True, stepped=False)),
    "q_log_normal": (("mu", "sigma", "q"), _normal(log=True, stepped=True)),
    "beta": (("a", "b"), _beta(stepped=False)),
    "q_beta": (("a", "b", "q"), _beta(stepped=True)),
}
