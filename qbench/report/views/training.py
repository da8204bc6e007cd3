"""The training curves of each group: validation accuracy and training loss by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from qbench.report.model.group import FOLDER, Group
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.selection import Row, blocks, bounded, chart_note, every, names

MAX_EPOCHS = 100
"""The epochs of a curve, at most: of more every k-th and the last are shown."""
_MAX_NOTES = 4
_AND = "; "
"""Between names, which may hold a comma: `model_options.hidden=[64, 32]`."""


def training_accuracy(model: ReportModel) -> View:
    """Return each group's validation accuracy by epoch."""
    said = " Where the first epochs lie far below all others the axis starts above them, and says so."
    return _curves(
        model, "training-accuracy", "Validation accuracy", "val/accuracy", "validation accuracy", ".2%", said
    )


def training_loss(model: ReportModel) -> View:
    """Return each group's training loss by epoch."""
    said = " Losses compare only between schemes that train with the same loss."
    return _curves(model, "training-loss", "Training loss", "train/loss", "training loss", ".4g", said)


def _curves(model: ReportModel, name: str, title: str, metric: str, heading: str, form: str, said: str = "") -> View:
    having = blocks(model, lambda group: _rows(group, metric))
    same = _shared([model.group(group) for group, _ in having])
    rows, notes = bounded((group, [(*row, same[group]) for row in own]) for group, own in having)
    return View(
        name,
        title,
        "Line: mean over the seeds after each epoch. Band: the lowest and the highest of the seeds, which is no "
        f"confidence interval.{said}",
        (
            Column("group", "scheme"),
            Column("epoch", "epoch", ".0f"),
            Column(metric, heading, form, "measured"),
            Column(f"{metric}_low", "lowest of the seeds", form, "measured"),
            Column(f"{metric}_high", "highest of the seeds", form, "measured"),
            Column("seeds", "seeds", ".0f", "counted"),
            Column("shares_training", "same trainings as"),
        ),
        rows,
        (
            *_shared_notes(same, names(rows)),
            *_thinned(rows),
            *chart_note(curves(rows), of="curves"),
            *notes,
            *(without_details(model) if rows else ()),
        ),
        None if rows else missing(model, "no trial here has kept its epochs"),
    )


def others(row: Row) -> list[str]:
    """Return the groups that share the trainings of the row's group."""
    return str(row[-1]).split(_AND) if row[-1] else []


def curves(rows: Sequence[Row]) -> list[str]:
    """Return the groups whose curve is drawn: of those that share their trainings the first."""
    found: dict[str, None] = {}
    for row in rows:
        if not any(other in found for other in others(row)):
            found.setdefault(str(row[0]))
    return list(found)


def _rows(group: Group, metric: str) -> list[Row]:
    """Return the group's name, the epoch, mean, lowest, highest, and the number of seeds that have the epoch."""
    values: dict[float, list[float]] = {}
    for found in group.details.values():
        for epoch, value in zip(found.history.get("epoch", ()), found.history.get(metric, ()), strict=False):
            if epoch is not None and value is not None:
                values.setdefault(epoch, []).append(value)
    epochs = sorted(values)
    step = every(len(epochs), MAX_EPOCHS)
    return [
        (group.name, int(epoch), fmean(values[epoch]), min(values[epoch]), max(values[epoch]), len(values[epoch]))
        for index, epoch in enumerate(epochs)
        if index % step == 0 or epoch == epochs[-1]
    ]


def _shared(groups: Sequence[Group]) -> dict[str, str | None]:
    """Return for each group those that show the very same trainings, seed for seed, as `a; b`."""
    trainings = {group.name: _trainings(group) for group in groups}
    return {
        name: _AND.join(other for other in trainings if other != name and trainings[other] == mine) or None
        for name, mine in trainings.items()
    }


def _trainings(group: Group) -> frozenset[tuple[str | None, str]]:
    """Return the folder and the key of each training shown: equal keys of two folders are two trainings."""
    folder = group.config.get(FOLDER)
    return frozenset((folder, trial.row["training_key"]) for trial in group.trials if trial.trial_id in group.details)


def _shared_notes(same: dict[str, str | None], shown: Sequence[str]) -> tuple[str, ...]:
    sets = dict.fromkeys(frozenset([name, *shared.split(_AND)]) for name in shown if (shared := same[name]))
    if len(sets) > _MAX_NOTES:
        return (f"one curve for schemes that share their trainings: the last column names them ({len(sets)} curves)",)
    named = ([name for name in same if name in each] for each in sets)
    return tuple(f"one curve for {listed(each)}, which share their trainings" for each in named)


def _thinned(rows: Sequence[Row]) -> tuple[str, ...]:
    if not any(int(str(row[1])) > MAX_EPOCHS for row in rows):
        return ()
    return (f"of more than {MAX_EPOCHS} epochs every k-th is shown, and the last",)
