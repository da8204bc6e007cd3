"""The charts of a report, by the name of the view that they draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qbench.report.view import View

if TYPE_CHECKING:
    import altair as alt

MakeChart = Callable[[View], "alt.TopLevelMixin"]

CHARTS: Mapping[str, MakeChart] = {}
"""What draws a view that has rows; a view that is not named here is a table alone."""
