"""How often binary weights change their sign while they are trained."""

from __future__ import annotations

from statistics import fmean

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.selection import Row, blocks, bounded, chart_note, every, names

MAX_EPOCHS = 60
"""The epochs of a layer, at most: of more every k-th and the last are shown."""
CHART_GROUPS = 6
"""The groups in the chart, at most: each is a panel."""
CHART_LAYERS = 8
"""The layers of a group in the chart, at most: each is a line."""
_PREFIX = "flips/"


def flips(model: ReportModel) -> View:
    """Return the share of each binary layer's weights whose sign changed, by epoch: the mean over the seeds."""
    rows, notes = bounded(blocks(model, _rows, CHART_GROUPS))
    shown = names(rows)
    thinned = any(int(str(row[2])) > MAX_EPOCHS for row in rows)
    return View(
        "flips",
        "Sign flips of binary weights",
        "Share of a layer's binary weights whose sign is not what it was an epoch before: mean over the seeds. It "
        "falls as a training settles. The axis is logarithmic, so that an epoch without a change has no point.",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("epoch", "epoch", ".0f"),
            Column("flips", "flipped weights", ".3%", "measured"),
            Column("seeds", "seeds", ".0f", "counted"),
        ),
        rows,
        (
            *((f"of more than {MAX_EPOCHS} epochs every k-th is shown, and the last",) if thinned else ()),
            *chart_note(shown, CHART_GROUPS),
            *chart_note(list(dict.fromkeys(str(row[1]) for row in rows)), CHART_LAYERS, "layers"),
            *notes,
            *(without_details(model) if rows else ()),
        ),
        None if rows else missing(model, "no scheme here has binary weights"),
    )


def _rows(group: Group) -> list[Row]:
    values: dict[str, dict[float, list[float]]] = {}
    for found in group.details.values():
        for key, shares in found.history.items():
            if key.startswith(_PREFIX):
                of_epoch = values.setdefault(key.removeprefix(_PREFIX), {})
                for epoch, share in zip(found.history["epoch"], shares, strict=True):
                    if epoch is not None and share is not None:
                        of_epoch.setdefault(epoch, []).append(share)
    return [row for layer, of_epoch in values.items() for row in _layer(group.name, layer, of_epoch)]


def _layer(group: str, layer: str, of_epoch: dict[float, list[float]]) -> list[Row]:
    epochs = sorted(of_epoch)
    step = every(len(epochs), MAX_EPOCHS)
    return [
        (group, layer, int(epoch), fmean(of_epoch[epoch]), len(of_epoch[epoch]))
        for index, epoch in enumerate(epochs)
        if index % step == 0 or epoch == epochs[-1]
    ]
