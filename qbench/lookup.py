"""Things by name, with errors that name the configuration's key."""

from __future__ import annotations

from typing import TypeVar

from qbench.errors import ConfigError
from quantizers import Registry

T = TypeVar("T")


def lookup(registry: Registry[T], name: str, expected: type[T], key: str) -> T:
    """What `registry` has under `name`, or what stands at the dotted path `name`.

    Raises:
        ConfigError: no such thing, with the nearest one; a path that cannot be imported or leads to something that is
            no `expected`.
    """
    try:
        found = registry.get(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(str(error), key) from error
    if not isinstance(found, expected):
        raise ConfigError(f"{name!r} is {type(found).__name__}, expected a {expected.__name__}", key)
    return found
