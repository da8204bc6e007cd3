"""What a Python source imports, read without running it."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_IMPORTERS = frozenset({"import_module", "__import__"})
_RUNNERS = frozenset({"exec", "eval"})
_LOADERS = frozenset({"spec_from_file_location", "run_path", "SourceFileLoader"})


@dataclass(frozen=True)
class Import:
    """One module that a source names.

    Attributes:
        name: absolute, dotted.
        certain: it is a module; else it may be an attribute of its package (`from package import name`).
    """

    name: str
    certain: bool


@dataclass(frozen=True)
class Imports:
    """What a source imports, anywhere in it: at its head, in functions, and by `import_module("name")`.

    Attributes:
        found: the modules, sorted, each once.
        hidden: what runs code that the source does not name: `line 7: import_module(...)`.
        exported: the names of its `__all__`, where that is written out.
        data_files: the names of its `DATA_FILES`, where that is written out.
    """

    found: tuple[Import, ...]
    hidden: tuple[str, ...] = ()
    exported: tuple[str, ...] = ()
    data_files: tuple[str, ...] = ()


NO_IMPORTS = Imports(())
"""Those of a source that names none, or that is not read."""


def read_imports(source: bytes, package: str) -> Imports:
    """Return what a module's source imports.

    Args:
        source: its text, as the file holds it.
        package: the dotted name of the package that relative imports start from; empty outside of any.

    Raises:
        SyntaxError: no Python source.
    """
    tree = ast.parse(source)
    found: dict[str, bool] = {}
    hidden: list[str] = []
    aliases = _aliases(tree)
    called_ones = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called, imported = _call(node, package, aliases)
            if imported is not None:
                found[imported] = True
            elif called:
                hidden.append(f"line {node.lineno}: {called}(...)")
            continue
        if id(node) not in called_ones and (passed_on := _names_an_importer(node, aliases)):
            hidden.append(f"line {getattr(node, 'lineno', 0)}: {passed_on}")
        for name, certain in _imported(node, package):
            found[name] = certain or found.get(name, False)
    return Imports(
        tuple(Import(name, certain) for name, certain in sorted(found.items())),
        tuple(hidden),
        _texts(tree, "__all__"),
        _texts(tree, "DATA_FILES"),
    )


def _imported(node: ast.AST, package: str) -> Iterator[tuple[str, bool]]:
    """Yield what an import statement names, and whether it is a module for certain; `x.*` stands for all of x."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, True) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node.module or "", node.level, package)
        if base:
            yield base, True
            yield from ((f"{base}.{alias.name}", False) for alias in node.names)


def _absolute(name: str, level: int, package: str) -> str:
    """Return the dotted name of a relative import; empty where it leads out of its package."""
    if level == 0:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return ""
    return ".".join(part for part in (*parts[: len(parts) - level + 1], name) if part)


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Return the other names that a source gives to what runs code: `from importlib import import_module as load`."""
    named = (alias for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names)
    return {each.asname: each.name for each in named if each.asname and each.name in _IMPORTERS | _LOADERS}


def _names_an_importer(node: ast.AST, aliases: dict[str, str]) -> str:
    """Return what runs code and is passed on, not called: `load = importlib.import_module`; else ""."""
    if isinstance(node, ast.Attribute):
        name = node.attr
    else:
        name = aliases.get(node.id, node.id) if isinstance(node, ast.Name) else ""
    return name if name in _IMPORTERS | _LOADERS else ""


def _call(node: ast.Call, package: str, aliases: dict[str, str]) -> tuple[str, str | None]:
    """Return the name of a call that runs other code ("" of any other), and the module that it names, if it does."""
    function = node.func
    name = getattr(function, "id", "")
    called = function.attr if isinstance(function, ast.Attribute) else aliases.get(name, name)
    if called in _RUNNERS and isinstance(function, ast.Name):  # a network's .eval() is none
        return called, None
    if called in _LOADERS:
        return called, None
    if called not in _IMPORTERS:
        return "", None
    name = node.args[0] if node.args else next((each.value for each in node.keywords if each.arg == "name"), None)
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        return called, None
    text = name.value
    level = len(text) - len(text.lstrip("."))
    return called, _absolute(text.lstrip("."), level, package) or None


def _texts(tree: ast.Module, name: str) -> tuple[str, ...]:
    """Return the texts of a list or tuple that a module's top level assigns to `name`; empty where none is found."""
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            try:
                value: Any = ast.literal_eval(node.value)
            except ValueError:
                return ()
            return texts(value)
    return ()


def texts(value: Any) -> tuple[str, ...]:
    """Return a value as texts: one text or path, or those of a list or tuple; empty for anything else."""
    values = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(each, str | os.PathLike) for each in values):
        return tuple(os.fspath(each) for each in values)
    return ()
