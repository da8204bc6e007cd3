"""The page: all views of a report with their charts, in one file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from qbench.io import finite
from qbench.report.charts.picture import specification
from qbench.report.charts.theme import DARK, LIGHT, vega_config
from qbench.report.html.sheet import Sheet, copies, make_sheet, remarks
from qbench.report.model.report_model import ReportModel
from qbench.report.model.verdict import verdict
from qbench.report.view import View
from qbench.report.views.catalogue import SECTIONS, view_name
from qbench.report.views.overview import OVERVIEW

if TYPE_CHECKING:
    from markupsafe import Markup

SAID_AT_ONCE = 8
"""The paragraphs of the verdict that are read without a click; many references make many."""
SOURCES = {
    "measured": "on a machine: by running or timing the network",
    "counted": "from shapes, formats and data: exact",
    "estimated": "from counts and published prices: not measured",
    "computed": "from the other columns: a statistic or a ratio",
    "setting": "chosen for the trials",
}
"""What the word under a column's heading means."""
_UNSAFE = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Item:
    """One view on the page.

    Attributes:
        view: what is shown.
        table: its table; None where the view is missing.
        chart: its Vega-Lite specification as JSON for a script element; None for a table alone.
        copies: texts for the clipboard as JSON for a script element, of the overview alone.
        number: `Figure 3`, `Table 1`; empty where there is nothing to number.
        notes: below the chart or the table: what single rows need said, then the view's notes.
    """

    view: View
    table: Sheet | None
    chart: Markup | None
    copies: Markup | None
    number: str
    notes: tuple[str, ...] = ()


def render(model: ReportModel, views: Mapping[str, View]) -> str:
    """Return the page's text.

    It opens without a server, and its policy lets it load nothing and run no script but its own. Names of schemes,
    layers and sweeps are text wherever they stand.

    Args:
        model: the comparison.
        views: of `make_views`, by name; the page shows those that are there.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qbench.report", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [_script(text) for text in (_bundle(), _asset("page.js"))]
    return environment.get_template("page.html.j2").render(
        title=model.title,
        today=date.today().isoformat(),
        planned=model.planned,
        done=model.done,
        failed=model.failed,
        verdict=verdict(model),
        sections=_sections(views),
        sources=SOURCES,
        style=_markup(_asset("page.css")),
        policy=_policy(scripts),
        scripts=[_markup(text) for text in scripts],
        themes=_json({"light": vega_config(LIGHT), "dark": vega_config(DARK)}),
        said_at_once=SAID_AT_ONCE,
    )


def _sections(views: Mapping[str, View]) -> list[tuple[str, str, list[Item]]]:
    """Return each section's anchor, title and views; a section without any is left out."""
    count = {"Figure": 0, "Table": 0}
    found = []
    for title, makers in SECTIONS:
        items = [_item(views[name], count) for make in makers if (name := view_name(make)) in views]
        if items:
            found.append((f"section-{title.lower().replace(' ', '-')}", title, items))
    return found


def _item(view: View, count: dict[str, int]) -> Item:
    if view.missing is not None:
        return Item(view, None, None, None, "")
    found = specification(view)
    kind = "Table" if found is None else "Figure"
    count[kind] += 1
    return Item(
        view,
        make_sheet(view, whole=view.name == OVERVIEW),
        None if found is None else _json(found),
        _json(copies(view)) if view.name == OVERVIEW else None,
        f"{kind} {count[kind]}",
        (*remarks(view), *view.notes),
    )


def _policy(scripts: list[str]) -> str:
    """Return the content security policy: nothing is loaded, and the scripts with these hashes alone run.

    Styles are free, because Vega sets them as attributes; without requests they can do no harm.
    """
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "form-action 'none'; base-uri 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _bundle() -> str:
    """Return Vega, Vega-Lite and vega-embed, of the versions that vl-convert carries."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # the stub lacks the default


def _script(text: str) -> str:
    """Return a script's text as it may stand in a script element: nothing in it ends or nests that element."""
    return text.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _asset(name: str) -> str:
    return files("qbench.report.html").joinpath(name).read_text(encoding="utf-8")


def _json(value: Any) -> Markup:
    """Return JSON that can stand in a script element: no character of it means anything to HTML."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _markup(text.translate(_UNSAFE))


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)  # our own files, and JSON without a character of HTML
