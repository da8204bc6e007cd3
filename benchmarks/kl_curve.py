"""The KL rule on a real layer as a picture: what it read, the divergence of every candidate, what it chose.

    python benchmarks/kl_curve.py --layer conv2 --to docs/kl_curve.svg

Trains (or takes from --runs) the float32 network of `qbench train --scheme fp32 --seed 0`, calibrates it on 512
training images and draws the histogram of |x| of one layer's input over the divergence curve. Needs no plotting
library: the SVG is written here.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from qbench import calibration
from qbench.calibration import calibration_images
from qbench.layers import quant_layers
from qbench.parts import resolve
from qbench.rule_comparison import rule_scheme
from qbench.schemes import apply_scheme
from qbench.training import float_module, run_trial
from qbench.trial import TrialConfig
from quantizers import RANGE_RULES, HistogramObserver, KLThreshold, Uniform, kl_threshold

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 820, 520, 70, 20, 40, 50
PANEL = (HEIGHT - TOP - 2 * GAP) / 2
COLOURS = {"minmax": "#888888", "percentile": "#2a7f3f", "mse": "#b35c00", "kl": "#b3261e"}


def observer_of(config: TrialConfig, runs: Path, layer: str, images: int) -> HistogramObserver:
    """What one layer's input looked like on the calibration images."""
    run_trial(config, runs)
    module, splits = float_module(config, runs), resolve(config).source.load(config.split_seed)
    module.quantize()
    network = apply_scheme(module.model, rule_scheme("minmax"))
    calibration.observe(network, calibration_images(splits, images, config.split_seed).images)
    quantizer = dict(quant_layers(network))[layer].input_quantizer
    assert isinstance(quantizer, Uniform)
    assert isinstance(quantizer.observer, HistogramObserver)
    return quantizer.observer


def path(xs: Tensor, ys: Tensor, colour: str) -> str:
    """One line through the finite points."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True) if math.isfinite(x + y))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.2"/>'


def text(x: float, y: float, words: str, anchor: str = "middle", colour: str = "#222222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def log_scale(values: Tensor, top: float) -> tuple[Tensor, float, float]:
    """Heights of positive `values` on a logarithmic axis of one panel, and its ends as powers of ten."""
    positive = values[(values > 0) & torch.isfinite(values)]
    low, high = math.floor(math.log10(float(positive.min()))), math.ceil(math.log10(float(positive.max())))
    share = (torch.log10(values.clamp_min(10.0**low)) - low) / max(high - low, 1)
    return top + PANEL * (1 - share), low, high


def axis(top: float, low: float, high: float, label: str) -> list[str]:
    """A logarithmic axis: its frame, a tick for each power of ten, its label."""
    parts = [f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{PANEL}" fill="none" stroke="#222"/>']
    for power in range(int(low), int(high) + 1):
        y = top + PANEL * (1 - (power - low) / max(high - low, 1))
        parts.append(text(LEFT - 8, y + 4, f"1e{power}", "end"))
    parts.append(
        f'<text transform="translate(16 {top + PANEL / 2:.0f}) rotate(-90)" text-anchor="middle">{label}</text>'
    )
    return parts


def draw(observer: HistogramObserver, found: KLThreshold, title: str) -> str:
    """The picture."""
    counts, width = observer.magnitudes()
    largest = counts.numel() * width

    def across(values: Tensor) -> Tensor:
        return LEFT + (WIDTH - LEFT - RIGHT) * values / largest

    middles = (torch.arange(counts.numel()).double() + 0.5) * width
    thresholds = (torch.arange(found.divergence.numel()).double() + found.levels + 0.5) * width
    second = TOP + PANEL + GAP
    heights, low, high = log_scale(counts.double(), TOP)
    curve, curve_low, curve_high = log_scale(found.divergence, second)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        text(WIDTH / 2, 20, title),
        *axis(TOP, low, high, "values in a bin"),
        path(across(middles), heights, "#3a6ea5"),
        *axis(second, curve_low, curve_high, "KL divergence, nats"),
        path(across(thresholds), curve, "#3a6ea5"),
    ]
    rules = {}
    for rule in COLOURS:
        quantizer = Uniform(rule=rule, observer=observer)
        rules[rule] = float(RANGE_RULES.get(rule)(observer, quantizer.format).high)
    for number, (rule, threshold) in enumerate(rules.items()):
        x = float(across(torch.tensor(threshold)))
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{second + PANEL}" stroke="{COLOURS[rule]}" '
            'stroke-dasharray="4 3"/>'
        )
        parts.append(text(LEFT + 100 + number * 170, HEIGHT - 10, f"{rule}: {threshold:.3f}", "start", COLOURS[rule]))
    for tick in torch.linspace(0, largest, 6).tolist():
        parts.append(text(float(across(torch.tensor(tick))), second + PANEL + 16, f"{tick:.2f}"))
    return "\n".join([*parts, "</svg>", ""])


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
