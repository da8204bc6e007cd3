"""Groups held against one of them, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from qbench.report.model.comparison import MAX_GROUPS, Comparison
from qbench.report.model.group import Group
from qbench.report.model.reference import differing
from qbench.report.model.report_model import ReportModel
from qbench.report.model.savings import savings
from qbench.report.model.wording import LONGEST, listed, number_of, percent, points
from qbench.report.statistics.difference import Difference
from qbench.report.statistics.significance import SIGNIFICANCE


def against(model: ReportModel, base: Group, others: Sequence[Group]) -> Iterator[str]:
    """Yield what `others` save beside `base` and may lose, and which are distinguishable from it in accuracy."""
    pairs = [(group.name, model.comparison(group.name, base.name)) for group in others]
    found = [(name, each, _towards(each, name)) for name, each in pairs if each is not None and each.difference]
    assert base.accuracy is not None  # a group with a trial that is done
    yield from _other_settings(model, base, others)
    yield from _savings(base, others)
    yield from _losses(base, [(name, delta) for name, _, delta in found])
    title = f"{base.name} ({percent(base.accuracy.mean)})"
    tests = sum(each.p_adjusted is not None for each in model.comparisons)
    corrected = f" after correction for {tests} comparisons" if tests > 1 else ""
    apart = [(name, delta) for name, each, delta in found if each.distinguishable]
    alike = [(name, each, delta) for name, each, delta in found if not each.distinguishable]
    for word, sign in (("less", -1), ("more", 1)):
        if chosen := [_with_interval(name, delta) for name, delta in apart if delta.mean * sign > 0]:
            yield f"Distinguishably {word} accurate than {title}{corrected}: {listed(chosen)}."
    if alike:
        same = {name for name, _, _ in alike if _answers_alike(model.group(name), base)}
        yield _indistinct(title, corrected, alike, same)
    if near := [name for name, each, delta in alike if delta.p <= SIGNIFICANCE]:
        yield (
            f"{listed(near)}: alone, the comparison with {base.name} would count as distinguishable (p at most "
            f"{SIGNIFICANCE:g}){'; among ' + str(tests) + ' comparisons it does not' if tests > 1 else ''}."
        )
    yield from _withheld(base, pairs)


def _towards(comparison: Comparison, name: str) -> Difference:
    """Return the difference as that of the group `name` minus the other."""
    found = comparison.difference
    assert found is not None
    if comparison.first == name:
        return found
    return replace(found, mean=-found.mean, low=-found.high, high=-found.low)


def _other_settings(model: ReportModel, base: Group, others: Sequence[Group]) -> Iterator[str]:
    """Name the groups that differ from `base` in more than the scheme: it was the nearest float32 group there is."""
    if found := [
        group.name for group in others if group.reference == base.name and differing(group, base, model.varying)
    ]:
        yield (
            f"No float32 group has the settings of {listed(found)}: {base.name} differs in more than the scheme, so "
            "that what is said beside it is not the format's alone."
        )


def _savings(base: Group, others: Sequence[Group]) -> Iterator[str]:
    by_text: dict[str, list[str]] = {}
    for group in others:
        if (text := savings(group, base)) is not None:
            by_text.setdefault(text, []).append(group.name)
    if by_text:
        parts = [f"{listed(names)} {'takes' if len(names) == 1 else 'take'} {text}" for text, names in by_text.items()]
        more = f"; {len(parts) - LONGEST} more differ from these" if len(parts) > LONGEST else ""
        yield f"Beside {base.name}, {'; '.join(parts[:LONGEST])}{more}."


def _losses(base: Group, found: Sequence[tuple[str, Difference]]) -> Iterator[str]:
    """Say how much less accurate than `base` each group may be: the worse end of its interval, the least loss first."""
    by_loss: dict[tuple[str, str], list[str]] = {}
    for name, delta in sorted(found, key=lambda each: -each[1].low):
        by_loss.setdefault((points(max(-delta.low, 0.0)).lstrip("+"), _over(delta)), []).append(name)
    if by_loss:
        parts = [f"{loss} points{over} ({listed(names)})" for (loss, over), names in by_loss.items()]
        yield (
            f"Accuracy that may be lost beside {base.name}, by the worse end of each 95 % interval by itself: "
            f"{listed(parts)}."
        )


def _with_interval(name: str, delta: Difference, same: bool = False) -> str:
    size = "right on the same images" if same else f"{points(delta.mean)} points"
    return f"{name} ({size}, 95 % interval {points(delta.low)} to {points(delta.high)}{_over(delta)})"


def _over(delta: Difference) -> str:
    """Return what is said of an interval that does not hold for other seeds."""
    return "" if delta.over == "seeds and images" else " over test images alone"


def _answers_alike(group: Group, base: Group) -> bool:
    """Whether both are right on the same images, seed by seed."""
    seeds = sorted(set(group.seeds) & set(base.seeds))
    return bool((group.correct(seeds) == base.correct(seeds)).all())


def _indistinct(
    title: str, corrected: str, alike: Sequence[tuple[str, Comparison, Difference]], same: Collection[str]
) -> str:
    """Say who is not distinguishable (`same`: to the last image), and how large a difference would have been found."""
    names = [_with_interval(name, delta, same=name in same) for name, _, delta in alike]
    parts = [
        f"Not distinguishable from {title} in accuracy{corrected}, which does not make them equal: {listed(names)}."
    ]
    unsure = [delta for _, _, delta in alike if delta.detectable]
    if unsure:
        worst = max(unsure, key=lambda delta: delta.detectable or 0.0)
        for_whom = "" if len(alike) == 1 else " in the least sure of these pairs"
        parts.append(
            f"With {number_of(worst.seeds, 'seed')} and {number_of(worst.images, 'image')}, a difference below "
            f"{100 * (worst.detectable or 0):.2f} points is missed in more than one case of five{for_whom}"
            f"{', even before correction' if corrected else ''}."
        )
    parts += _seeds_needed([(name, delta) for name, _, delta in alike], "before correction, " if corrected else "")
    return " ".join(parts)


def _seeds_needed(alike: Sequence[tuple[str, Difference]], before: str) -> Iterator[str]:
    more = [
        f"{delta.seeds_needed} for {name}"
        for name, delta in alike
        if delta.seeds_needed is not None and delta.seeds_needed > delta.seeds
    ]
    if more:
        yield f"To find a difference of the size seen, {before}it takes about this many seeds: {listed(more)}."
    none = [
        name if delta.images_needed is None else f"{name} (with as many seeds, about {delta.images_needed:,} would do)"
        for name, delta in alike
        if delta.detectable and delta.seeds_needed is None and delta.mean
    ]
    if none:
        yield f"These test images are too few to find one of the size seen with any number of seeds: {listed(none)}."


def _withheld(base: Group, pairs: Sequence[tuple[str, Comparison | None]]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for name, each in pairs:
        if each is None:
            reason = f"with more than {MAX_GROUPS} groups each is compared with its float32 reference alone"
        elif each.difference is None:
            reason = str(each.withheld)
        else:
            continue
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        yield f"Not compared with {base.name}: {listed(names)} ({reason})."
