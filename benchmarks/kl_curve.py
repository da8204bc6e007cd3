"""The KL rule on a real layer as a picture: what it read, the divergence of every candidate, what it chose.

    python benchmarks/kl_curve.py --layer conv2 --to docs/kl_curve.svg

Trains (or takes from --runs) the float32 network of `qbench train --scheme fp32 --seed 0`, calibrates it on 512
training images and draws the histogram of |x| of one layer's input over the divergence curve.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.calibration import calibration_images
from qbench.ptq.method_comparison import method_scheme
from qbench.report.svg import INK, Figure, LogAxis
from qbench.schemes.apply import apply_scheme
from qbench.trial.config import TrialConfig
from qbench.trial.finished.module import float_module
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial
from quantizers import CALIBRATION_METHODS, HistogramObserver, KLThreshold, Uniform, kl_threshold

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 820, 520, 70, 20, 40, 50
PANEL = (HEIGHT - TOP - 2 * GAP) / 2
COLOURS = {"minmax": "#888888", "percentile": "#2a7f3f", "mse": "#b35c00", "kl": "#b3261e"}


def observer_of(config: TrialConfig, runs: Path, layer: str, images: int) -> HistogramObserver:
    """What one layer's input looked like on the calibration images."""
    run_trial(config, runs)
    module, splits = float_module(config, runs), resolve(config).source.load(config.split_seed)
    module.quantize()
    network = apply_scheme(module.model, method_scheme("minmax"))
    calibration.observe(network, calibration_images(splits, images, config.split_seed).images)
    quantizer = dict(quant_layers(network))[layer].input_quantizer
    assert isinstance(quantizer, Uniform)
    assert isinstance(quantizer.observer, HistogramObserver)
    return quantizer.observer


def panel(figure: Figure, values: Tensor, top: float, label: str) -> LogAxis:
    """The frame and the upright axis of one panel, from a power of ten below `values` to one above."""
    axis = LogAxis.around(values.tolist(), top + PANEL, top)
    figure.rectangle(LEFT, top, WIDTH - LEFT - RIGHT, PANEL, "none", INK)
    for tick in axis.ticks():
        figure.text(LEFT - 8, axis.at(tick) + 4, f"{tick:.0e}", "end")
    figure.upward_text(16, top + PANEL / 2, label)
    return axis


def draw(observer: HistogramObserver, found: KLThreshold, title: str) -> str:
    """The picture."""
    counts, width = observer.magnitudes()
    largest = counts.numel() * width

    def across(values: Tensor) -> Tensor:
        return LEFT + (WIDTH - LEFT - RIGHT) * values / largest

    middles = (torch.arange(counts.numel()).double() + 0.5) * width
    thresholds = (torch.arange(found.divergence.numel()).double() + found.levels + 0.5) * width
    second = TOP + PANEL + GAP
    figure = Figure(
        WIDTH, HEIGHT, title, "Above: the histogram; below: the KL divergence of every candidate threshold."
    )
    figure.text(WIDTH / 2, 20, title, "middle")
    for xs, values, top, label in (
        (middles, counts.double(), TOP, "values in a bin"),
        (thresholds, found.divergence, second, "KL divergence, nats"),
    ):
        axis = panel(figure, values, top, label)
        heights = [axis.at(value) if math.isfinite(value) else value for value in values.tolist()]
        figure.curve(zip(across(xs).tolist(), heights, strict=True), "#3a6ea5")
    for number, (rule, colour) in enumerate(COLOURS.items()):
        quantizer = Uniform(method=rule, observer=observer)
        threshold = float(CALIBRATION_METHODS.get(rule)(observer, quantizer.format).high)
        x = float(across(torch.tensor(threshold)))
        figure.line(x, TOP, x, second + PANEL, colour, "4 3")
        figure.text(LEFT + 100 + number * 170, HEIGHT - 10, f"{rule}: {threshold:.3f}", colour=colour)
    for tick in torch.linspace(0, largest, 6).tolist():
        figure.text(float(across(torch.tensor(tick))), second + PANEL + 16, f"{tick:.2f}", "middle")
    return figure.to_svg()


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
