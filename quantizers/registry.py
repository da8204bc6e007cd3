"""Collections of named things, extended by decorator, by entry point, or by dotted path."""

from __future__ import annotations

import difflib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Generic, TypeVar

from quantizers.entry_points import declared

T = TypeVar("T")

BUILT_IN = "built in"
"""The origin of a name that this project itself registers."""

_OURS = frozenset({"quantizers", "qbench", "cuda_ext"})


class UnknownNameError(ValueError):
    """A name that a registry does not have; the message lists the known ones and the nearest match."""


class NameClashError(ValueError):
    """A name that stands for two things; the message names both."""


class BrokenEntryPointError(ImportError):
    """An entry point that cannot be loaded; the message names its group, its distribution and the exception."""


class Registry(Generic[T]):
    """A collection of things of one kind, by name.

    A name is looked up among what `register` and `add` filed, then among the installed entry points of `group`, then
    as a dotted path (`package.module.attribute` or `package.module:attribute`).

    >>> quantizers = Registry[type]("quantizer", group="qbench.quantizers")
    >>> @quantizers.register("sign")
    ... class Sign: ...
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._items: dict[str, T] = {}
        self._origins: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        self._warned: set[EntryPoint] = set()

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files what it decorates under `name`.

        Raises:
            NameClashError: the name is taken by another object.
        """

        def add(item: T) -> T:
            self.add(name, item)
            return item

        return add

    def add(self, name: str, item: T) -> None:
        """File `item` under `name`; the same object may come twice.

        Raises:
            NameClashError: the name is taken by another object, a built-in one for example.
        """
        module, origin = _caller()
        if self._items.get(name, item) is not item:
            raise NameClashError(
                f"{self.kind} {name!r} is already registered as {self._items[name]!r} ({self._origins[name]}): "
                f"{item!r} ({origin}) needs another name"
            )
        if name not in self._items:
            self._origins[name], self._modules[name] = origin, module
        self._items[name] = item

    def get(self, name: str) -> T:
        """Return the object called `name`.

        Raises:
            UnknownNameError: no such name; says the known names and the nearest match.
            NameClashError: an entry point declares a name that another one, or what is registered here, has too.
            BrokenEntryPointError: the entry point of that name cannot be loaded.
            ImportError, AttributeError: a dotted path that cannot be imported, with the reason.
        """
        points = [] if self.group is None else declared(self.group).get(name, [])
        if points:
            return self._declared_item(name, points)
        if name in self._items:
            return self._items[name]
        if "." in name or ":" in name:
            item: T = import_dotted(name)
            return item
        raise UnknownNameError(self._unknown(name))

    def loadable(self) -> list[tuple[str, T]]:
        """Return every name with its object, sorted.

        An entry point that cannot be loaded, or whose name is taken, is left out, with one UserWarning.
        """
        found = []
        for name in self.names():
            try:
                found.append((name, self.get(name)))
            except (BrokenEntryPointError, NameClashError) as error:
                points = declared(self.group or "").get(name, [])
                if not self._warned.issuperset(points):
                    self._warned.update(points)
                    warnings.warn(str(error), UserWarning, stacklevel=2)
        return found

    def names(self) -> list[str]:
        """Return every known name, sorted (entry points included, without importing them)."""
        return sorted(set(self._items) | set(declared(self.group) if self.group is not None else ()))

    def origin(self, name: str) -> str:
        """Return where a known name comes from: `built in`, a plug-in's file, or `entry point of <distribution>`."""
        if name in self._items:
            return self._origins[name]
        return _distribution(declared(self.group or "")[name][0])

    def module_of(self, name: str) -> str | None:
        """Return the module that filed a name, or that a dotted path or an entry point leads to; None of a built-in."""
        if name in self._items:
            return self._modules[name] or None
        points = [] if self.group is None else declared(self.group).get(name, [])
        if points:
            return points[0].module
        return (name.partition(":") if ":" in name else name.rpartition("."))[0] or None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def _declared_item(self, name: str, points: list[EntryPoint]) -> T:
        """Return what the entry points of a name stand for, if that is one object, and the registered one if any."""
        if len(points) > 1:
            both = " and ".join(
                f"{_distribution(point)} ({point.value})" for point in sorted(points, key=_distribution)
            )
            raise NameClashError(
                f"{self.kind} {name!r} is declared twice: {both}; uninstall one, or give a dotted path"
            )
        (point,) = points
        if name in self._items and self._origins[name] == BUILT_IN:
            raise NameClashError(
                f"{self.kind} {name!r} is built in, and the {_distribution(point)} ({point.value}) declares it too, in "
                f"the group {self.group}: it needs another name"
            )
        try:
            item: T = point.load()
        except (Exception, SystemExit) as error:
            raise BrokenEntryPointError(
                f"{self.kind} {name!r}: the {_distribution(point)} in the group {self.group} ({point.value}) cannot be "
                f"loaded: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        if self._items.get(name, item) is not item:
            raise NameClashError(
                f"{self.kind} {name!r} is registered as {self._items[name]!r} ({self._origins[name]}), and the "
                f"{_distribution(point)} ({point.value}) declares it too: one needs another name"
            )
        return item

    def _unknown(self, name: str) -> str:
        text = f"unknown {self.kind} {name!r}{nearest(name, self.names())}"
        if self.group is None:
            return text
        return f"{text}. If a plug-in defines it, name its file by --plugin, or under `plugins:` in a sweep's file"


def _distribution(point: EntryPoint) -> str:
    """Return whose an entry point is, for people: `entry point of my-package 1.0`."""
    found = point.dist
    return "entry point of " + ("an unknown distribution" if found is None else f"{found.name} {found.version}")


def _caller() -> tuple[str, str]:
    """Return who calls a registry: the nearest module outside the project and its file, else "" and BUILT_IN."""
    frame = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        package = name.partition(".")[0]
        if package == "importlib":  # a module of the project is being imported
            return "", BUILT_IN
        if package not in _OURS:
            return name, Path(frame.f_code.co_filename).name
        frame = frame.f_back  # type: ignore[assignment]
    return "", BUILT_IN


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
