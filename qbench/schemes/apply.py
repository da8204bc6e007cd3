"""A scheme applied to a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from qbench.errors import ConfigError
from qbench.nn.from_float import from_float
from qbench.nn.functional_activation import uninstall
from qbench.nn.graph.capture import UncapturedError, capture
from qbench.nn.graph.graph import Graph
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.replacing import replace_modules
from qbench.schemes.fast_path import switch_off_fast_paths
from qbench.schemes.norms import replace_norms
from qbench.schemes.places import Places, find_places
from qbench.schemes.quantization import Quantization, Role
from qbench.schemes.quantizer_choice import QuantizerChoice
from qbench.schemes.running import check_takes
from qbench.schemes.scheme import Scheme
from qbench.schemes.slots import fill_slots
from qbench.schemes.structure import check_structure
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

    Its `nn.Linear`, `nn.Conv1d`, `nn.Conv2d` and `nn.Embedding` become quantizable and keep their parameters; every
    layer gets a weight and an input quantizer by its position; activation slots get the scheme's function (see
    `fill_slots`), and BatchNorms the scheme's kind of norm. Weights are not initialized here: see `initialize`.

    With `input_shape` the network's operations are read from its execution: a layer's position is that of its first
    call, ReLUs that are called as functions are slots as well, and `check_structure` refuses what the scheme cannot
    quantize. Without it positions are those of declaration, and only modules are slots; the caller then calls
    `check_structure` as soon as the shape is known. A network whose operations cannot be read is treated so, too.

    What has no quantized form that computes the same (a subclass with a forward of its own, a parametrization, hooks)
    is left as it is by a scheme that quantizes nothing, and where the scheme says that it stays float.

    Args:
        model: any module; a module that stands in two places remains one module.
        scheme: its post-training steps are the caller's.
        input_shape: of one example, without the batch, or a batch of examples (of token numbers, say).
        seed: of the stochastic quantizers; each layer draws from its own stream.
        weight_quantizer, activation_quantizer: give a layer its quantizer instead of the scheme (None: float32).

    Raises:
        ConfigError: a model whose parameters have no values yet, or without a layer to quantize, or with one that
            cannot be quantized; an override or an allow_float that matches nothing; a quantizer that cannot be built;
            and see `check_structure`.
    """
    _check_values(model)
    earlier = uninstall(model)
    graph = None if input_shape is None else _read(model, input_shape)
    places = find_places(model, graph)
    if not places.count:
        raise ConfigError(
            f"{type(model).__name__} has no nn.Linear, nn.Conv1d, nn.Conv2d or nn.Embedding to quantize", "model"
        )
    scheme.quantization.check_names([*places.layers, *places.uncalled])
    scheme.quantization.check_allowed(name for name, _ in model.named_modules())
    _make_quantizable(model, places, scheme.quantization)
    _place_quantizers(
        model,
        places,
        scheme,
        seed,
        weight_quantizer or default_weight_quantizer(scheme),
        activation_quantizer or default_activation_quantizer(scheme),
    )
    fill_slots(model, scheme, graph, input_shape, earlier)
    replace_norms(model, scheme.recipe, graph)
    switch_off_fast_paths(model)
    if input_shape is not None:
        check_structure(model, scheme, input_shape)
    return model


def _check_values(model: nn.Module) -> None:
    """Refuse parameters that have no values yet: lazy ones, and those on torch's meta device."""
    for name, parameter in model.named_parameters():
        owner = name.rpartition(".")[0]
        label = f"{owner or 'the network'} ({type(model.get_submodule(owner)).__name__})"
        if is_lazy(parameter):
            raise ConfigError(f"{label} has no weights before its first batch: run one, then quantize", "model")
        if parameter.is_meta:
            raise ConfigError(
                f"{label} is on the meta device, where weights have no values: build it on a real one, or load its "
                "weights with load_state_dict(..., assign=True)",
                "model",
            )


def default_weight_quantizer(scheme: Scheme) -> QuantizerOf:
    """Return the function that gives a layer the weight quantizer that `scheme` names."""
    return lambda layer: _choice(scheme, "weights", layer).build(layer.place("weights"))


def default_activation_quantizer(scheme: Scheme) -> QuantizerOf:
    """Return the function that gives a layer the input quantizer that `scheme` names."""
    return lambda layer: _choice(scheme, "activations", layer).build(layer.place("activations"))


def _choice(scheme: Scheme, role: Role, layer: QuantLayer) -> QuantizerChoice:
    return scheme.quantization.choose(role, layer.name, layer.position, layer.layer_count)


def _read(model: nn.Module, input_shape: tuple[int, ...] | Tensor) -> Graph | None:
    """Return the operations of evaluation; None where they cannot be read, which `check_structure` says.

    Raises:
        ConfigError: the model does not run on such an example at all.
    """
    try:
        return capture(model, input_shape)
    except UncapturedError:
        check_takes(model, input_shape)
        return None


def _make_quantizable(model: nn.Module, places: Places, quantization: Quantization) -> None:
    """Replace torch's layers by their quantizable kind, each in every place where it stands."""
    replaced: dict[nn.Module, nn.Module] = {}
    for name, layer in places.layers.items():
        if isinstance(layer, QuantLayer):
            continue
        try:
            replaced[layer] = from_float(layer, name)
        except ConfigError as error:
            position = places.positions[name]
            if quantization.quantizes and not quantization.leaves_float(name, position, places.count):
                raise ConfigError(error.message, "model") from None
    replace_modules(model, replaced)


def _place_quantizers(
    model: nn.Module, places: Places, scheme: Scheme, seed: int, weights_of: QuantizerOf, input_of: QuantizerOf
) -> None:
    for _, layer in _quantizable(model, places.uncalled):
        layer.weight_quantizer = layer.input_quantizer = None
    for name, layer in _quantizable(model, places.layers):
        layer.name, layer.position, layer.layer_count = name, places.positions[name], places.count
        layer.weight_quantizer = weights_of(layer)
        if _loses_padding(layer) and scheme.quantization.allows_float(name):
            layer.weight_quantizer = None
        layer.input_quantizer = input_of(layer) if layer.quantizes_inputs else None
        layer.latent_evaluation = scheme.quantization.evaluation_weights == "latent"
        if layer.weight_quantizer is not None:
            layer.weight_quantizer.expect_shape(tuple(layer.weight.shape))
        for role, quantizer in (("weight", layer.weight_quantizer), ("input", layer.input_quantizer)):
            if quantizer is not None:
                quantizer.layer_name = f"{name}.{role}"
                quantizer.reseed(derive(seed, role, layer.position))


def _loses_padding(layer: QuantLayer) -> bool:
    """Whether a table's quantizer has no zero for its padding entry; such a table refuses to run."""
    padded = getattr(layer, "padding_idx", None) is not None
    return padded and layer.weight_quantizer is not None and layer.weight_quantizer.is_binary


def _quantizable(model: nn.Module, names: Iterable[str]) -> list[tuple[str, QuantLayer]]:
    modules = ((name, model.get_submodule(name)) for name in names)
    return [(name, module) for name, module in modules if isinstance(module, QuantLayer)]
