"""A report's groups as curves of accuracy over a size option, and what they cost at the same accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qbench.errors import UserError
from qbench.report.model.group import Group
from qbench.report.model.images import on_same_images, same_images
from qbench.report.model.reference import REFERENCE_SCHEME, reference_of
from qbench.report.model.report_model import COSTS, ReportModel
from qbench.report.statistics.equal_accuracy import AtAccuracy, Target, equal_accuracy
from qbench.report.statistics.size_curve import MIN_SIZES, SizeCurve, reference_index
from qbench.trial.naming import short_names

OFFSETS = (0.0, 0.005, 0.01)
"""How far below float32's accuracy the default targets are."""
_PREFIX = "model_options."


@dataclass(frozen=True)
class Family:
    """The curves that are compared with each other: tested on the same images, with the same float32 curve.

    Attributes:
        curves: of the schemes, none with fewer than `MIN_SIZES` sizes; the float32 curve first, where there is one.
        groups: of each curve its groups, from the smallest size on.
        reference: index of the float32 curve, 0; None without one.
        reference_size: index of that curve's size whose accuracy the default targets are relative to.
    """

    curves: tuple[SizeCurve, ...]
    groups: tuple[tuple[Group, ...], ...]
    reference: int | None
    reference_size: int

    def targets(self, at_accuracy: Sequence[float] = ()) -> tuple[Target, ...]:
        """Return the accuracies given, or, without any, float32's at its reference size minus 0, 0.5 and 1 point."""
        if at_accuracy or self.reference is None:
            return tuple(Target(each) for each in at_accuracy)
        own = self.curves[self.reference].fit[self.reference_size]
        return tuple(Target(own - below, below) for below in OFFSETS)

    def read(self, targets: Sequence[Target]) -> list[AtAccuracy]:
        """Return what each curve costs at each target."""
        return equal_accuracy(self.curves, targets, self.reference, self.reference_size)


@dataclass(frozen=True)
class SizeCurves:
    """The curves of a report.

    Attributes:
        option: the size option, without `model_options.`; None where no option varies over enough sizes.
        families: what is compared with each other.
        refused: why a scheme has no curve, a sentence each.
        missing: why there is no curve at all; None where there is one.
    """

    option: str | None
    families: tuple[Family, ...] = ()
    refused: tuple[str, ...] = ()
    missing: str | None = None


def size_curves(model: ReportModel, reference_size: float | None = None) -> SizeCurves:
    """Return the curves of accuracy over the size option with most values.

    Args:
        model: what was read.
        reference_size: the float32 network's size whose accuracy the targets are relative to; None for the smallest one
            within two standard errors of the best (`statistics.size_curve.reference_index`).

    Raises:
        UserError: no float32 curve has this size.
    """
    key = _size_key(model)
    if key is None:
        why = f"no model option varies over at least {MIN_SIZES} sizes: see sweeps/width.yaml"
        return SizeCurves(None, missing=why)
    option = key.removeprefix(_PREFIX)
    others = [each for each in model.varying if each != key]
    sets: dict[str, list[Group]] = {}
    sized = [group for group in model.groups if _size(group, key) is not None]
    for name, group in zip(short_names([_without(group.config, key) for group in sized]), sized, strict=True):
        sets.setdefault(name, []).append(group)
    refused = [_refusal(name, groups, key, option) for name, groups in sets.items()]
    kept = {name: _done(groups, key) for (name, groups), why in zip(sets.items(), refused, strict=True) if why is None}
    families = _families(kept, key, others, reference_size)
    _check_size(families, option, reference_size)
    missing = None if families else f"no scheme has at least {MIN_SIZES} sizes"
    return SizeCurves(option, families, tuple(why for why in refused if why), missing)


def _without(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {other: value for other, value in config.items() if other != key}


def _size_key(model: ReportModel) -> str | None:
    """Return the model's numeric option with most values, the first of equals; None with fewer than `MIN_SIZES`."""
    counts = {
        key: len({size for group in model.groups if (size := _size(group, key)) is not None})
        for key in model.varying
        if key.startswith(_PREFIX)
    }
    best = max(counts, key=lambda key: counts[key], default=None)
    return best if best is not None and counts[best] >= MIN_SIZES else None


def _size(group: Group, key: str) -> float | None:
    value = group.config.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _done(groups: Sequence[Group], key: str) -> list[Group]:
    """Return the groups that have an accuracy, weight bytes and no failed check, from the smallest size on."""
    having = [group for group in groups if group.accuracy is not None and group.metrics.get(COSTS[0])]
    done = [group for group in having if not group.failed_checks]
    return sorted(done, key=lambda group: _size(group, key) or 0.0)


def _refusal(name: str, groups: Sequence[Group], key: str, option: str) -> str | None:
    """Return why the groups are no curve; None where they are."""
    done = _done(groups, key)
    if len(done) < MIN_SIZES:
        sizes = ", ".join(f"{_size(group, key):g}" for group in done) or "none"
        return f"{name} is left out: results at {len(done)} sizes ({option}: {sizes}), a curve needs {MIN_SIZES}"
    if not all(same_images(group, done[0]) for group in done):
        return f"{name} is left out: its sizes were tested on different images"
    return None


def _families(
    kept: dict[str, list[Group]], key: str, others: Sequence[str], reference_size: float | None
) -> tuple[Family, ...]:
    """Return the curves, together with the float32 curve that each is held against."""
    firsts = {groups[0].name: name for name, groups in kept.items()}
    candidates = [groups[0] for groups in kept.values()]
    sharing: dict[str | None, list[str]] = {}
    for name, groups in kept.items():
        found = groups[0] if groups[0].scheme == REFERENCE_SCHEME else reference_of(groups[0], candidates, others)
        sharing.setdefault(None if found is None else firsts[found.name], []).append(name)
    families = []
    for reference, names in sharing.items():
        for together in on_same_images(names, lambda name: kept[name][0]) if reference is None else [names]:
            names = together if reference is None else [reference, *(n for n in together if n != reference)]
            families.append(_family(names, kept, key, reference is not None, reference_size))
    return tuple(families)


def _family(
    names: Sequence[str], kept: dict[str, list[Group]], key: str, referred: bool, reference_size: float | None
) -> Family:
    curves = tuple(_curve(name, kept[name], key) for name in names)
    at = 0
    if referred:
        sizes = curves[0].sizes
        at = sizes.index(reference_size) if reference_size in sizes else reference_index(curves[0])
    return Family(curves, tuple(tuple(kept[name]) for name in names), 0 if referred else None, at)


def _curve(name: str, groups: Sequence[Group], key: str) -> SizeCurve:
    costs = {cost: tuple(value for group in groups if (value := group.metrics.get(cost))) for cost in COSTS}
    return SizeCurve(
        name,
        tuple(_size(group, key) or 0.0 for group in groups),
        {cost: values for cost, values in costs.items() if len(values) == len(groups)},
        tuple(group.correct() for group in groups),
        tuple(group.seeds for group in groups),
    )


def _check_size(families: Sequence[Family], option: str, reference_size: float | None) -> None:
    if reference_size is None:
        return
    sizes = [family.curves[0].sizes for family in families if family.reference is not None]
    if not any(reference_size in each for each in sizes):
        known = sorted({size for each in sizes for size in each})
        have = f"it has {', '.join(f'{size:g}' for size in known)}" if known else "there is no curve of float32"
        raise UserError(f"no float32 network has {option} {reference_size:g}: {have}")
