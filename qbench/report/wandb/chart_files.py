"""The charts of a report as files: what is drawn, and what draws it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from qbench.report.charts.catalogue import CHARTS
from qbench.report.charts.picture import light_specification, svg
from qbench.report.view import View


def charted(views: Mapping[str, View]) -> dict[str, View]:
    """Return the views that have rows and a chart."""
    return {name: view for name, view in views.items() if view.rows and view.missing is None and name in CHARTS}


def chart_page(view: View) -> str:
    """Return a view's chart, drawn, with its caption as an HTML page that loads nothing."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(view.title)}</title>'
        f"</head>\n<body>\n<figure>\n{svg(view)}<figcaption>{escape(view.caption)}</figcaption>\n</figure>\n"
        "</body>\n</html>\n"
    )


def vega_specification(view: View) -> dict[str, Any]:
    """Return a view's chart in Vega, for a wandb custom chart.

    Its data stay inside, so that the chart shows what the view holds and nothing else. wandb hands its table to a data
    set called `wandb`, which the specification must therefore have, even though no mark reads it.
    """
    import vl_convert

    vega: dict[str, Any] = vl_convert.vegalite_to_vega(json.dumps(light_specification(view)))
    return {**vega, "data": [{"name": "wandb"}, *vega.get("data", [])]}
