"""The installed distributions that modules come from."""

from __future__ import annotations

import functools
import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

_SITES = ("site-packages", "dist-packages")


def installed(module: str, file: Path | None) -> list[list[str]] | None:
    """Return (name, version, commit or checksum) of the installed distributions that a module comes from.

    None stands for a module whose source can be edited at any time: of no distribution, of one that is installed in
    place (`pip install -e`) or from a folder (`pip install ./mine`, whose version need not change with it), or found
    elsewhere than its distribution was installed.

    Args:
        module: dotted name.
        file: of the module; None for a namespace package or a module without a file.
    """
    top = module.partition(".")[0]
    found = [each for name in sorted(set(_by_package().get(top, ()))) if (each := _distribution(name)) is not None]
    own = [each for each in found if _holds(each, file)]
    if not own or any(_in_place(each) for each in own):
        return None
    return [[str(each.name), str(each.version), _origin(each)] for each in own]


@functools.cache
def _by_package() -> dict[str, list[str]]:
    """Return the distributions of each top-level package; found once a process, for it takes 0.2 s."""
    return dict(packages_distributions())


@functools.cache
def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _holds(found: Distribution, file: Path | None) -> bool:
    """Whether a distribution was installed (not built in a working folder), to where `file` is."""
    folder = Path(str(found.locate_file(""))).resolve()
    if found.read_text("RECORD") is None and folder.name not in _SITES:
        return False
    return file is None or file.resolve().is_relative_to(folder)


def _url(found: Distribution) -> dict[str, Any]:
    try:
        value = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _in_place(found: Distribution) -> bool:
    return "dir_info" in _url(found)


def _origin(found: Distribution) -> str:
    """Return what tells apart two builds of one version: the commit, or the archive's checksum; else empty."""
    url = _url(found)
    return str(url.get("vcs_info", {}).get("commit_id") or url.get("archive_info", {}).get("hash") or "")
