"""A scheme applied to a network."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.from_float import from_float
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.quantization import Role
from qbench.schemes.quantizer_choice import QuantizerChoice
from qbench.schemes.recipe import Recipe
from qbench.schemes.scheme import Scheme
from qbench.seeds import derive
from quantizers import Quantizer

QuantizerOf = Callable[[QuantLayer], Quantizer | None]
"""Gives a layer its quantizer; None for float32."""


def apply_scheme(
    model: nn.Module,
    scheme: Scheme,
    *,
    input_shape: tuple[int, ...] | Tensor | None = None,
    seed: int = 0,
    weight_quantizer: QuantizerOf | None = None,
    activation_quantizer: QuantizerOf | None = None,
) -> nn.Module:
    """Quantize `model` in place as `scheme` says, and return it.

    Its `nn.Linear` and `nn.Conv2d` become quantizable and keep their parameters; every layer, in the order of
    declaration, gets a weight and an input quantizer; activation slots (`Activation`, `nn.ReLU`) get the scheme's
    function, and BatchNorms the scheme's kind of norm. Weights are not initialized here: see `initialize`.

    Args:
        model: any module; a module that stands in two places remains one module.
        scheme: its post-training steps are the caller's.
        input_shape: of one example, or a batch of examples; None where it is not known yet: the caller then calls
            `check_structure` once it is.
        seed: of the stochastic quantizers; each layer draws from its own stream.
        weight_quantizer, activation_quantizer: give a layer its quantizer instead of the scheme (None: float32).

    Raises:
        ConfigError: a model without a layer to quantize, an override that matches no layer, or a quantizer that cannot
            be built.
    """
    _make_quantizable(model, scheme.recipe.activation_function)
    _replace_norms(model, scheme.recipe)
    layers = quant_layers(model)
    if not layers:
        raise ConfigError(f"{type(model).__name__} has no nn.Linear or nn.Conv2d to quantize", "model")
    scheme.quantization.check_names(name for name, _ in layers)
    weights_of = weight_quantizer or default_weight_quantizer(scheme)
    input_of = activation_quantizer or default_activation_quantizer(scheme)
    for position, (name, layer) in enumerate(layers):
        layer.name, layer.position, layer.layer_count = name, position, len(layers)
        layer.weight_quantizer = weights_of(layer)
        layer.input_quantizer = input_of(layer)
        layer.latent_evaluation = scheme.quantization.evaluation_weights == "latent"
        for role, quantizer in (("weight", layer.weight_quantizer), ("input", layer.input_quantizer)):
            if quantizer is not None:
                quantizer.layer_name = f"{name}.{role}"
                quantizer.reseed(derive(seed, role, position))
    return model


def default_weight_quantizer(scheme: Scheme) -> QuantizerOf:
    """Return the function that gives a layer the weight quantizer that `scheme` names."""
    return lambda layer: _choice(scheme, "weights", layer).build()


def default_activation_quantizer(scheme: Scheme) -> QuantizerOf:
    """Return the function that gives a layer the input quantizer that `scheme` names."""
    return lambda layer: _choice(scheme, "activations", layer).build()


def _choice(scheme: Scheme, role: Role, layer: QuantLayer) -> QuantizerChoice:
    return scheme.quantization.choose(role, layer.name, layer.position, layer.layer_count)


def _make_quantizable(model: nn.Module, activation_function: str) -> None:
    """Replace layers by their quantizable kind, and what fills an activation slot by the scheme's function."""
    replaced: dict[nn.Module, nn.Module] = {}
    for module in list(model.modules()):
        # Not named_children(), which gives a module that stands in two places once.
        for name, child in module._modules.items():
            if isinstance(child, nn.Linear | nn.Conv2d) and not isinstance(child, QuantLayer):
                setattr(module, name, replaced.setdefault(child, from_float(child)))
            elif isinstance(child, Activation | nn.ReLU):
                setattr(module, name, replaced.setdefault(child, Activation(activation_function)))


def _replace_norms(model: nn.Module, recipe: Recipe) -> None:
    """Replace BatchNorms by the scheme's kind of norm.

    One after the last layer stays plain BatchNorm, as in the shift-based networks of BNN's authors.
    """
    hidden: set[nn.Module] = set()
    waiting: set[nn.Module] = set()  # norms after which no layer has come yet
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
                    replaced[child] = _norm(child, recipe, child in hidden)
                setattr(module, name, replaced[child])


def _norm(norm: _BatchNorm, recipe: Recipe, hidden: bool) -> nn.Module:
    if recipe.norm == "none":
        return nn.Identity()
    if recipe.norm == "shift" and hidden and type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d):
        kind = ShiftBatchNorm1d if isinstance(norm, nn.BatchNorm1d) else ShiftBatchNorm2d
        norm = kind.from_batch_norm(norm)
    if recipe.norm_momentum is not None:
        norm.momentum = recipe.norm_momentum
    return norm
