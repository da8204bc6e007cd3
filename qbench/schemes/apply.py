"""A scheme applied to a network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.from_float import from_float
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.scheme import Scheme
from qbench.seeds import derive
from quantizers import Quantizer

QuantizerOf = Callable[[QuantLayer], Quantizer | None]


def apply_scheme(
    model: nn.Module,
    scheme: Scheme,
    *,
    seed: int = 0,
    weight_quantizer: QuantizerOf | None = None,
    activation_quantizer: QuantizerOf | None = None,
) -> nn.Module:
    """Quantize `model` in place as `scheme` says, and return it.

    Its `nn.Linear` and `nn.Conv2d` become quantizable (parameters kept); every layer, in the order of declaration,
    gets a weight and an input quantizer; activation slots (`Activation`, `nn.ReLU`) get the scheme's function, and
    BatchNorms its kind of norm. Weights are not initialized here: see `initialize`.

    Args:
        seed: of the stochastic quantizers; each layer draws from its own stream.
        weight_quantizer, activation_quantizer: what decides a layer's quantizers instead of the scheme.

    Raises:
        ConfigError: a model without a layer to quantize, or a quantizer that cannot be built.
    """
    _make_quantizable(model, scheme)
    layers = quant_layers(model)
    if not layers:
        raise ConfigError(f"{type(model).__name__} has no nn.Linear or nn.Conv2d to quantize", "model")
    scheme.quantization.check_names(name for name, _ in layers)
    for position, (name, layer) in enumerate(layers):
        layer.name, layer.position, layer.layer_count = name, position, len(layers)
        layer.weight_quantizer = (weight_quantizer or default_weight_quantizer(scheme))(layer)
        layer.input_quantizer = (activation_quantizer or default_activation_quantizer(scheme))(layer)
        layer.latent_evaluation = scheme.quantization.evaluation_weights == "latent"
        for role, quantizer in (("weight", layer.weight_quantizer), ("input", layer.input_quantizer)):
            if quantizer is not None:
                quantizer.layer_name = f"{name}.{role}"
                quantizer.reseed(derive(seed, role, position))
    return model


def default_weight_quantizer(scheme: Scheme) -> QuantizerOf:
    """What chooses a layer's weight quantizer when nothing else does: the scheme."""

    def choose(layer: QuantLayer) -> Quantizer | None:
        spec = scheme.quantization.weight_spec(layer.name, layer.position, layer.layer_count)
        return None if spec is None else _build(spec, "weights")

    return choose


def default_activation_quantizer(scheme: Scheme) -> QuantizerOf:
    """What chooses a layer's input quantizer when nothing else does: the scheme."""

    def choose(layer: QuantLayer) -> Quantizer | None:
        spec = scheme.quantization.input_spec(layer.name, layer.position, layer.layer_count)
        return None if spec is None else _build(spec, "network_input" if layer.position == 0 else "activations")

    return choose


def _build(spec: QuantizerSpec, field: str) -> Quantizer:
    try:
        return spec.build()
    except ConfigError as error:
        raise error.within(prefix=f"scheme_options.{field}") from error


def _make_quantizable(model: nn.Module, scheme: Scheme) -> None:
    replaced: dict[nn.Module, nn.Module] = {}  # one module in two places stays one module
    for module in list(model.modules()):
        # Not named_children(), which passes over a module's second place.
        for name, child in module._modules.items():
            if isinstance(child, nn.Linear | nn.Conv2d) and not isinstance(child, QuantLayer):
                setattr(module, name, replaced.setdefault(child, from_float(child)))
            elif isinstance(child, Activation | nn.ReLU):
                setattr(module, name, replaced.setdefault(child, Activation(scheme.recipe.activation_function)))
    _replace_norms(model, scheme)


def _replace_norms(model: nn.Module, scheme: Scheme) -> None:
    """The scheme's kind of norm. The output layer's stays plain BatchNorm, as in the authors' shift-based networks."""
    hidden: set[nn.Module] = set()
    waiting: set[nn.Module] = set()  # norms of which it is not known yet whether a layer follows
    for module in model.modules():
        if isinstance(module, QuantLayer):
            hidden |= waiting
        elif isinstance(module, _BatchNorm):
            waiting.add(module)
    replaced: dict[nn.Module, nn.Module] = {}
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if isinstance(child, _BatchNorm):
                if child not in replaced:
                    replaced[child] = _norm(child, scheme, child in hidden)
                setattr(module, name, replaced[child])


def _norm(norm: _BatchNorm, scheme: Scheme, hidden: bool) -> nn.Module:
    if scheme.recipe.norm == "none":
        return nn.Identity()
    if scheme.recipe.norm == "shift" and hidden and type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d):
        kind = ShiftBatchNorm1d if isinstance(norm, nn.BatchNorm1d) else ShiftBatchNorm2d
        norm = kind.from_batch_norm(norm)
    if scheme.recipe.norm_momentum is not None:
        norm.momentum = scheme.recipe.norm_momentum
    return norm
