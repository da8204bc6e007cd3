"""Two groups held against each other, as a paragraph of plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qbench.report.model.comparison import Comparison
from qbench.report.model.group import Group
from qbench.report.model.savings import savings
from qbench.report.model.wording import number_of, percent, points
from qbench.report.statistics.difference import Difference

_BOTH = "seeds and images"
_BYTES, _ENERGY, _TIME = "cost/weight_bytes", "cost/energy_uj", "time/inference_ms"


def paragraph(first: Group, second: Group, found: Comparison, budgets: Sequence[str] = ()) -> str:
    """Return what the first group has and takes beside the second: accuracy, tests, costs, power.

    Args:
        first, second: the groups.
        found: `compare(first, second)`.
        budgets: `ReportModel.budgets`, of which those of the two groups are said.
    """
    parts = [*_accuracy(first, second, found), *_costs(first, second)]
    if saved := savings(first, second):
        parts.append(f"So {first.name} takes {saved} beside {second.name}.")
    for group in (first, second):
        parts += [f"A check of {group.name} failed, {fault}." for fault in group.failed_checks[:1]]
    if found.difference is not None:
        parts += _power(found.difference)
    own = [line for line in budgets if any(line.startswith(f"{group.name}: ") for group in (first, second))]
    if own:
        parts.append(f"Their budgets differ, and the difference may be theirs: {'; '.join(own)}.")
    return " ".join(parts)


def _accuracy(first: Group, second: Group, found: Comparison) -> Iterator[str]:
    each = found.difference
    if each is None:
        yield f"The accuracies of {first.name} and {second.name} cannot be held against each other: {found.withheld}."
        return
    yield (
        f"{first.name} against {second.name}, on the same {number_of(each.images, 'test image')} and with "
        f"{number_of(each.seeds, 'pair')} of trainings of equal seeds:"
    )
    yield f"{_versus(first, second)} {_difference(each)}."
    whose = "" if each.over == _BOTH else ", for these trainings"
    word = "distinguishable" if found.distinguishable else "not distinguishable"
    yield f"The difference is {word} from none{whose}: {_tests(each)}."
    if found.distinguishable is False:
        yield "That does not make them equal."


def _versus(first: Group, second: Group) -> str:
    if first.accuracy is None or second.accuracy is None:
        return "the difference in accuracy is"
    means = f"{percent(first.accuracy.mean)} against {percent(second.accuracy.mean)}"
    return f"mean accuracy (measured) is {means}, a difference of"


def _difference(each: Difference) -> str:
    ends = f"{points(each.low)} to {points(each.high)}"
    return f"{points(each.mean)} points in these pairs (95 % interval over {_over(each)}: {ends})"


def _over(each: Difference) -> str:
    return _BOTH if each.over == _BOTH else "test images alone"


def _tests(each: Difference) -> str:
    """Return the p-values; the first decides, for it is the one that holds for what the interval is over."""
    seeds = "none, too few or equal pairs" if each.p_seeds is None else _p(each.p_seeds)
    return (
        f"p = {_p(each.p)} over {_over(each)}; over seeds alone, for these images: {seeds} (paired t-test); over "
        f"images alone, for these trainings: {_p(each.p_images)} (McNemar's exact test, Bonferroni over the seeds); "
        f"one comparison, corrected for no other"
    )


def _p(value: float) -> str:
    return "less than 0.0001" if value < 0.0001 else f"{value:.2g}"


def _costs(first: Group, second: Group) -> Iterator[str]:
    mine, other = first.metrics.get(_BYTES), second.metrics.get(_BYTES)
    if mine is not None and other is not None:
        yield f"Counted: {mine:,.0f} against {other:,.0f} bytes kept for inference."
    energies = _range(first, _ENERGY, "µJ"), _range(second, _ENERGY, "µJ")
    if all(energies):
        yield (
            f"Estimated, from counts and published prices: {energies[0]} against {energies[1]} for one "
            f"inference{_brackets(energies, 'the low and the high estimate')}."
        )
    times = _range(first, _TIME, "ms"), _range(second, _TIME, "ms")
    if all(times):
        yield (
            f"Measured on the machine of the sweep: {times[0]} against {times[1]} for one "
            f"inference{_brackets(times, 'quartiles')}."
        )


def _brackets(texts: Sequence[str | None], what: str) -> str:
    """Return what the brackets hold, where there are any."""
    return f" (in brackets: {what})" if any("(" in str(text) for text in texts) else ""


def _range(group: Group, name: str, unit: str) -> str | None:
    """Return a metric with its low and high value, where it has them."""
    low, mid, high = group.bounds(name)
    if mid is None:
        return None
    spread = f" ({low:.3g} to {high:.3g})" if low is not None and high is not None and low < high else ""
    return f"{mid:.3g} {unit}{spread}"


def _power(each: Difference) -> Iterator[str]:
    if each.detectable:
        yield (
            f"With {number_of(each.seeds, 'seed')} and these images, {100 * each.detectable:.2f} points are found in "
            f"four cases of five."
        )
    if each.seeds_needed is not None:
        yield f"To find one of the size seen as often takes about {number_of(each.seeds_needed, 'seed')}."
    elif each.detectable and each.mean:
        yield "To find one of the size seen, these test images are too few with any number of seeds."
