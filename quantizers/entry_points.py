"""The entry points that installed distributions declare, by name."""

from __future__ import annotations

import functools
import sys
import warnings
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points


def declared(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by name, without importing what they name.

    Several of a name are those of several distributions, or of one that declares several objects. Distributions whose
    metadata cannot be read are left out, with one UserWarning each.
    """
    return _declared(group, tuple(sys.path))


@functools.cache
def _declared(group: str, path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    # Reading every distribution's metadata takes some milliseconds; it changes where sys.path does.
    found: dict[str, list[EntryPoint]] = {}
    for point in _points(group):
        same = found.setdefault(point.name, [])
        if all((point.value, _owner(point)) != (other.value, _owner(other)) for other in same):
            same.append(point)
    return found


def _points(group: str) -> list[EntryPoint]:
    try:
        return list(entry_points(group=group))
    except Exception:  # one distribution's file is malformed: the others are still wanted
        return [point for each in _first_of_each_name() for point in _points_of(each) if point.group == group]


def _first_of_each_name() -> list[Distribution]:
    """Return the installed distributions; of several with one name the first, which is the one that is imported."""
    found: dict[str, Distribution] = {}
    for each in distributions():
        found.setdefault(str(each.name).lower().replace("-", "_").replace(".", "_"), each)
    return list(found.values())


def _points_of(distribution: Distribution) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points)
    except Exception as error:
        _warn(f"{distribution.name}: its entry points cannot be read: {type(error).__name__}: {error}")
        return []


@functools.cache
def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=2)


def _owner(point: EntryPoint) -> str | None:
    return None if point.dist is None else point.dist.name
