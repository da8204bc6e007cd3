"""Distinct filters by layer, beside random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.panels import facet, panelled
from qbench.report.charts.scales import field, tooltips
from qbench.report.view import View
from qbench.report.views.selection import CHART_GROUPS

if TYPE_CHECKING:
    import altair as alt

_UNIQUE, _RANDOM = "filters/unique_fraction", "filters/random_fraction"
_STEP, _BAR, _WIDTH = 24, 12, 250


def repeated_filters(view: View) -> alt.FacetChart:
    """Return a bar for each layer, with the range over the seeds, and a tick where random weights would be."""
    import altair as alt

    rows, groups = panelled(view.records(), CHART_GROUPS, _WIDTH, "group")
    layers = list(dict.fromkeys(str(row["layer"]) for row in rows))
    shown = ["group", "layer", _UNIQUE, f"{_UNIQUE}_low", f"{_UNIQUE}_high", _RANDOM, "filters", "input_maps", "seeds"]
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    x = alt.X(field(_UNIQUE), title="distinct filters; tick: random weights", axis=axis, scale=alt.Scale(domain=[0, 1]))
    lines = alt.Chart().encode(y=alt.Y(field("layer", "N"), sort=layers, title=None), tooltip=tooltips(view, shown))
    bars = lines.mark_bar(height=_BAR).encode(x=x)
    seeds = lines.mark_rule(style="label", strokeWidth=1.5).encode(x=field(f"{_UNIQUE}_low"), x2=f"{_UNIQUE}_high")
    random = lines.mark_tick(style="label", thickness=2, size=_STEP - 4).encode(x=field(_RANDOM))
    width = _WIDTH if len(groups) > 1 else 2 * _WIDTH
    return facet([bars, seeds, random], rows, groups, size=(width, _STEP * len(layers)), columns=2)
