"""The KL calibration method on a real layer as a chart: what it read, every candidate's divergence, what it chose.

    python benchmarks/kl_curve.py --layer conv2 --to docs/kl_curve.svg

Trains (or takes from --runs) the float32 network of `qbench train --scheme fp32 --seed 0`, calibrates it on 512
training images and draws the histogram of |x| of one layer's input over the divergence curve.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import altair as alt
import torch
from torch import Tensor

from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.calibration import calibration_images
from qbench.ptq.method_comparison import method_scheme
from qbench.report.commands.chart import BLUE, INK, chart_svg
from qbench.schemes.apply import apply_scheme
from qbench.trial.config import TrialConfig
from qbench.trial.finished.module import open_float_module
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial
from quantizers import CALIBRATION_METHODS, HistogramObserver, KLThreshold, Uniform, kl_threshold

WIDTH, HEIGHT = 730, 190  # pixels, of one panel
COLOURS = {"minmax": "#888888", "percentile": "#2a7f3f", "mse": "#b35c00", "kl": "#b3261e"}


def observer_of(config: TrialConfig, runs: Path, layer: str, images: int) -> HistogramObserver:
    """What one layer's input looked like on the calibration images."""
    trial = resolve(config)
    done = run_trial(trial, runs)
    record = TrialRecord(trial.trial_id, "done", done.row, done.predictions, done.labels, folder=runs)
    module, splits = open_float_module(record), trial.dataset.load(config.split_seed)
    module.quantize()
    network = apply_scheme(module.model, method_scheme("minmax"))
    calibration.observe(network, calibration_images(splits, images, config.split_seed).images)
    observer = dict(quant_layers(network))[layer].input_quantizer.observer
    assert isinstance(observer, HistogramObserver)
    return observer


def panel(places: Tensor, values: Tensor, chosen: dict[str, float], label: str) -> alt.LayerChart:
    """A curve through the finite `values` over a logarithmic axis, with a line at each method's chosen threshold.

    Zeros stand at the lower end of the axis, which ends at powers of ten.
    """
    positive = values[(values > 0) & values.isfinite()]
    low, high = math.floor(math.log10(positive.min())), math.ceil(math.log10(positive.max()))
    powers = [10.0**power for power in range(low, high + 1)]
    points = [
        {"x": x, "y": max(y, powers[0])}
        for x, y in zip(places.tolist(), values.tolist(), strict=True)
        if math.isfinite(y)
    ]
    lines = [{"x": threshold, "method": f"{method}: {threshold:.3f}"} for method, threshold in chosen.items()]
    across = alt.X("x:Q", title="|x|", axis=alt.Axis(grid=False)).scale(domain=[0, max(chosen.values())], nice=False)
    up = alt.Y("y:Q", title=label, axis=alt.Axis(values=powers, format=".0e"))
    up = up.scale(type="log", domain=[powers[0], powers[-1]])
    colours = alt.Color("method:N", title=None, legend=alt.Legend(orient="bottom", symbolType="stroke"))
    colours = colours.scale(domain=[line["method"] for line in lines], range=[COLOURS[method] for method in chosen])
    curve = alt.Chart(alt.Data(values=points)).mark_line(color=BLUE, strokeWidth=1.2).encode(across, up)
    rules = alt.Chart(alt.Data(values=lines)).mark_rule(strokeDash=[4, 3]).encode(across, color=colours)
    return alt.layer(curve, rules).properties(width=WIDTH, height=HEIGHT)


def draw(observer: HistogramObserver, found: KLThreshold, title: str) -> str:
    """The histogram above the divergence of every candidate threshold, as SVG."""
    counts, width = observer.magnitudes()
    middles = (torch.arange(counts.numel()).double() + 0.5) * width
    candidates = (torch.arange(found.divergence.numel()).double() + found.levels + 0.5) * width
    chosen = {}
    for method in COLOURS:
        quantizer = Uniform(method=method, observer=observer)
        chosen[method] = float(CALIBRATION_METHODS.get(method)(observer, quantizer.format).high)
    chart = (
        alt.vconcat(
            panel(middles, counts.double(), chosen, "values in a bin"),
            panel(candidates, found.divergence, chosen, "KL divergence, nats"),
            title=alt.TitleParams(title, fontSize=13, anchor="middle", color=INK),
        )
        .configure(aria=False)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
        .configure_legend(labelFontSize=12, labelLimit=0)
    )
    return chart_svg(chart, title, "Above: the histogram; below: the KL divergence of every candidate threshold.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="conv2")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--runs", type=Path, default=Path("runs/kl_curve"))
    parser.add_argument("--to", type=Path, default=Path("docs/kl_curve.svg"))
    options = parser.parse_args()
    config = TrialConfig.from_mapping({"scheme": "fp32"})
    observer = observer_of(config, options.runs, options.layer, options.images)
    counts, width = observer.magnitudes()
    found = kl_threshold(counts, width, observed_max=float(observer.maximum.max()))
    literal = kl_threshold(counts, width, zero_bin="keep", observed_max=float(observer.maximum.max()))
    title = f"|input of {options.layer}|, digits-convnet, {options.images} images: {int(counts.sum()):,} values"
    options.to.write_text(draw(observer, found, title), encoding="utf-8")
    print(f"{options.to}: {counts.numel()} bins of {width:g}, bin 0 holds {int(counts[0]) / int(counts.sum()):.1%}")
    print(f"zero bin copied: i = {found.bins}, threshold {found.threshold:.4f}, {found.divergence.min():.3g} nats")
    print(f"zero bin kept:   i = {literal.bins}, threshold {literal.threshold:.4f}")


if __name__ == "__main__":
    main()
