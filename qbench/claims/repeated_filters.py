"""Claims on repeated filters: BinaryNet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from qbench.claims.claim import ByTraining, Claim, Computed, Selected, formatted, seeds_text
from qbench.claims.judge import Values, all_of, trained, within
from qbench.claims.selection import select_metrics
from qbench.claims.settings import BINARYNET_CIFAR10
from qbench.claims.stored import StoredSweep
from qbench.cost.estimate import estimate
from qbench.cost.filter_repetition import FilterRepetition, NetworkRepetition

_SECTION = "Filter repetition (BinaryNet)"
_SOURCE = "BinaryNet, arXiv 1602.02830, on filter repetition"
_KEYS = (
    "filters/unique_fraction",
    "filters/unique_fraction_signed",
    "filters/random_fraction",
    "filters/op_reduction",
    "filters/random_op_reduction",
    "filters/op_reduction_with_additions",
)


@cache
def _cifar10_net() -> NetworkRepetition:
    found = estimate("cifar10-convnet", "binarynet").filters
    assert found is not None
    return found


def _three_dimensional() -> Values:
    """Return log2 of the bound 2^(k·k·M_(l-1)) on the 3-D filters of the CIFAR-10 net's second layer."""
    layer = dict(_cifar10_net().layers)["conv2"]
    return {"value": layer.size * layer.input_maps, "maps": layer.input_maps}


def _inverses() -> Values:
    """Count the 3×3 filters up to their sign, by listing all."""
    full = 2**9 - 1
    return {"value": len({min(code, full - code) for code in range(2**9)})}


def _whole_layer(layer: FilterRepetition) -> float:
    """Return the expected number of distinct 2-D filters in a whole layer, a filter and its inverse counted once."""
    values, drawn = 2 ** (layer.size - 1), layer.filters * layer.input_maps
    return values * (1 - (1 - 1 / values) ** drawn)


def _over_layers() -> Values:
    """Return the repetition of the CIFAR-10 net's random filters, counted over whole layers and not per input map."""
    layers = [layer for _, layer in _cifar10_net().layers]
    counts = [layer.filters * layer.input_maps for layer in layers]
    applied = sum(count * layer.positions for count, layer in zip(counts, layers, strict=True))
    distinct = sum(_whole_layer(layer) * layer.positions for layer in layers)
    share = sum(_whole_layer(layer) / count for count, layer in zip(counts, layers, strict=True)) / len(layers)
    return {"value": 100 * share, "times": applied / distinct}


def _random() -> Values:
    found = _cifar10_net()
    return {
        "value": 100 * found.random_fraction,
        "signed": 100 * found.random_fraction_signed,
        "times": found.random_op_reduction,
    }


def _select(sweeps: Sequence[StoredSweep]) -> Selected | None:
    found = select_metrics(BINARYNET_CIFAR10, _KEYS, sweeps)
    if found is None:
        return None
    values = {key.removeprefix("filters/"): value for key, value in found.values.items()}
    saved = {
        f"saved_{kind}": 100 * (1 - 1 / values[key])
        for kind, key in (
            ("trained", "op_reduction"),
            ("random", "random_op_reduction"),
            ("with_additions", "op_reduction_with_additions"),
        )
    }
    notes = seeds_text(values["seeds"]) + (f"; {values['notes']}" if values["notes"] else "")
    return Selected({**values, **saved, "notes": notes, "percent": 100 * values["unique_fraction"]}, found.sweeps)


REPEATED_FILTERS = (
    Claim(
        "filters-bound",
        _SECTION,
        "there are at most 2^(k·k) binary k×k filters: 512 of 3×3",
        _SOURCE,
        "512",
        Computed(lambda: {"value": dict(_cifar10_net().layers)["conv2"].bound}),
        within(512, 0, "confirmed if equal; computed"),
        formatted("{value}"),
    ),
    Claim(
        "filters-bound-3d",
        _SECTION,
        "3-D filters are bounded by 2^(k·k·M_(l-1)) only, so feature maps are not limited: second layer of the net",
        _SOURCE,
        "2^(9·128)",
        Computed(_three_dimensional),
        within(9 * 128, 0, "confirmed if the exponent is equal; computed"),
        formatted("2^{value}"),
    ),
    Claim(
        "filters-inverse",
        _SECTION,
        "a filter and its inverse count as one, for the result is negated: half of the 3×3 filters remain",
        _SOURCE,
        "256",
        Computed(_inverses),
        within(256, 0, "confirmed if equal; listed"),
        formatted("{value}"),
    ),
    Claim(
        "filters-42",
        _SECTION,
        "42 % of a layer's 2-D filters are unique on average, in the trained CIFAR-10 ConvNet (here per input map)",
        _SOURCE,
        "42 %",
        ByTraining(_select),
        trained(within(42, 2, "confirmed within 2 points", "percent")),
        formatted(
            "{unique_fraction:.1%}, inverses apart {unique_fraction_signed:.1%}; random weights {random_fraction:.1%} "
            "({notes})"
        ),
    ),
    Claim(
        "filters-3x",
        _SECTION,
        "repeated filters reduce XNOR-popcount operations by about 3 times",
        _SOURCE,
        "about 3×",
        ByTraining(_select),
        trained(within(3, 0.5, "confirmed within 0.5", "op_reduction")),
        formatted(
            "{op_reduction:.2f}×, with the additions that remain {op_reduction_with_additions:.2f}×; random weights "
            "{random_op_reduction:.2f}× ({notes})"
        ),
    ),
    Claim(
        "filters-60",
        _SECTION,
        "repeated filters reduce time complexity by about 60 %",
        _SOURCE,
        "about 60 %",
        ByTraining(_select),
        trained(within(60, 5, "confirmed within 5 points, by counted operations", "saved_trained")),
        formatted(
            "{saved_trained:.1f} %, with the additions that remain {saved_with_additions:.1f} %; random weights "
            "{saved_random:.1f} % ({notes})"
        ),
    ),
    Claim(
        "filters-3x-arithmetic",
        _SECTION,
        "42 % unique filters are about 3 times fewer operations",
        _SOURCE,
        "about 3×",
        Computed(lambda: {"value": 1 / 0.42}),
        within(3, 0.5, "confirmed within 0.5; arithmetic on the paper's 42 %"),
        formatted("1 / 0.42 = {value:.2f}×"),
    ),
    Claim(
        "filters-60-arithmetic",
        _SECTION,
        "42 % unique filters are about 60 % less time",
        _SOURCE,
        "about 60 %",
        Computed(lambda: {"value": 100 * (1 - 0.42)}),
        within(60, 5, "confirmed within 5 points; arithmetic on the paper's 42 %"),
        formatted("1 - 0.42 = {value:.0f} %"),
    ),
    Claim(
        "filters-random",
        _SECTION,
        "the baseline: random weights of the same net, per input map, have 62 % unique filters and 1.7 times fewer "
        "operations",
        "this project's notes on BinaryNet",
        "62 %, 1.7×",
        Computed(_random),
        all_of(
            "confirmed within 0.5 points and 0.05; expectations, computed",
            within(62, 0.5, ""),
            within(1.7, 0.05, "", "times"),
        ),
        formatted("{value:.1f} %, {times:.2f}×; inverses apart {signed:.1f} %"),
    ),
    Claim(
        "filters-whole-layer",
        _SECTION,
        "counted over a whole layer the figure says nothing: random weights have 9 % and 107 times fewer operations",
        "this project's notes on BinaryNet",
        "9 %, 107×",
        Computed(_over_layers),
        all_of(
            "confirmed within 0.5 points and 0.5; expectations, computed",
            within(9, 0.5, ""),
            within(107, 0.5, "", "times"),
        ),
        formatted("{value:.1f} %, {times:.0f}×"),
    ),
)
