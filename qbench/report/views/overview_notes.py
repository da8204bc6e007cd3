"""What a reader must know to read the table of all groups."""

from __future__ import annotations

from collections.abc import Collection

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import LONGEST, listed, number_of
from qbench.report.statistics.crossed import MIN_SEEDS
from qbench.report.statistics.significance import SIGNIFICANCE
from qbench.trial.metrics import show

INTERVALS = {"crossed": "seeds and images", "images": "images", "exact": "images, exact"}
"""By the method of an accuracy's interval: what it is over."""
_ENDS = ("test/accuracy_low", "test/accuracy_high")
# Of the columns, the metric and its name in a note.
_COUNTED = {"cost/weight_bytes": "weight bytes", "cost/quantized_share": "quantized MACs"}
_MEASURED = {
    "test/accuracy": "accuracy",
    "filters/unique_fraction": "unique filters",
    "kernel/agreement": "kernel agreement (packed against fake-quantized)",
    "time/inference_ms": "latency",
    "time/train_s": "training time",
}


def notes(model: ReportModel, shown: Collection[str]) -> list[str]:
    """Return the notes, a sentence or two each.

    Args:
        model: what was read.
        shown: names of the table's columns: a note speaks of these and of no others.
    """
    return [
        *_intervals(model, shown),
        *(_letters(model) if "letters" in shown else []),
        *_sources(model, shown),
        *(_quantized(model) if "cost/quantized_share" in shown else []),
        *_metered(model, shown),
        *(_latency(model) if "time/inference_ms" in shown else []),
        *(_random_filters(model) if "filters/unique_fraction" in shown else []),
        *(_energy_spread(model) if "cost/energy_uj" in shown else []),
        *_front(model, shown),
        *_failed_checks(model),
        *(f"other budget: {note}" for note in model.budgets),
        *_shared_trainings(model),
        *_best(model),
        *_incomplete(model),
        *_earlier(model),
    ]


def _has(model: ReportModel, metric: str) -> bool:
    return any(group.metrics.get(metric) is not None for group in model.groups)


def _intervals(model: ReportModel, shown: Collection[str]) -> list[str]:
    methods = {group.accuracy.method for group in model.groups if group.accuracy is not None}
    if not methods or not {"test/accuracy", *_ENDS} & set(shown):
        return []
    runs = {group.runs for group in model.groups if group.runs}
    each = number_of(max(runs), "run") if len(runs) == 1 and "runs" not in shown else "runs"
    if not {*_ENDS, "test/accuracy_over"} & set(shown):
        return [f"accuracy: mean over {each} on the test images"]
    over = "seeds and test images, for others like them" if "crossed" in methods else "test images"
    lines = [f"accuracy: mean over {each} on the test images; interval: 95 %, over {over}"]
    if "images" in methods:
        lines.append(
            f"interval over images: fewer than {MIN_SEEDS} seeds; it is over test images alone and says nothing of "
            "other seeds"
        )
    if "exact" in methods:
        lines.append(
            "interval over images, exact: every prediction alike, so that there is no spread; Clopper-Pearson over the "
            "test images"
        )
    return lines


def _letters(model: ReportModel) -> list[str]:
    if not any(group.letters for group in model.groups):
        return []
    tests = sum(each.p_adjusted is not None for each in model.comparisons)
    return [
        f"letters: groups that share one are not distinguishable in accuracy (p above {SIGNIFICANCE:g} after Holm's "
        f"correction for {number_of(tests, 'comparison')}); that does not make them equal"
    ]


def _sources(model: ReportModel, shown: Collection[str]) -> list[str]:
    counted = [text for name, text in _COUNTED.items() if name in shown and _has(model, name)]
    measured = [text for name, text in _MEASURED.items() if name in shown and _has(model, name)]
    parts = []
    if counted:
        parts.append(f"counted from shapes and formats: {', '.join(counted)}")
    if "cost/energy_uj" in shown and _has(model, "cost/energy_uj"):
        parts.append(
            "estimated: energy of one inference (operations and memory accesses at Horowitz's 45 nm prices, binary "
            "ones at our own)"
        )
    ratios = [name for name in ("cost/weight_compression", "cost/energy_compression") if name in shown]
    if any(_has(model, name) for name in ratios):
        parts.append("×: how many times less than float32")
    return [
        *(["; ".join(parts)] if parts else []),
        *([f"measured: {', '.join(measured)}"] if measured else []),
    ]


def _quantized(model: ReportModel) -> list[str]:
    if not _has(model, "cost/quantized_share"):
        return []
    return [
        "quantized MACs: share of all multiply-accumulates of which a weight or an input is quantized; the others are "
        "float32: layers that stay float, attention, recurrent cells"
    ]


def _metered(model: ReportModel, shown: Collection[str]) -> list[str]:
    if not any(name.startswith("cost/") for name in shown):
        return []
    names = [
        group.name for group in model.groups if any(trial.row.get("cost/account") == "meter" for trial in group.trials)
    ]
    if not names:
        return []
    return [
        f"costs of {listed(names)}: from one run on zeros, for no graph of the network's operations can be read; no "
        "normalization folds, and activations between layers are float32"
    ]


def _latency(model: ReportModel) -> list[str]:
    if not _has(model, "time/inference_ms"):
        return []
    return [
        "latency: of one image on the CPU, packed where the network packs and float32 elsewhere; other "
        "trials may have run meanwhile, so that small differences say nothing"
    ]


def _random_filters(model: ReportModel) -> list[str]:
    random = sorted({value for group in model.groups if (value := group.metrics.get("filters/random_fraction"))})
    if not random:
        return []
    shares = " and ".join(f"{100 * value:.1f} %" for value in random)
    return [
        "unique filters: mean of the layers, each per input map, a filter and its inverse counted once; random weights "
        f"would have {shares}"
    ]


def _energy_spread(model: ReportModel) -> list[str]:
    spread = max((_spread(group) for group in model.groups), default=0.0)
    text = f"energy: the middle of a low and a high estimate, at most {100 * spread:.1f} % away (results.csv has both)"
    return [text] if spread else []


def _spread(group: Group) -> float:
    """Return half the distance between the low and the high energy, as a fraction of their middle."""
    low, mid, high = group.bounds("cost/energy_uj")
    return 0.0 if low is None or high is None or not mid else (high - low) / 2 / mid


def _front(model: ReportModel, shown: Collection[str]) -> list[str]:
    if all(group.pareto is None for group in model.groups):
        return []
    few = min(group.runs for group in model.groups if group.pareto is not None) < MIN_SEEDS
    star = (
        "Pareto: no other scheme tested on the same images is as accurate or better with no more weight bytes and "
        "energy, by means"
    )
    share = "on front: the share of bootstrap draws of seeds and test images in which that holds" + (
        f", where fewer than {MIN_SEEDS} seeds say next to nothing of other seeds" if few else ""
    )
    both = {"pareto": star, "front_probability": share if "pareto" in shown else f"{share} ({star})"}
    parts = [text for name, text in both.items() if name in shown]
    return ["; ".join(parts)] if parts else []


def _failed_checks(model: ReportModel) -> list[str]:
    found = [group for group in model.groups if group.failed_checks]
    return [f"check FAILED: {group.name}, {group.failed_checks[0]}; no Pareto mark" for group in found]


def _named(group: Group) -> str:
    names = (group.name, *group.shares_training)
    return ", ".join(names) if len(names) <= LONGEST else listed(names)


def _shared_trainings(model: ReportModel) -> list[str]:
    lines, seen = [], set[str]()
    for group in model.groups:
        if group.shares_training and group.name not in seen:
            seen |= {group.name, *group.shares_training}
            lines.append(f"one training per seed is shared by {_named(group)}")
    return lines


def _best(model: ReportModel) -> list[str]:
    if model.best is None:
        return []
    best = model.best
    return [f"best {best.metric}: {show(best.metric, best.value)} by {best.name} seed={best.seed}"]


def _incomplete(model: ReportModel) -> list[str]:
    return [f"incomplete: {model.not_run} of {model.planned} trials have not run"] if model.not_run else []


def _earlier(model: ReportModel) -> list[str]:
    count = sum(len(study.earlier) for study in model.studies)
    if not count:
        return []
    return [
        f"also in the folder, and in no number above: {number_of(count, 'trial')} of an earlier plan or version of "
        "the code (`qbench show FOLDER --earlier` lists them)"
    ]
