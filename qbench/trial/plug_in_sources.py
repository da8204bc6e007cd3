"""The sources that a plug-in runs: its own, and all that they import, as far as anyone can edit them."""

from __future__ import annotations

import functools
import hashlib
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from qbench.errors import ConfigError
from qbench.trial.distributions import installed
from qbench.trial.imports import NO_IMPORTS, Imports, read_imports, texts

KNOWN_PACKAGES = sys.stdlib_module_names | {
    *("qbench", "quantizers", "cuda_ext"),
    *("torch", "pytorch_lightning", "lightning_fabric"),
}
"""Packages whose code the version or `code_digest` stands for, or that a plug-in's classes are made of."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Source:
    """What is read of one module, once.

    Attributes:
        content: what enters a digest.
        imports: what its source names.
    """

    content: list[Any]
    imports: Imports = NO_IMPORTS


def plug_in_sources(modules: Iterable[str]) -> list[list[Any]]:
    """Return what stands for the code of some modules, and of all that they import, sorted by name.

    Imports are followed through every source, those in functions and in `try` included, and through the packages on a
    dotted path. The standard library and `KNOWN_PACKAGES` end it. An installed distribution stands there by its name
    and version; one that is installed in place is followed as any other source. Extension modules and compiled modules
    stand there by their bytes. A module that is not found stands there as absent, so that its appearance counts. The
    files that a module names in `DATA_FILES`, relative to its folder, count by their bytes.

    All is read once a process, at the first digest: an edit after it is not what runs.

    Returns: [name, kind, content] each.

    Raises:
        ConfigError: a file of `DATA_FILES` that is not there.
    """
    found: dict[str, list[Any]] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] in KNOWN_PACKAGES:
            continue
        source = _read(name, sys.modules.get(name))
        found[name] = source.content
        waiting += _next(name, source.imports)
    return [[name, *found[name]] for name in sorted(found)]


def _next(name: str, imports: Imports) -> list[str]:
    """Return the modules that come with a module: the packages that it is in, and what it imports."""
    parents = [name.rpartition(".")[0]] if "." in name else []
    wanted: list[str] = []
    for each in imports.found:
        base, _, last = each.name.rpartition(".")
        if last == "*":
            exported = _read(base, sys.modules.get(base)).imports.exported if _is_ours(base) else ()
            wanted += [f"{base}.{every}" for every in exported if _exists(f"{base}.{every}")]
        elif each.certain or _exists(each.name):
            wanted.append(each.name)
    return parents + wanted


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] not in KNOWN_PACKAGES


def _exists(name: str) -> bool:
    """Whether there is a module of this name, and not only an attribute of its package."""
    return _is_ours(name) and (name in sys.modules or _spec(name) is not None)


@functools.cache
def _read(name: str, module: ModuleType | None) -> _Source:
    # Once for each import of a module: an edit after it is not the code that runs.
    spec = getattr(module, "__spec__", None) or (None if module is not None else _spec(name))
    if module is None and spec is None:
        return _Source(["absent"])
    file = _file(module, spec)
    versions = installed(name, file)
    if versions is not None:
        return _Source(["installed", versions])
    if file is None:
        if _is_namespace(module, spec):
            return _Source(["namespace"])
        if spec is not None and spec.origin in ("built-in", "frozen"):
            return _Source(["built-in"])
    content = _bytes(name, file, spec)
    if content is None:
        _warn_once(f"{name} has no source that could be read: its edits will not be seen, and run no trial again")
        return _Source(["no source"])
    return _source(name, module, spec, file, content)


def _source(
    name: str, module: ModuleType | None, spec: ModuleSpec | None, file: Path | None, content: bytes
) -> _Source:
    digest = hashlib.sha256(content).hexdigest()
    suffix = "" if file is None else file.suffix
    if suffix in (".so", ".pyd", ".dll"):
        return _Source(["extension", digest])
    if suffix == ".pyc":
        _warn_once(f"{name} is compiled, without its source: edits of what it imports will not be seen")
        return _Source(["compiled", digest])
    is_package = hasattr(module, "__path__") or bool(spec is not None and spec.submodule_search_locations is not None)
    try:
        imports = read_imports(content, _package(name, module, is_package))
    except (SyntaxError, ValueError):
        _warn_once(f"{name} ({file}) cannot be read as Python: edits of what it imports will not be seen")
        return _Source(["source", digest])
    if imports.hidden:
        _warn_once(f"{name}, {imports.hidden[0]}, runs code that no import names: edits of that will not be seen")
    given = imports.data_files if module is None else _data_files(name, getattr(module, "DATA_FILES", ()))
    return _Source(["source", digest, [[each, _file_digest(name, file, each)] for each in given]], imports)


def _package(name: str, module: ModuleType | None, is_package: bool) -> str:
    """Return the package that a module's relative imports start from."""
    own = getattr(module, "__package__", None)  # a program's name, __main__, does not tell
    return own if isinstance(own, str) else name if is_package else name.rpartition(".")[0]


def _data_files(name: str, given: Any) -> tuple[str, ...]:
    found = texts(given)
    if not found and given not in ((), [], None):
        raise ConfigError(f"{name}: DATA_FILES is {given!r}, expected names of files, relative to the module's folder")
    return found


def _file_digest(name: str, module_file: Path | None, data_file: str) -> str:
    folder = Path() if module_file is None else module_file.parent
    path = folder / data_file
    if not path.is_file():
        what = "is a folder; name its files" if path.is_dir() else f"is not in {folder}"
        raise ConfigError(f"{name}: DATA_FILES names {data_file!r}, which {what}")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _file(module: ModuleType | None, spec: ModuleSpec | None) -> Path | None:
    """Return where a module was, or would be, loaded from."""
    found = getattr(module, "__file__", None)
    if found is None and spec is not None and spec.has_location:
        found = spec.origin
    return None if found is None else Path(found)


def _is_namespace(module: ModuleType | None, spec: ModuleSpec | None) -> bool:
    """Whether a module is a package of several folders, which has no code of its own."""
    return hasattr(module, "__path__") or bool(spec is not None and spec.submodule_search_locations is not None)


def _bytes(name: str, file: Path | None, spec: ModuleSpec | None) -> bytes | None:
    if file is not None and file.is_file():
        return file.read_bytes()
    get_source = getattr(getattr(spec, "loader", None), "get_source", None)  # of an archive
    try:
        text = None if get_source is None else get_source(name)
    except (ImportError, OSError):
        return None
    return None if text is None else text.encode()


def _spec(name: str) -> ModuleSpec | None:
    """Return where a module would be found, without importing the packages that it is in; None where it is not."""
    parent, _, _ = name.rpartition(".")
    try:
        if not parent:
            return find_spec(name)
        package = sys.modules.get(parent)
        if package is not None:
            places = getattr(package, "__path__", None)
        else:
            above = _spec(parent)
            places = None if above is None else above.submodule_search_locations
        return None if places is None else PathFinder.find_spec(name, list(places))
    except (ImportError, ValueError, AttributeError):
        return None


@functools.cache
def _warn_once(message: str) -> None:
    _log.warning(message)
