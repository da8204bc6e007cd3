"""What fills a network's activation slots."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.evaluation_mode import evaluating, plain_execution
from qbench.nn.functional_activation import FunctionalActivation, building, install, is_slots_own
from qbench.nn.graph.example import example_batch
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.node import Node
from qbench.nn.hooks import hooks_of
from qbench.nn.quant_layer import QuantLayer, quantizing_only
from qbench.schemes.named import NamedSpec, spelled_out
from qbench.schemes.scheme import Scheme
from qbench.schemes.slot_shape import SlotShape, slot_shape

_log = logging.getLogger(__name__)

RELUS = ("relu", "relu6")
"""The functions that a scheme's activation function takes the place of."""

_RELU = NamedSpec(name="relu")


def fill_slots(
    network: nn.Module,
    scheme: Scheme,
    graph: Graph | None,
    input_shape: tuple[int, ...] | Tensor | None = None,
    earlier: Mapping[nn.Module, FunctionalActivation] | None = None,
) -> None:
    """Give the activation slots the scheme's function: `Activation`, nn.ReLU, nn.ReLU6, and with a graph their calls
    as functions, in place or not.

    A scheme with ReLUs leaves every slot its own function. Any other function takes the place of those ReLUs whose
    results reach a layer that the scheme quantizes, through whatever is between them but another activation or
    product: a ReLU in front of an LSTM that stays float stays, too.

    A function with parameters is a module of its own in each place: in each slot, and in each call of a ReLU that is a
    function. A slot that computes the same already keeps its module, and what was trained there.

    Args:
        network: its layers have their quantizers.
        scheme: says which function.
        graph: of the network before anything was replaced; None fills every slot that is a module, and no other.
        input_shape: that the graph was read with.
        earlier: the slots of functional ReLUs that stood there before (see `uninstall`).

    Raises:
        ConfigError: a module with hooks that would have to be replaced; and, by name, an activation function that is
            not known, that does not take its options, that needs the channels where they are not known, that does not
            keep the shape, or whose slot is called with different channels.
    """
    function = spelled_out(scheme.recipe.activation_function)
    if function == _RELU or graph is None:
        _fill_modules(network, function, {}, kept=set())
        return
    by_path: dict[str, list[Node]] = defaultdict(list)
    for node in relus(graph):
        by_path[node.path].append(node)
    reached = {node.name for node in relus(graph) if reaches(graph, node, lambda each: takes(network, each, scheme))}
    kept = {path for path, nodes in by_path.items() if not any(node.name in reached for node in nodes)}
    modules = {path: network.get_submodule(path) for path in by_path}
    functional = {path for path in by_path if path not in kept and not is_slot(modules[path])}
    for path in by_path.keys() - kept:
        taken = [node for node in by_path[path] if path not in functional or node.name in reached]
        _warn_of_float(network, graph, taken, scheme)
    called = [path for path in by_path if path not in kept and path not in functional]
    shapes = {modules[path]: slot_shape(graph, function, by_path[path]) for path in called}
    stay = {modules[path] for path in kept}
    if function.options or function.name not in Activation.FUNCTIONS:
        stay |= _never_called(network, by_path)
    _fill_modules(network, function, shapes, stay)
    for path in functional:
        shape = slot_shape(graph, function, by_path[path], several=True)
        keeps = [node.name not in reached for node in by_path[path]]
        _install(network, path, function, keeps, graph, last=shape.last, earlier=(earlier or {}).get(modules[path]))
    if functional:
        _build_places(network, input_shape)


def _never_called(network: nn.Module, called: Iterable[str]) -> set[nn.Module]:
    """Return the slots that no operation is of: nothing shows what comes into them, and they keep their ReLU."""
    slots = {module for module in _outside_slots(network) if is_slot(module)}
    return slots - {network.get_submodule(path) for path in called}


def _build_places(network: nn.Module, input_shape: tuple[int, ...] | Tensor | None) -> None:
    """Build the modules of functional ReLUs in one run of the network on zeros, with its layers in float32."""
    with building(network) as needed:
        if not needed or input_shape is None:
            return
        with quantizing_only(network), evaluating(network), plain_execution(), torch.no_grad():
            network(example_batch(input_shape, network))


def _warn_of_float(network: nn.Module, graph: Graph, slots: list[Node], scheme: Scheme) -> None:
    """Warn of a slot that is used in front of quantized layers and of float ones, which lose their ReLU, too."""
    found: dict[str, None] = {}
    for slot in slots:
        for node in graph.of_kind("layer", "product"):
            if not takes(network, node, scheme) and reaches(graph, slot, node.__eq__):
                found[node.label] = None
    if found:
        _log.warning(
            "%s: %s puts %s in the place of its ReLU, also in front of %s, which stays float: give each place a "
            "ReLU of its own",
            slots[0].label,
            scheme.name,
            spelled_out(scheme.recipe.activation_function),
            ", ".join(found),
        )


def relus(graph: Graph) -> list[Node]:
    """Return the ReLUs among the operations, and the slots: whatever a scheme could give another function."""
    return [
        node for node in graph.nodes if node.target == "slot" or (node.kind == "activation" and node.function in RELUS)
    ]


def is_slot(module: nn.Module) -> bool:
    """Whether a module is, as a whole, a place for an activation function: a ReLU, bounded or not, or a slot."""
    if isinstance(module, Activation):
        return True
    if type(module).forward is nn.ReLU.forward:
        return True
    bounds = (getattr(module, "min_val", None), getattr(module, "max_val", None))
    return type(module).forward is nn.Hardtanh.forward and bounds == (0, 6)


def takes(network: nn.Module, node: Node, scheme: Scheme) -> bool:
    """Whether a layer's quantizers take the place of a ReLU in front of it, under the scheme's function.

    Without a function at all the input quantizer has to be one: 8 bits round, and leave a linear network. A scheme that
    quantizes nothing yet counts every layer.
    """
    layer = network.get_submodule(node.path)
    if node.kind != "layer" or not isinstance(layer, QuantLayer):
        return False
    if scheme.post_training is not None or not scheme.quantization.quantizes:
        return True
    if scheme.recipe.activation_function == "identity":
        return layer.input_quantizer is not None and layer.input_format.bits < 8
    return layer.is_quantized


def reaches(graph: Graph, node: Node, wanted: Callable[[Node], bool]) -> bool:
    """Whether the result of `node` gets to an operation that is `wanted`, not past products or other activations."""
    waiting, seen = list(graph.users(node)), {node.name}
    while waiting:
        user = waiting.pop()
        if user.name in seen:
            continue
        seen.add(user.name)
        if wanted(user):
            return True
        if user.kind not in ("layer", "product", "activation") and user.target != "slot":
            waiting.extend(graph.users(user))
    return False


def _fill_modules(
    network: nn.Module, function: NamedSpec, shapes: Mapping[nn.Module, SlotShape], kept: set[nn.Module]
) -> None:
    replaced: dict[nn.Module, nn.Module] = {}
    like = next(network.parameters(), torch.zeros(()))
    for module in list(_outside_slots(network)):
        # Not named_children(), which gives a module that stands in two places once.
        for name, child in module._modules.items():
            if isinstance(child, FunctionalActivation) or child is None:
                continue
            if isinstance(child, Activation):
                _fill(child, _RELU if child in kept else function, shapes.get(child), like)
            elif child not in kept and is_slot(child) and _is_replaced(child, function):
                if child not in replaced:
                    replaced[child] = _slot_of(child, function, shapes.get(child), like)
                setattr(module, name, replaced[child])


def _outside_slots(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules but those within slots, which are parts of an activation function."""
    within = {each for slot in network.modules() if isinstance(slot, Activation) for each in slot.modules()}
    yield from (module for module in network.modules() if module not in within)


def _fill(slot: Activation, function: NamedSpec, shape: SlotShape | None, like: Tensor) -> None:
    """Let a slot compute the function; without a graph its shape is not known."""
    before = slot.module
    if shape is None:
        slot.fill(function.name, function.options)
    else:
        slot.fill(function.name, function.options, channels=shape.channels, last=shape.last)
    if slot.module is not None and slot.module is not before:
        slot.module.to(like.device, like.dtype).train(slot.training)
        if shape is not None:
            generator = torch.Generator().manual_seed(0)
            slot.check(torch.randn(shape.shape, generator=generator).to(like.device, like.dtype))


def _is_replaced(child: nn.Module, function: NamedSpec) -> bool:
    """A ReLU is the same as a slot and as itself; one that somebody hooks into, or a bounded one, stays as it is."""
    return function != _RELU or (type(child).forward is nn.ReLU.forward and not _has_hooks(child))


def _slot_of(relu: nn.Module, function: NamedSpec, shape: SlotShape | None, like: Tensor) -> Activation:
    if _has_hooks(relu):
        raise ConfigError(
            f"{type(relu).__name__} has hooks, and the scheme puts {function} in its place, where they would be lost: "
            "register them after quantizing, or put a qbench Activation there",
            "model",
        )
    own = "relu" if type(relu).forward is nn.ReLU.forward else "relu6"
    slot = Activation(own=own, inplace=bool(getattr(relu, "inplace", False))).train(relu.training)
    _fill(slot, function, shape, like)
    return slot


def _has_hooks(module: nn.Module) -> bool:
    return not all(is_slots_own(hook) for hook in hooks_of(module))


def _install(
    network: nn.Module,
    path: str,
    function: NamedSpec,
    keeps: list[bool],
    graph: Graph,
    *,
    last: bool,
    earlier: FunctionalActivation | None,
) -> None:
    """Put a slot into the module called `path` for the ReLUs that its forward calls as functions."""
    owner = network.get_submodule(path)
    calls = [node.path for node in graph.layers if node.path.startswith(f"{path}." if path else "")]
    kept = [place for place, keep in enumerate(keeps) if keep]
    if path and 0 < len(kept) < len(keeps) and len(calls) > len(set(calls)):
        # A forward that runs twice calls each of its ReLUs twice: which of them stay cannot be told by their order.
        raise ConfigError(
            f"{path} ({type(owner).__name__}) calls ReLUs in front of layers whose inputs the scheme quantizes, and "
            "others in front of what stays float, and it or layers within it are called several times: give each place "
            "a module of its own",
            "model",
        )
    inner = {node.path for node in graph.of_kind("activation")} - {path}
    within = [
        module
        for name, module in owner.named_modules(prefix=path)
        if module is not owner and not isinstance(module, FunctionalActivation) and (name in inner or is_slot(module))
    ]
    install(owner, function.name, kept, within, options=function.options, last=last, earlier=earlier)
