"""Plug-ins: a user's own modules, named by dotted path, or loaded so that the names they register are known."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from qbench.errors import ConfigError
from qbench.sweep.importable import make_importable
from qbench.sweep.user_code import reason

__all__ = ["load_plugins", "loaded_plugins", "make_importable"]

_LOADED: dict[str, str] = {}
"""What this process has loaded, in its order: a file's real path, or a module's name -> the module's name."""


def load_plugins(plugins: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Import plug-ins, each once, and return the names of their modules.

    What they register (`@quantizers.register("mine")`, `SCHEMES.add`, ...) is then known by name. A file is imported
    under its stem, so that `mine.Quantizer` names the same class as a dotted path, here and in worker processes.

    Args:
        plugins: files (`my_quantizers.py`, `parts/mine.py`), or dotted names of modules.
        folder: what files are relative to; modules are also looked for in it.

    Raises:
        ConfigError: no such file or module; a file whose name is another module's; an exception, with its file and
            line, while one is imported.
    """
    return tuple(_load_file(_found(name, folder)) if _is_file(name) else _load_module(name, folder) for name in plugins)


def loaded_plugins() -> tuple[str, ...]:
    """Return what `load_plugins` has loaded in this process, as another process must be told to load it."""
    return tuple(_LOADED)


def _is_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name or os.sep in name


def _found(name: str, folder: Path) -> Path:
    path = (folder / Path(name).expanduser()).resolve()
    if path.is_dir():
        raise ConfigError(f"{name!r} is a folder; name a file, or a package by its dotted name")
    if not path.is_file():
        raise ConfigError(f"no such file: {name!r} (in {folder})")
    return path


def _load_file(path: Path) -> str:
    if str(path) in _LOADED:
        return _LOADED[str(path)]
    name = path.stem
    _check_name(name, path)
    if (known := _module_of(path)) is not None:
        return _kept(str(path), known)
    make_importable(path.parent)
    _check_free(name, path)
    spec = spec_from_file_location(name, path, loader=_SourceLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(path.name, error) from error
    return _kept(str(path), name)


def _load_module(name: str, folder: Path) -> str:
    if name in _LOADED:
        return _LOADED[name]
    make_importable(folder)
    try:
        spec = find_spec(name)
    except (Exception, SystemExit) as error:  # its package is imported
        if isinstance(error, ModuleNotFoundError) and name.startswith(f"{error.name}."):
            spec = None
        else:
            raise _broken(name, error) from error
    if spec is None:
        raise ConfigError(f"no module named {name!r}; a file is named with its ending, {name.rpartition('.')[2]}.py")
    known = None if spec.origin is None else _LOADED.get(str(Path(spec.origin).resolve()))
    if known is not None:
        return _kept(name, known)
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error
    return _kept(name, name)


class _SourceLoader(SourceFileLoader):
    """Reads the source itself: a cached compilation may be of an earlier text that was saved within the same second."""

    def get_code(self, fullname: str) -> CodeType | None:
        return self.source_to_code(self.get_data(self.path), self.path)


def _kept(entry: str, module: str) -> str:
    _LOADED[entry] = module
    return module


def _module_of(path: Path) -> str | None:
    """Return the imported module of a file, if there is one."""
    for name, module in list(sys.modules.items()):
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if isinstance(file, str) and name != "__main__" and os.path.realpath(file) == str(path):
            return name
    return None


def _check_name(name: str, path: Path) -> None:
    if not name.isidentifier():
        raise ConfigError(f"{path.name}: {name!r} cannot name a module; rename it, with letters, digits and _ alone")
    if name in sys.stdlib_module_names:
        raise ConfigError(f"{path.name}: would hide the standard library's module {name!r}; rename it")


def _check_free(name: str, path: Path) -> None:
    if name in sys.modules:
        there = getattr(sys.modules[name], "__file__", None) or "already imported"
        raise ConfigError(f"{path.name}: would hide the module {name!r} ({there}); rename it")
    spec = find_spec(name)
    if spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path):
        raise ConfigError(f"{path.name}: would hide the module {name!r} ({spec.origin or 'a package'}); rename it")


def _broken(name: str, error: BaseException) -> ConfigError:
    return ConfigError(f"{name} cannot be imported: {reason(error)}")
