"""Collections of named things, extended by decorator, by entry point, or by dotted path."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class UnknownNameError(ValueError):
    """A name that a registry does not have; the message lists the known ones and the nearest match."""


class Registry(Generic[T]):
    """A collection of things of one kind, by name.

    A name is looked up among what `register` added, then among the installed entry points of `group`, then as a
    dotted path (`package.module.attribute` or `package.module:attribute`).

    >>> quantizers = Registry[type]("quantizer", group="qbench.quantizers")
    >>> @quantizers.register("sign")
    ... class Sign: ...
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files what it decorates under `name`.

        Raises:
            ValueError: the name is taken by another object.
        """

        def add(item: T) -> T:
            self.add(name, item)
            return item

        return add

    def add(self, name: str, item: T) -> None:
        """File `item` under `name`; the same object may come twice.

        Raises:
            ValueError: the name is taken by another object.
        """
        if self._items.get(name, item) is not item:
            raise ValueError(f"{self.kind} {name!r} is already registered as {self._items[name]!r}")
        self._items[name] = item

    def get(self, name: str) -> T:
        """Return the object called `name`.

        Raises:
            UnknownNameError: no such name; says the known names and the nearest match.
            ImportError, AttributeError: a dotted path that cannot be imported, with the reason.
        """
        if name in self._items:
            return self._items[name]
        if self.group is not None:
            for point in entry_points(group=self.group, name=name):
                item: T = point.load()
                self._items[name] = item
                return item
        if "." in name or ":" in name:
            item = import_dotted(name)
            return item
        raise UnknownNameError(self._unknown(name))

    def names(self) -> list[str]:
        """Return every known name, sorted (entry points included, without importing them)."""
        found = set(self._items)
        if self.group is not None:
            found |= {point.name for point in entry_points(group=self.group)}
        return sorted(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def _unknown(self, name: str) -> str:
        return f"unknown {self.kind} {name!r}{nearest(name, self.names())}"


def nearest(name: str, known: list[str]) -> str:
    """Return the tail of an error message: the nearest of the known names, and all of them."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"; did you mean {match[0]!r}?" if match else "."
    return f"{guess} Known: {', '.join(known) or 'none'}"


def import_dotted(path: str) -> T:  # type: ignore[type-var]
    """Return the object at `package.module.attribute` or `package.module:attribute`.

    Raises:
        ImportError: the module cannot be imported.
        AttributeError: the module has no such attribute.
    """
    module_name, _, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    if not module_name or not attribute:
        raise ImportError(f"{path!r} is no dotted path: expected package.module.attribute")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ImportError(f"cannot import {module_name!r} (from {path!r}): {error}") from error
    if not hasattr(module, attribute):
        raise AttributeError(f"module {module_name!r} has no attribute {attribute!r} (from {path!r})")
    item: T = getattr(module, attribute)
    return item
