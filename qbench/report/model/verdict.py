"""The decision in words: what the trials allow to say, and what they do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qbench.report.model.against import against
from qbench.report.model.group import Group
from qbench.report.model.images import on_same_images
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed, number_of, percent, share
from qbench.report.statistics.crossed import MIN_SEEDS

# A group that is off the front by its means is named where it is on it in at least this share of draws.
_WORTH_NAMING = 0.05


def verdict(model: ReportModel) -> tuple[str, ...]:
    """Return what the results say, a paragraph of short sentences each; what limits them comes first."""
    if not model.done:
        return (_nothing(model),)
    sets = on_same_images((group for group in model.groups if group.runs), lambda group: group)
    return (
        *_unfinished(model),
        *_several_sets(sets),
        *_failed_checks(model.groups),
        *_disagreements(model.groups),
        *_few_seeds(model),
        *(text for members in sets for text in _compared(model, members)),
        *(text for members in sets for text in _front(members, several=len(sets) > 1)),
        *_budgets(model),
    )


def _nothing(model: ReportModel) -> str:
    if not model.planned:
        return "No trial is planned: there is nothing to compare."
    failed = f" {number_of(model.failed, 'trial')} failed." if model.failed else ""
    return f"None of {number_of(model.planned, 'planned trial')} is done: there is nothing to compare.{failed}"


def _unfinished(model: ReportModel) -> Iterator[str]:
    parts = [f"{model.failed} failed"] if model.failed else []
    if model.not_run:
        parts.append(f"{model.not_run} {'has' if model.not_run == 1 else 'have'} not run")
    if parts:
        yield (
            f"Incomplete: of {number_of(model.planned, 'planned trial')} {' and '.join(parts)}. What follows is about "
            f"the {model.done} that {'is' if model.done == 1 else 'are'} done."
        )


def _several_sets(sets: Sequence[Sequence[Group]]) -> Iterator[str]:
    if len(sets) > 1:
        parts = "; ".join(listed([group.name for group in members]) for members in sets)
        yield (
            f"The groups were tested on {len(sets)} different sets of images, and only those of one set are compared: "
            f"{parts}."
        )


def _failed_checks(groups: Sequence[Group]) -> Iterator[str]:
    found = [f"{group.name} ({group.failed_checks[0]})" for group in groups if group.failed_checks]
    if found:
        yield (
            f"A check failed: {listed(found)}. Of such a group no saving, no place on the Pareto front and no best "
            "trial is named."
        )


def _disagreements(groups: Sequence[Group]) -> Iterator[str]:
    """Say what differs within the tolerance: rounding, which the accuracies below do not show."""
    agreements = [(g.name, g.metrics.get("kernel/agreement")) for g in groups if not g.failed_checks]
    found = [(name, agreement) for name, agreement in agreements if agreement is not None and agreement < 1]
    if found:
        parts = listed([f"{name} (on {percent(1 - agreement)} of the images)" for name, agreement in found])
        yield (
            f"Packed execution predicts otherwise than the network that was tested, in its worst training: {parts}. "
            "The accuracies below are not those of the packed networks there."
        )


def _few_seeds(model: ReportModel) -> Iterator[str]:
    """Say what is withheld where groups have fewer than `MIN_SEEDS` seeds in common."""
    found = [each.difference for each in model.comparisons if each.difference is not None]
    few = [each.seeds for each in found if each.seeds < MIN_SEEDS]
    if not found and len(model.groups) == 1:
        few = [model.groups[0].runs] * (model.groups[0].runs < MIN_SEEDS)
    if not few:
        return
    where = "There" if len(few) == max(len(found), 1) else f"In {len(few)} of {len(found)} pairs there"
    counts = " or ".join(str(count) for count in sorted(set(few)))
    noun = "seed" if counts == "1" else "seeds"
    yield (
        f"{where} {'is' if counts == '1' else 'are'} {counts} {noun}{_in_common(model)}, fewer than {MIN_SEEDS}: "
        "nothing is said of other seeds. Intervals and p-values of such pairs are over the test images alone and hold "
        "for these trainings."
    )


def _in_common(model: ReportModel) -> str:
    """Return ` in common` where a pair with few seeds has a group with more than these."""
    runs = {group.name: group.runs for group in model.groups}
    pairs = [
        (each.difference.seeds, runs[each.first], runs[each.second]) for each in model.comparisons if each.difference
    ]
    return " in common" if any(seeds < min(MIN_SEEDS, max(own)) for seeds, *own in pairs) else ""


def _compared(model: ReportModel, members: Sequence[Group]) -> Iterator[str]:
    """Hold the groups of one set of images against their float32 references, or against the most accurate of them."""
    if len(members) == 1:
        yield _alone(members[0])
        return
    names = [group.name for group in members]
    references = list(dict.fromkeys(group.reference for group in members if group.reference in names))
    for name in references:
        yield from against(model, model.group(str(name)), [group for group in members if group.reference == name])
    if not references:
        best = max(members, key=lambda group: group.accuracy.mean if group.accuracy else 0.0)
        yield f"There is no float32 group among {listed(names)}; the most accurate by its mean is {best.name}."
        yield from against(model, best, [group for group in members if group is not best])


def _alone(group: Group) -> str:
    found = group.accuracy
    assert found is not None  # a group with a trial that is done
    over = "seeds and test images" if found.method == "crossed" else "test images alone"
    return (
        f"{group.name} has {percent(found.mean)} accuracy (95 % interval {100 * found.low:.2f} to "
        f"{percent(found.high)}, over {over}); there is no other group to compare it with on the same images."
    )


def _front(members: Sequence[Group], several: bool) -> Iterator[str]:
    placed = [group for group in members if group.pareto is not None]
    if len(placed) < 2:
        return
    where = f" among {listed([group.name for group in placed])}" if several else ""
    least = min(group.runs for group in placed)
    over = f", which with {number_of(least, 'seed')} say {'nothing' if least == 1 else 'little'} of other seeds"
    on = [_surely(group) for group in placed if group.pareto]
    near = [_surely(group) for group in placed if not group.pareto and (group.front_probability or 0) >= _WORTH_NAMING]
    yield (
        f"On the Pareto front of accuracy, weight bytes and estimated energy{where}, by means (in brackets: in how "
        f"many bootstrap draws{over if least < MIN_SEEDS else ''}): {listed(on)}."
        + (f" Off it by means, but not surely: {listed(near)}." if near else "")
    )


def _surely(group: Group) -> str:
    return f"{group.name} ({'-' if group.front_probability is None else share(group.front_probability)})"


def _budgets(model: ReportModel) -> Iterator[str]:
    if model.budgets:
        names = [g.name for g in model.groups if any(line.startswith(f"{g.name}: ") for line in model.budgets)]
        yield (
            f"Budgets differ: {listed(names)} {'has' if len(names) == 1 else 'have'} another number of epochs, "
            "initial learning rate, optimizer or loss than most. Part of a difference in accuracy may come from that."
        )
