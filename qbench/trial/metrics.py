"""The figures of a trial's row: their names, directions, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes:
        label: a table's heading.
        unit: `%` for a fraction shown as percent; else appended to the number.
        better: the direction that wins; None where neither does.
        source: whether it is read off the running program, or computed from counts and published prices.
    """

    label: str
    unit: str
    better: Literal["maximize", "minimize"] | None
    source: Literal["measured", "estimated"]


METRICS: dict[str, Metric] = {
    "test/accuracy": Metric("test accuracy", "%", "maximize", "measured"),
    "val/accuracy": Metric("validation accuracy", "%", "maximize", "measured"),
    "cost/weight_bytes": Metric("weight bytes", "B", "minimize", "estimated"),
    "cost/weight_compression": Metric("compression", "×", "maximize", "estimated"),
    "cost/energy_uj": Metric("energy", "µJ", "minimize", "estimated"),
    "cost/macs": Metric("MACs", "", "minimize", "estimated"),
    "filters/unique_fraction": Metric("unique filters", "%", "minimize", "measured"),
    "filters/op_reduction": Metric("operations saved", "×", "maximize", "measured"),
    "time/train_s": Metric("training", "s", "minimize", "measured"),
    "kernel/agreement": Metric("kernel agreement", "%", "maximize", "measured"),
}


def show(name: str, value: float | None) -> str:
    """A figure for a reader: `98.61 %`, `3.2 s`; `-` for none."""
    if value is None:
        return "-"
    unit = METRICS[name].unit if name in METRICS else ""
    if unit == "%":
        return f"{100 * value:.2f} %"
    return f"{value:,.4g} {unit}".strip()
