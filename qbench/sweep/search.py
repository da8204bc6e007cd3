"""The search: which points of its parameters a sweep tries."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any, Protocol

from qbench.errors import ConfigError
from qbench.sweep.config import Parameter, SweepConfig

MAX_GRID = 100_000


class Search(Protocol):
    """Where a sweep's points come from.

    A search that needs results to choose the next point (bayes) will need a second method, `told(point, row)`; grid
    and random need none, so their points are a list.
    """

    def points(self, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the first `limit` points, nested as a trial's config. A larger limit continues the same sequence."""
        ...


class GridSearch:
    """Every combination, in the file's order; the last parameter changes fastest."""

    def __init__(self, config: SweepConfig) -> None:
        self.config = config

    def points(self, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the first `limit` combinations.

        Raises:
            ConfigError: no limit, and more than 100,000 combinations.
        """
        choices = [parameter.distribution.values or () for parameter in self.config.parameters]
        size = math.prod(len(values) for values in choices)
        if limit is None and size > MAX_GRID:
            raise ConfigError(
                f"the grid has {size:,} trials, more than {MAX_GRID:,}: set run_cap, or fewer values", "parameters"
            )
        for values in itertools.islice(itertools.product(*choices), limit):
            yield _nested(self.config.parameters, values)


class RandomSearch:
    """Independent draws without repetition, reproducible from the sweep's seed.

    A value depends on the seed, the draw's number and the parameter's own path alone, so that adding a parameter or
    reordering the file leaves the other parameters' values as they were.
    """

    def __init__(self, config: SweepConfig) -> None:
        self.config = config

    def points(self, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the first `limit` different points; fewer where the parameters have no more.

        Raises:
            ConfigError: no limit.
        """
        if limit is None:
            raise ConfigError("a random search has no end: set run_cap in the file, or give --max-runs", "run_cap")
        supports = [parameter.distribution.support for parameter in self.config.parameters]
        size = math.prod(support or 0 for support in supports) if None not in supports else None
        wanted = limit if size is None else min(limit, size)
        seen: set[str] = set()
        misses = 0
        for draw in itertools.count():
            if len(seen) == wanted:
                return
            values = [self._value(parameter, draw) for parameter in self.config.parameters]
            if repr(values) in seen:
                misses += 1
                if misses > 1000 * wanted + 10_000:  # a quantized distribution with fewer values than asked for
                    return
                continue
            seen.add(repr(values))
            yield _nested(self.config.parameters, values)

    def _value(self, parameter: Parameter, draw: int) -> Any:
        # Seeding by a string hashes it (SHA-512); `random()` is then the same on every platform and Python.
        stream = random.Random(f"{self.config.seed}/{draw}/{'.'.join(parameter.path)}")
        return parameter.distribution.quantile(stream.random())


def search_of(config: SweepConfig) -> Search:
    """Return the search that the file's `method` names."""
    return GridSearch(config) if config.method == "grid" else RandomSearch(config)


def is_endless(config: SweepConfig) -> bool:
    """Return whether only --max-runs can end the sweep."""
    return config.method == "random" and config.run_cap is None


def _nested(parameters: tuple[Parameter, ...], values: Any) -> dict[str, Any]:
    point: dict[str, Any] = {}
    for parameter, value in zip(parameters, values, strict=True):
        inner = point
        for name in parameter.path[:-1]:
            inner = inner.setdefault(name, {})
        inner[parameter.path[-1]] = value
    return point
