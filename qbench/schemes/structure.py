"""What a scheme asks of a network's structure, checked on the operations that it runs."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from qbench.errors import ConfigError, quoted
from qbench.nn.from_float import from_float
from qbench.nn.graph.capture import UncapturedError, capture
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import base_name
from qbench.nn.meter import meter
from qbench.nn.quant_layer import QuantLayer
from qbench.schemes.named import spelled_out
from qbench.schemes.places import Places, find_places
from qbench.schemes.quantization import Quantization, Role
from qbench.schemes.running import check_running, check_takes
from qbench.schemes.scheme import Scheme
from qbench.schemes.sign_inputs import check_signs, tell_signs
from qbench.schemes.slots import reaches, takes

_log = logging.getLogger(__name__)

_FLOAT_MODULES = (
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.Bilinear,
    nn.MultiheadAttention,
)
"""torch's modules that multiply by weights and have no quantized form: asked where no operations can be read."""

_LOOK_UPS = ("embedding", "embedding_bag", "_embedding_bag")

_NAMED = 6  # in one message


def check_structure(network: nn.Module, scheme: Scheme, input_shape: tuple[int, ...] | Tensor) -> None:
    """Refuse a network whose forward would not compute what `scheme` says; a scheme without quantizers asks nothing.

    Refused are, each by its name, unless the scheme declares it float (`layers`, or `allow_float` for what has no
    quantized form):

    - multiplications that are no quantizable layer's: attention, an LSTM, `F.linear`, a layer of another kind; and
      tables that something else than an nn.Embedding looks up;
    - a layer that is never called, or more or less often in training than in evaluation; one that cannot be quantized
      for a forward, a parametrization or hooks of its own; one whose weights something else reads;
    - what makes signs meaningless in front of a binary layer: values that are never negative (see `check_signs`);
    - a network that computes otherwise with gradients than without, on a batch of random numbers.

    It also tells the input quantizers whether their inputs can be negative. Where the operations cannot be read, one
    warning says why, and only what the modules and a meter below them show is checked.

    Args:
        network: what `apply_scheme` returned; or, of a post-training scheme, the float network, so that what cannot be
            quantized is refused before it is trained.
        scheme: the scheme that was applied, or will be after training.
        input_shape: of one example, without the batch, or a batch of examples.

    Raises:
        ConfigError: what is refused, by name, with what can be done.
    """
    checked = _Network(network, scheme.quantization, find_places(network, None))
    if not scheme.quantization.quantizes and not checked.is_quantized:
        return
    try:
        graph = capture(network, input_shape)
    except UncapturedError as error:
        check_takes(network, input_shape)
        _log.warning("%s; what %s asks of its structure is checked by its modules alone", error, scheme.name)
        _check_layers(checked)
        _check_modules(checked)
        _check_metered(checked, input_shape)
        check_running(network, input_shape)
        return
    checked = _Network(network, scheme.quantization, find_places(network, graph))
    _check_layers(checked)
    _check_called(checked, graph)
    _check_weights(checked, graph)
    _check_products(checked, graph)
    _check_tables(checked, graph)
    if checked.is_quantized:
        _check_positions(checked)
        _check_slots(network, graph, scheme)
    training = _training_graph(network, input_shape, scheme)
    if training is not None:
        _check_calls(checked, graph, training)
    check_signs(network, graph, training, spelled_out(scheme.recipe.activation_function))
    tell_signs(network, graph)
    check_running(network, input_shape)


@dataclass(frozen=True)
class _Network:
    """A network, and what its scheme says of its parts."""

    network: nn.Module
    quantization: Quantization
    places: Places

    @cached_property
    def is_quantized(self) -> bool:
        """Whether any layer has a quantizer; not so where a float network is trained first."""
        return any(isinstance(module, QuantLayer) and module.is_quantized for module in self.network.modules())

    def is_float(self, name: str) -> bool:
        """Whether the layer called `name` is declared float, by the scheme or by whoever chose its quantizers."""
        layer = self.network.get_submodule(name)
        if isinstance(layer, QuantLayer) and self.is_quantized:
            return not layer.is_quantized
        return self.declares_float(name)

    def declares_float(self, name: str) -> bool:
        """Whether the scheme does; of a layer that is never called as it does of one in the middle."""
        places = self.places
        return self.quantization.leaves_float(name, places.positions.get(name, 1), max(places.count, 3))

    def label(self, name: str) -> str:
        """Return a module's name and class, for messages."""
        return f"{name} ({type(self.network.get_submodule(name)).__name__})"


def _training_graph(network: nn.Module, input_shape: tuple[int, ...] | Tensor, scheme: Scheme) -> Graph | None:
    try:
        return capture(network, input_shape, training=True)
    except UncapturedError as error:
        _log.warning("in training, %s; what %s asks of training is not checked", error, scheme.name)
        return None


def _check_layers(checked: _Network) -> None:
    """Refuse layers that have no quantized form, and quantized ones whose weight is computed anew at each call."""
    for name, layer in checked.places.layers.items():
        if checked.is_float(name):
            continue
        if not isinstance(layer, QuantLayer):
            try:
                from_float(layer, name)
            except ConfigError as error:
                raise ConfigError(f"{error.message}: [{quoted(name)}]", "model") from None
            raise ConfigError(f"{checked.label(name)} was not quantized: apply the scheme", "model")
        if hasattr(layer, "parametrizations") or set(layer._parameters) - {"weight", "bias"}:
            raise ConfigError(
                f"{checked.label(name)} computes its weight from other parameters, which the scheme's bounds and "
                f"initial weights would not reach: remove the parametrization, or leave it float by "
                f"layers: {{{quoted(name)}: float}}",
                "model",
            )


def _check_modules(checked: _Network) -> None:
    """Refuse modules of torch's that multiply by weights and have no quantized form."""
    found = [
        name
        for name, module in checked.network.named_modules()
        if isinstance(module, _FLOAT_MODULES) and not checked.quantization.allows_float(name)
    ]
    if found:
        raise ConfigError(
            f"{_list(checked.label(name) for name in found)} would stay float32 although the scheme quantizes: use "
            f"layers that can be quantized, or let them stay float by allow_float: [{_list(map(quoted, found))}]",
            "model",
        )


def _check_called(checked: _Network, graph: Graph) -> None:
    """Refuse layers that evaluation never calls, unless something reads their weights: that is asked for itself."""
    for name in checked.places.uncalled:
        weight = getattr(checked.network.get_submodule(name), "weight", None)
        if checked.declares_float(name) or graph.readers(_names_of(checked.network, weight)):
            continue
        raise ConfigError(
            f"{checked.label(name)} is never called in evaluation, so nothing of it would be quantized: remove it, or "
            f"leave it float by layers: {{{quoted(name)}: float}}",
            "model",
        )


def _check_calls(checked: _Network, evaluation: Graph, training: Graph) -> None:
    """Refuse layers that training calls more or less often than evaluation."""
    trained, evaluated = (Counter(node.path for node in graph.layers) for graph in (training, evaluation))
    for name in trained | evaluated:
        if trained[name] == evaluated[name] or checked.is_float(name):
            continue
        raise ConfigError(
            f"{checked.label(name)} is called {trained[name]} times in training and {evaluated[name]} times in "
            "evaluation: the network that is trained must be the one that is evaluated. Change its forward, or leave "
            f"it float by layers: {{{quoted(name)}: float}}",
            "model",
        )


def _check_weights(checked: _Network, graph: Graph) -> None:
    """Refuse quantized layers whose weights something else reads, for it would read them unquantized."""
    owners: dict[int, str] = {}
    for name, layer in checked.places.layers.items():
        if not isinstance(layer, QuantLayer) or checked.is_float(name):
            continue
        remedy = f"give it weights of its own, or leave {name} float by layers: {{{quoted(name)}: float}}"
        for reader in graph.readers(_names_of(checked.network, layer.weight)):
            raise ConfigError(
                f"the weights of {checked.label(name)} are also read by {reader.label}, which takes them in float32: "
                f"{remedy}",
                "model",
            )
        other = owners.setdefault(id(layer.weight), name)
        if other != name:
            raise ConfigError(f"the weights of {checked.label(name)} are also those of {other}: {remedy}", "model")


def _names_of(network: nn.Module, weight: Tensor | None) -> list[str]:
    """Return all names of a parameter."""
    return [name for name, each in network.named_parameters(remove_duplicate=False) if each is weight]


def _check_products(checked: _Network, graph: Graph) -> None:
    """Refuse multiplications in float32 that the scheme does not declare."""
    _refuse_products(checked, ((node.path, base_name(node.target), node.macs) for node in graph.of_kind("product")))


def _check_metered(checked: _Network, input_shape: tuple[int, ...] | Tensor) -> None:
    """Refuse the same of a network whose operations cannot be read, by what it runs on a batch of zeros."""
    layers = {name for name, module in checked.network.named_modules() if isinstance(module, QuantLayer)}
    _refuse_products(
        checked,
        (
            (each.path, each.operation.partition(".")[0], round(each.macs))
            for each in meter(checked.network, input_shape)
            if each.path not in layers
        ),
    )


def _refuse_products(checked: _Network, products: Iterable[tuple[str, str, int]]) -> None:
    """Refuse the products, each as (module, function, MACs of one example), that the scheme does not declare float."""
    found: dict[str, int] = defaultdict(int)
    functions: dict[str, dict[str, None]] = defaultdict(dict)
    kept = [name for name in checked.places.layers if checked.is_float(name)]
    for path, function, macs in products:
        inside = any(path == name or path.startswith(f"{name}.") for name in kept)
        if not inside and not checked.quantization.allows_float(path):
            found[path] += macs
            functions[path][function] = None
    if not found:
        return
    network = type(checked.network).__name__
    each = [
        f"{checked.label(path) if path else f'the forward of {network}'} by {', '.join(functions[path])}: {macs:,}"
        for path, macs in found.items()
    ]
    names = _list(map(quoted, found))
    raise ConfigError(
        f"{sum(found.values()):,} multiply-accumulates an example would stay float32 although the scheme quantizes: "
        f"{_list(each, '; ')}. They belong to no nn.Linear, nn.Conv1d, nn.Conv2d or nn.Embedding that is called as a "
        f"layer: use such layers, or let them stay float by allow_float: [{names}]",
        "model",
    )


def _check_tables(checked: _Network, graph: Graph) -> None:
    """Refuse tables of weights that are looked up past any layer: no products, but weights in float32 all the same."""
    if checked.quantization.weights is None:
        return
    for node in graph.nodes:
        function = base_name(node.target)
        if function not in _LOOK_UPS or not node.parameters or checked.quantization.allows_float(node.path):
            continue
        raise ConfigError(
            f"{', '.join(node.parameters)}, a table that {node.label} looks up, would stay float32 although the scheme "
            "quantizes weights: use an nn.Embedding and call it as a layer, or let it stay float by allow_float: "
            f"[{quoted(node.path)}]",
            "model",
        )


def _list(items: Iterable[str], separator: str = ", ") -> str:
    found = list(items)
    more = f"{separator}and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return separator.join(found[:_NAMED]) + more


def _check_positions(checked: _Network) -> None:
    """Refuse quantizers that were chosen by another order than that of execution."""
    roles: tuple[Role, ...] = ("weights", "activations")
    places = checked.places
    for name, layer in places.layers.items():
        if not isinstance(layer, QuantLayer):
            continue
        position = places.positions[name]
        for role in roles:
            given = checked.quantization.choose(role, name, layer.position, layer.layer_count)
            if given.spec != checked.quantization.choose(role, name, position, places.count).spec:
                raise ConfigError(
                    f"{checked.label(name)} is number {position + 1} of {places.count} in the order of execution, but "
                    f"its quantizers are those of number {layer.position + 1} of {layer.layer_count}, in the order of "
                    "declaration: apply the scheme with the network's input_shape",
                    "input_shape",
                )


def _check_slots(network: nn.Module, graph: Graph, scheme: Scheme) -> None:
    """Refuse slots that are empty in front of what stays float, as one applied without the operations leaves them."""
    empty: dict[str, bool] = {}
    for node in graph.nodes:
        if node.target == "slot" and node.kind == "identity":
            reached = reaches(graph, node, lambda each: takes(network, each, scheme))
            empty[node.path] = empty.get(node.path, True) and not reached
    for path, in_front_of_float in empty.items():
        if in_front_of_float:
            raise ConfigError(
                f"{path} ({type(network.get_submodule(path)).__name__}) is in front of what stays float, and the "
                "scheme has taken its ReLU away, for the network's operations were not known: apply the scheme with "
                "the network's input_shape",
                "input_shape",
            )
