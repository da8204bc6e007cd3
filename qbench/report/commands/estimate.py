"""The estimated costs of a network as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from qbench.cost.energy import Energy
from qbench.cost.estimate import Estimate
from qbench.cost.filter_repetition import NetworkRepetition
from qbench.cost.layer_cost import LayerCost
from qbench.cost.network_cost import NetworkCost
from qbench.cost.prices import HOROWITZ_45NM, Bounds
from qbench.report.commands.columns import aligned

_HEADINGS = (
    "layer",
    "op",
    "weights in",
    "inputs in",
    "weights",
    "MACs",
    "weight B",
    "scale B",
    "norm, bias B",
    "input B",
    "output B",
)


def estimate_text(found: Estimate, model: str, scheme: str, batch_size: int) -> str:
    """Return the layers as a table, the totals, the energy with its conventions, and the memory of training."""
    return "\n".join(
        [
            f"{model} under {scheme}: estimated from shapes and formats, one inference of one example",
            "",
            *_layers(found.cost.layers),
            "",
            *_totals(found),
            "",
            *_energy(found),
            "",
            *_training(found, batch_size),
        ]
    )


def _layers(layers: Sequence[LayerCost]) -> list[str]:
    """Return a table of the layers; how often each runs stands there where one runs more than once."""
    rows = [_HEADINGS, *(_layer(layer) for layer in layers)]
    if any(layer.calls > 1 for layer in layers):
        calls = ["calls", *(f"{layer.calls}" for layer in layers)]
        rows = [(*row[:4], count, *row[4:]) for row, count in zip(rows, calls, strict=True)]
    return aligned(rows, left=4)


def _layer(layer: LayerCost) -> tuple[str, ...]:
    counts = (
        layer.weights,
        layer.macs,
        layer.weight_bytes,
        layer.scale_bytes,
        layer.other_bytes,
        layer.input_bytes,
        layer.output_bytes,
    )
    return (layer.name, layer.op, layer.weight_format, layer.input_format, *(f"{count:,}" for count in counts))


def _totals(found: Estimate) -> list[str]:
    cost, reference = found.cost, found.reference
    others = f"; {_size(cost.uncounted_bytes)} of other modules, whose operations are not counted"
    others = others if cost.uncounted_bytes else ""
    operations = ", ".join(f"{count:,} {kind}" for kind, count in asdict(cost.operations).items() if count)
    return aligned(
        [
            ("weights", f"{cost.total('weights'):,}, {_size(cost.total('weight_bytes'))} at their width"),
            ("MACs", _macs(cost)),
            ("operations", operations),
            (
                "stored",
                f"{_size(cost.stored_bytes)}: weights, scales, biases, normalization; float32 "
                f"{_size(reference.stored_bytes)}, {found.weight_compression:.2f} times as much{others}",
            ),
            (
                "peak activations",
                f"{_size(cost.peak_activation_bytes)}: one layer's input and output; float32 "
                f"{_size(reference.peak_activation_bytes)}",
            ),
        ],
        left=2,
    )


def _macs(cost: NetworkCost) -> str:
    floats, share = cost.total("float_macs"), cost.quantized_share
    known = "" if share is None else f": {100 * share:.4g} % quantized, {floats:,} in float32"
    how = "" if cost.account == "graph" else "; counted in one run on zeros, no graph of the operations can be read"
    return f"{cost.total('macs'):,}{known}{how}"


def _energy(found: Estimate) -> list[str]:
    energy = found.energy
    return [
        *aligned(
            [
                ("energy", _picojoules(energy.total)),
                ("  arithmetic", _picojoules(energy.arithmetic)),
                (f"  weights from {energy.weight_level}", _picojoules(energy.weight_traffic)),
                (f"  activations in {energy.activation_level}", _picojoules(energy.activation_traffic)),
                ("float32 energy", f"{_picojoules(found.reference_energy.total)}, {_ratio(found)}"),
            ],
            left=2,
        ),
        *conventions(energy),
    ]


def _ratio(found: Estimate) -> str:
    times = found.reference_energy.total.mid / found.energy.total.mid
    return f"{times:.1f} times as much"


def conventions(energy: Energy) -> list[str]:
    """Return what the estimated energy counts and what it leaves out, as lines of text."""
    word = HOROWITZ_45NM.operations["xnor_popcount_word"]
    return [
        f"Prices: {HOROWITZ_45NM.source}, {word.low:g} to {word.high:g} pJ for 32 binary products.",
        f"Every stored byte is read once from {energy.weight_level}, every layer's input and output once from and to "
        f"{energy.activation_level}:",
        "the smallest memories that hold the float32 network's (unless named), the same for every scheme.",
        "Activations are moved as the next layer reads them: pooled, normalized and quantized on the way; what a "
        "shortcut carries",
        "is read again where it is added. Activation functions, pools, control, clock and leakage are not counted.",
    ]


def _training(found: Estimate, batch_size: int) -> list[str]:
    training = found.cost.training
    return aligned(
        [
            (f"training, batches of {batch_size}", f"{_size(training.total(batch_size))} in float32"),
            ("  latent weights and other parameters", _size(training.parameters)),
            ("  gradients", _size(training.gradients)),
            ("  optimizer's moments", _size(training.optimizer)),
            (f"  activations kept, {_size(training.activations)} an image", _size(batch_size * training.activations)),
        ],
        left=2,
    )


def filters_text(filters: NetworkRepetition) -> str:
    """Return how often 2-D filters would repeat if binary weights were random, by layer, as text."""
    rows = [("layer", "filters", "input maps", "bound 2^(k·k)", "unique if random", "with inverses apart")]
    rows += [
        (
            name,
            f"{layer.filters}",
            f"{layer.input_maps}",
            f"{layer.bound}",
            f"{100 * layer.random_fraction:.1f} %",
            f"{100 * layer.random_fraction_signed:.1f} %",
        )
        for name, layer in filters.layers
    ]
    return "\n".join(
        [
            "2-D filters per input map, a filter and its inverse counted once; a trained network has fewer unique ones "
            "than random weights:",
            "",
            *aligned(rows, left=1),
            "",
            f"random weights: {100 * filters.random_fraction:.1f} % unique, {filters.random_op_reduction:.2f} times "
            "fewer XNOR-popcount operations",
        ]
    )


def _size(count: int) -> str:
    if count < 1024:
        return f"{count:,} B"
    if count < 1024**2:
        return f"{count:,} B ({count / 1024:.2f} KiB)"
    return f"{count:,} B ({count / 1024**2:.4g} MiB)"


def _picojoules(energy: Bounds) -> str:
    low, high = (
        f"{value:,.0f}" if value >= 1000 else f"{value:.4g}" for value in (energy.low / 1e6, energy.high / 1e6)
    )
    return f"{low} µJ" if low == high else f"{low} to {high} µJ"
