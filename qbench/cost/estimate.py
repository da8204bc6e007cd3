"""A network's costs under a scheme, from its shapes alone: no training, no data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from qbench.cost.counts import LayerCost, NetworkCost, TrainingMemory
from qbench.cost.energy import Energy
from qbench.cost.filter_repetition import NetworkRepetition, filter_repetition, network_repetition
from qbench.cost.prices import HOROWITZ_45NM, EnergyTable
from qbench.errors import ConfigError
from qbench.nn.folding import fold_batch_norms
from qbench.nn.models.catalogue import get_model
from qbench.nn.operations import Operations
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_op.select import select_op
from qbench.nn.trace import TracedLayer, trace
from qbench.ptq.calibration import calibrate_weights
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme
from quantizers import BINARY, FLOAT32, Quantizer, storage_bytes


def layer_cost(traced: TracedLayer, before: TracedLayer | None, after: TracedLayer | None) -> LayerCost:
    """One layer's counts, between the layers that run before and after it.

    Its output is stored in the next layer's input format; in float32 if something else reads it too (a shortcut), and
    the next layer then reads that.
    """
    layer, layer_shape = traced.layer, traced.layer_shape
    op = select_op(layer.weight_format, layer.input_format, layer_shape)
    output_format = after.layer.input_format if after is not None and traced.direct else FLOAT32
    stored_input = layer.input_format if before is None or before.direct else FLOAT32
    operations, other_bytes = op.cost(layer_shape), 0
    quantized = layer.weight_format != FLOAT32
    weight_bytes = layer.weight_format.packed_bytes(layer_shape.out_channels, layer_shape.dot_length)
    weight_scales = storage_bytes(layer.quantized_weight()) - weight_bytes if quantized else 0
    input_scales = 0  # of pixels, too: theirs are in the thresholds, or in the scale of what follows
    if layer.input_format.kind == "integer":
        input_scales = 4 + (layer.input_format.minimum == 0)  # the activations' scale, and their zero point
    norms = traced.norms
    thresholds = bool(norms) and output_format == BINARY
    if op.name == "int8":
        # Each sum is multiplied by its channel's fixed-point multiplier; BatchNorm is in that and in the int32 bias.
        operations += Operations(int32_mul=layer_shape.outputs)
        if layer.bias is not None or norms:
            other_bytes += 4 * layer_shape.out_channels
            operations += Operations(int32_add=layer_shape.outputs)
        norms = norms[1:]
    else:
        if layer.weight_format == BINARY and thresholds:
            weight_scales = 0  # sum·scale compared with a threshold is the sum compared with another
        elif weight_scales and (layer.weight_format == BINARY or not norms):
            operations += Operations(fp32_mul=layer_shape.outputs)  # the scale, which nothing takes in
        if layer.bias is not None:
            other_bytes += 4 * layer_shape.out_channels
            operations += Operations(fp32_add=layer_shape.outputs)
    if thresholds and norms:
        # BatchNorm and sign fold to a comparison with a threshold, whose direction is the sign of gamma.
        other_bytes += 4 * layer_shape.out_channels + -(-layer_shape.out_channels // 8)
        operations += Operations(int32_add=norms[-1].values)
        norms = norms[:-1]
    for norm in norms:
        other_bytes += 4 * norm.numbers * layer_shape.out_channels
        operations += norm.operations
    return LayerCost(
        name=traced.name,
        op=op.name,
        weight_format=layer.weight_format.name,
        input_format=layer.input_format.name,
        weights=layer_shape.weights,
        macs=layer_shape.macs,
        operations=operations,
        weight_bytes=weight_bytes,
        scale_bytes=weight_scales + input_scales,
        other_bytes=other_bytes,
        input_bytes=stored_input.packed_bytes(1, layer_shape.inputs),
        output_bytes=output_format.packed_bytes(1, traced.output_elements),
    )


def network_cost(network: nn.Module, input_shape: tuple[int, ...]) -> NetworkCost:
    """The counts of a network whose layers have their quantizers (see `apply_scheme`)."""
    layers = trace(network, input_shape)
    chain = zip(layers, [None, *layers[:-1]], [*layers[1:], None], strict=True)
    parameters = 4 * sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    kept = 4 * sum(traced.layer_shape.inputs + traced.layer_shape.outputs for traced in layers)
    counted = [module for module in network.modules() if isinstance(module, QuantLayer | _BatchNorm | Quantizer)]
    known = {parameter for module in counted for parameter in module.parameters()}
    return NetworkCost(
        uncounted_bytes=4 * sum(parameter.numel() for parameter in network.parameters() if parameter not in known),
        layers=tuple(layer_cost(*place) for place in chain),
        training=TrainingMemory(parameters, parameters, 2 * parameters, kept),
    )


def network_filters(network: nn.Module, input_shape: tuple[int, ...]) -> NetworkRepetition | None:
    """Filter repetition of the binary convolutions that evaluation uses; None without any."""
    return network_repetition(
        (traced.name, filter_repetition(traced.layer.quantized_weight().codes, traced.layer_shape.positions))
        for traced in trace(network, input_shape)
        if traced.layer_shape.kind == "conv2d" and traced.layer.weight_format == BINARY
    )


_FILTERS = (
    "unique_fraction",
    "unique_fraction_signed",
    "random_fraction",
    "random_fraction_signed",
    "op_reduction",
    "random_op_reduction",
    "op_reduction_with_additions",
)


@dataclass(frozen=True)
class Estimate:
    """A network's costs under a scheme beside its float32 costs, both priced at the same memory levels.

    Attributes:
        cost, energy: under the scheme.
        reference, reference_energy: of the same network in float32.
        filters: the repetition of its 2-D filters, of the weights it has now; None without binary convolutions.
    """

    cost: NetworkCost
    reference: NetworkCost
    energy: Energy
    reference_energy: Energy
    filters: NetworkRepetition | None

    @property
    def weight_compression(self) -> float:
        """float32 bytes over bytes, everything stored at inference counted."""
        return self.reference.stored_bytes / self.cost.stored_bytes

    def figures(self, batch_size: int) -> dict[str, float | int | str | None]:
        """The figures of a result row; `batch_size` is training's."""
        microjoules = self.energy.total * 1e-6
        cost = self.cost
        return {
            "cost/weight_bytes": cost.stored_bytes,
            "cost/weight_compression": self.weight_compression,
            "cost/weights": cost.total("weights"),
            "cost/macs": cost.total("macs"),
            "cost/peak_activation_bytes": cost.peak_activation_bytes,
            "cost/training_bytes": cost.training.total(batch_size),
            "cost/optimizer_bytes": cost.training.optimizer,
            "cost/training_activation_bytes": batch_size * cost.training.activations,
            "cost/energy_uj": microjoules.mid,
            "cost/energy_uj_low": microjoules.low,
            "cost/energy_uj_high": microjoules.high,
            "cost/energy_compression": self.reference_energy.total.mid / self.energy.total.mid,
            "cost/weight_level": self.energy.weight_level,
            "cost/activation_level": self.energy.activation_level,
            **{f"filters/{key}": None if self.filters is None else getattr(self.filters, key) for key in _FILTERS},
        }

    def to_dict(self, batch_size: int) -> dict[str, Any]:
        """Plain values, for JSON; `batch_size` is training's."""
        return {
            "figures": self.figures(batch_size),
            "cost": self.cost.to_dict(),
            "reference": self.reference.to_dict(),
            "energy_pj": asdict(self.energy),
            "reference_energy_pj": asdict(self.reference_energy),
            "filters": None if self.filters is None else self.filters.to_dict(),
        }


def estimate_network(
    network: nn.Module,
    input_shape: tuple[int, ...],
    *,
    weight_level: str | None = None,
    activation_level: str | None = None,
    table: EnergyTable = HOROWITZ_45NM,
    float_network: nn.Module | None = None,
    optimizer_moments: int = 2,
) -> Estimate:
    """Costs of a quantized network and of the same network in float32.

    The float32 network is `float_network`, or this one without its quantizers. Name it where BatchNorm was folded
    after training: every scheme is then compared with the same float32 network, and its training is that network's.

    The memory levels are the smallest that hold the *float32* network's weights and its peak activations, and serve
    both: a smaller format is not also given a cheaper memory. Name a level to price at that one.

    Args:
        optimizer_moments: numbers that the training's optimizer keeps for each parameter.

    Raises:
        ConfigError: an unknown memory level.
    """
    for level in (weight_level, activation_level):
        if level is not None and level not in table.access:
            raise ConfigError(f"unknown level {level!r}. Known: {', '.join(table.access)}", "memory")
    cost = network_cost(network, input_shape)
    reference_network = copy.deepcopy(network) if float_network is None else float_network
    reference = network_cost(apply_scheme(reference_network, get_scheme("fp32")), input_shape)
    training = cost.training if float_network is None else reference.training
    cost = replace(cost, training=replace(training, optimizer=optimizer_moments * training.parameters))
    weight_level = weight_level or table.smallest_level(reference.stored_bytes)
    activation_level = activation_level or table.smallest_level(reference.peak_activation_bytes)
    return Estimate(
        cost,
        reference,
        cost.energy(weight_level, activation_level, table),
        reference.energy(weight_level, activation_level, table),
        network_filters(network, input_shape),
    )


def estimate(
    model_name: str,
    scheme_name: str | Scheme,
    *,
    model_options: Mapping[str, Any] | None = None,
    weight_level: str | None = None,
    activation_level: str | None = None,
) -> Estimate:
    """Costs of a named model under a named scheme.

    Raises:
        ConfigError: an unknown model, scheme or option.
    """
    chosen = scheme_name if isinstance(scheme_name, Scheme) else get_scheme(scheme_name)
    named = get_model(model_name)
    network = named.make(model_options or {})
    float_network = None
    if chosen.folds_batch_norm:
        float_network = copy.deepcopy(network)
        fold_batch_norms(network)
    apply_scheme(network, chosen)
    calibrate_weights(network)  # their scales are stored, whatever their values
    return estimate_network(
        network,
        named.input_shape,
        weight_level=weight_level,
        activation_level=activation_level,
        float_network=float_network,
        optimizer_moments=chosen.recipe.optimizer_moments,
    )
