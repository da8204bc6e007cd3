"""The metrics of a trial's row: their names, directions, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric.

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
    "cost/float_macs": Metric("float MACs", "", "minimize", "estimated"),
    "cost/quantized_share": Metric("quantized MACs", "%", "maximize", "estimated"),
    "filters/unique_fraction": Metric("unique filters", "%", "minimize", "measured"),
    "filters/op_reduction": Metric("operations saved", "×", "maximize", "measured"),
    "time/train_s": Metric("training", "s", "minimize", "measured"),
    "time/inference_ms": Metric("inference", "ms", "minimize", "measured"),
    "kernel/agreement": Metric("kernel agreement", "%", "maximize", "measured"),
}
"""The metrics that tables show and a sweep may optimize, by their keys in a row.

- `test/accuracy`, `val/accuracy`: share of right predictions of the best epoch's network, quantized as evaluation runs
  it. Validation chooses that epoch.
- `cost/weight_bytes`: all that inference keeps: weights at their stored width, scales, thresholds, biases, norms.
- `cost/weight_compression`: the same of the float32 network, over that.
- `cost/energy_uj`: of one inference, by the price table of `qbench.cost.prices`.
- `cost/macs`: multiply-accumulates of one inference, of layers and of all other products (attention, recurrent cells).
- `cost/float_macs`: those whose operands are both float32 in evaluation: of layers that stay float, and of functions.
- `cost/quantized_share`: the share of the others, `1 - cost/float_macs / cost/macs`; None for a network without any.
- `filters/unique_fraction`, `filters/op_reduction`: of binary convolutions, the share of 2-D filters that are distinct
  (a filter and its inverse count as one), and how many times fewer operations computing each once takes; None without
  such layers.
- `time/train_s`: seconds of the training, with validation after each epoch; that of the first trial where several
  share one training.
- `time/inference_ms`: milliseconds for one image on the CPU, as `kernel/execution` says it runs (float32 where that is
  None); the median of up to 50 runs, with the quartiles `time/inference_ms_low` and `_high`. Other trials may have run
  beside it.
- `kernel/agreement`: share of test images that packed execution predicts as fake-quantized execution does; None where
  nothing runs packed.

A row has more: `qbench.trial.evaluation` and `qbench.cost.estimate` name them. The keys are a public interface, which
CHANGELOG speaks of.
"""


def show(name: str, value: float | None) -> str:
    """Return a metric for a reader: `98.61 %`, `3.2 s`; `-` where it is None."""
    if value is None:
        return "-"
    unit = METRICS[name].unit if name in METRICS else ""
    if unit == "%":
        return f"{100 * value:.2f} %"
    return f"{value:,.4g} {unit}".strip()
