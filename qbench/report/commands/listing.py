"""The names that a user can choose from: quantizers, schemes, models, data sets, parts of recipes, kernel backends.

The package of a kind is imported only where that kind is listed: Lightning and scikit-learn take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from quantizers import Registry

T = TypeVar("T")

BUILT_IN = "built in"
"""The origin of a name of this project's own, as registries give it."""


class Kind(StrEnum):
    """What can be listed."""

    quantizers = "quantizers"
    schemes = "schemes"
    models = "models"
    data = "data"
    augmentations = "augmentations"
    activations = "activations"
    losses = "losses"
    optimizers = "optimizers"
    schedules = "schedules"
    backends = "backends"


def listing(kind: Kind) -> list[dict[str, Any]]:
    """Return all entries of a kind as plain values for JSON: `name`, `description`, and what the kind adds.

    An entry point of another package that cannot be loaded is left out, with a UserWarning.
    """
    if kind is Kind.schemes:
        from qbench.schemes.catalogue import SCHEMES

        return _entries(SCHEMES, lambda name, found: found.flat())
    if kind is Kind.models:
        from qbench.nn.models.catalogue import MODELS

        return _entries(
            MODELS, lambda name, found: {"name": name, "description": found.description, "options": found.options}
        )
    if kind is Kind.data:
        from qbench.data.datasets import DATASETS

        return _entries(DATASETS, lambda name, found: {"name": name, "description": found.description})
    if kind is Kind.backends:
        return _backends()
    return _entries(_registry(kind), lambda name, found: {"name": name, "description": _first_line(found)})


def _registry(kind: Kind) -> Registry[Any]:
    """Return the registry of a kind that has nothing but names."""
    if kind is Kind.quantizers:
        from quantizers import QUANTIZERS

        return QUANTIZERS
    if kind is Kind.augmentations:
        from qbench.data.augmentation.registry import AUGMENTATIONS

        return AUGMENTATIONS
    if kind is Kind.activations:
        from qbench.nn.activation import ACTIVATIONS

        return ACTIVATIONS
    if kind is Kind.losses:
        from qbench.training.losses.catalogue import LOSSES

        return LOSSES
    if kind is Kind.optimizers:
        from qbench.schemes.optimizers.registry import OPTIMIZERS

        return OPTIMIZERS
    from qbench.schemes.schedules import SCHEDULES

    return SCHEDULES


def _entries(registry: Registry[T], describe: Callable[[str, T], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what `describe` says of each thing that can be loaded, and `origin`: where its name comes from."""
    return [{**describe(name, item), "origin": registry.origin(name)} for name, item in registry.loadable()]


def _first_line(item: object) -> str:
    while isinstance(item, partial):
        item = item.func
    return (item.__doc__ or "").strip().partition("\n")[0]


def _backends() -> list[dict[str, Any]]:
    import cuda_ext

    found = []
    for name, backend in cuda_ext.backends().items():
        facts = {
            "paths" if key == "isas" else key: str(value) if isinstance(value, Path) else value  # JSON's name for ISAs
            for key, value in asdict(backend).items()
        }
        text = f"uses {backend.selected}" + (f" of {', '.join(backend.isas)}" if backend.isas else "")
        reason = f": {backend.reason}" if backend.reason else ""
        found.append({**facts, "name": name, "description": text + reason})
    return found


def listing_lines(kind: Kind) -> list[tuple[str, ...]]:
    """Return (name, description) of all entries of a kind, for people: a description names a model's options.

    Where a name is not built in, it is (name, origin, description).
    """
    found = listing(kind)
    origins = any(item.get("origin", BUILT_IN) != BUILT_IN for item in found)
    lines: list[tuple[str, ...]] = []
    for item in found:
        text = str(item["description"])
        if item.get("options"):
            text += "; options " + ", ".join(f"{key}={value}" for key, value in item["options"].items())
        lines.append((str(item["name"]), *([str(item["origin"])] if origins else []), text))
    return lines
