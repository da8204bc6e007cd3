"""A view's chart as a picture for a paper or a slide: light, on white, under its title."""

from __future__ import annotations

import json
from typing import Any

from qbench.errors import UserError
from qbench.report.charts.catalogue import CHARTS
from qbench.report.charts.theme import LIGHT, vega_config
from qbench.report.charts.titled_svg import titled_svg
from qbench.report.view import View

WIDTH = 640
"""Pixels of a chart that is as wide as its page."""
_PPI = 200


def svg(view: View) -> str:
    """Return the text of an SVG file, with title and description for a screen reader; the same view, the same text.

    Raises:
        UserError: a view without a chart, or without rows.
    """
    import vl_convert

    return titled_svg(vl_convert.vegalite_to_svg(json.dumps(light_specification(view))), view.title, view.caption)


def png(view: View) -> bytes:
    """Return a PNG file at 200 dots per inch.

    Raises:
        UserError: a view without a chart, or without rows.
    """
    import vl_convert

    return vl_convert.vegalite_to_png(json.dumps(light_specification(view)), ppi=_PPI)


def light_specification(view: View) -> dict[str, Any]:
    """Return a view's chart as a picture shows it: with its title, a width and the light theme's configuration.

    Raises:
        UserError: a view without a chart, or without rows.
    """
    found = specification(view)
    if found is None:
        known = f"Charts: {', '.join(CHARTS)}" if view.name not in CHARTS else view.missing
        raise UserError(f"{view.name}: has no chart. {known}")
    config = {**vega_config(LIGHT), "background": LIGHT.background, "aria": False}
    title = {"text": view.title, "anchor": "start"}
    width = {"width": WIDTH} if found.get("width") == "container" else {}
    return {**found, **width, "title": title, "config": _merged(config, found.get("config", {}))}


def specification(view: View) -> dict[str, Any] | None:
    """Return a view's chart as a Vega-Lite specification, with its data; None without rows or without a chart."""
    if view.missing is not None or not view.rows or view.name not in CHARTS:
        return None
    import altair as alt
    from altair.utils.schemapi import debug_mode

    # Altair's own theme would come before the page's: none.
    # Checked against Vega-Lite's schema in the tests: here the check would take most of a page's time.
    with (
        alt.theme.enable("none"),
        alt.data_transformers.enable("default", max_rows=None, consolidate_datasets=False),
        debug_mode(False),
    ):
        found = CHARTS[view.name](view).to_dict(validate=False)
    del found["$schema"]  # an address, which nothing needs
    if found.get("width") == "container":  # the height stays that of the axis, whatever the labels take
        found.setdefault("autosize", {"type": "fit-x", "contains": "padding"})
    return found


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return `first` with what `second` sets, also in nested mappings."""
    both = {
        key: _merged(first[key], value) if isinstance(value, dict) and isinstance(first.get(key), dict) else value
        for key, value in second.items()
    }
    return {**first, **both}
