"""Activation slots for ReLUs that a forward calls as functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from qbench.errors import ConfigError
from qbench.nn.activation import Activation, channels_of

NAME = "functional_relu"
"""The name of the child module that stands for a forward's functional ReLUs."""

_RELU = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_CLAMP = {torch.clamp, torch.clamp_, torch.clip, torch.clip_, Tensor.clamp, Tensor.clamp_, Tensor.clip, Tensor.clip_}
_CLAMP_MIN = {torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_}
_IN_PLACE = {torch.relu_, Tensor.relu_, torch.clamp_, Tensor.clamp_, torch.clip_, Tensor.clip_}
_IN_PLACE |= {torch.clamp_min_, Tensor.clamp_min_, F.hardtanh_}


class FunctionalActivation(Activation):
    """The slot of the ReLUs that a module's own forward calls as functions.

    It is a child module of that module, its owner, and stands for `F.relu`, `torch.relu`, `x.relu()`, `F.relu6`,
    `x.clamp(min=0)` and their like, in-place ones included: while the owner's forward runs, a call of one of them is a
    call of this module. What the modules within the owner call is theirs (see `install`).

    A function that is a module is another one for each call, a slot of its own in `places`, for each call is a place in
    the network. They are built in one run of the network (`building`), which shows the channels of each.

    Args:
        function, options: see `Activation`.
        kept: calls that stay as they are, by their place among the owner's ReLUs in one forward, from 0.
        last: see `Activation.fill`.

    Attributes:
        asked: the function, its options and `last`; None where it needs no module.
        places: the slots of the calls, by that place; none where the function needs no module.
        is_building: whether a call that has no slot yet gets one.
    """

    places: nn.ModuleDict

    def __init__(
        self,
        function: str,
        kept: Collection[int] = (),
        options: Mapping[str, Any] | None = None,
        last: bool = False,
    ) -> None:
        super().__init__(function, options, last=last)
        self.kept = frozenset(kept)
        self.is_building = False

    def fill(
        self,
        function: str,
        options: Mapping[str, Any] | None = None,
        *,
        channels: int | None = None,
        last: bool = False,
    ) -> None:
        """Let each call compute `function`; the slots of a function that is a module are yet to be built."""
        self.places = nn.ModuleDict()
        self.asked: tuple[str, dict[str, Any], bool] | None = None
        if function in self.FUNCTIONS and not options:
            super().fill(function)
        else:
            self.asked = (function, dict(options or {}), last)

    def takes_place(self, call: int, x: Tensor) -> Activation:
        """Return the slot of one of the owner's calls, by its place among them, which takes `x`.

        Raises:
            ConfigError: the owner makes more calls than when the slots were built, or calls one with other channels.
        """
        if self.asked is None:
            return self
        place, (function, options, last) = str(call), self.asked
        channels = channels_of(tuple(x.shape), last)
        if self.is_building and place not in self.places:
            built = Activation(function, options, channels=channels, last=last).to(x.device, x.dtype)
            built.check(x)
            self.places[place] = built.train(self.training)
        if place not in self.places:
            raise ConfigError(
                f"a ReLU runs in training that did not when {function} was put in the place of each: let training and "
                "evaluation call the same",
                "model",
            )
        slot: Activation = self.places[place]  # type: ignore[assignment]
        if slot.takes_channels and slot.channels != channels:
            raise ConfigError(
                f"one call of a ReLU takes {slot.channels} channels and {channels}: {function} has parameters for "
                "each channel, so give each place a module of its own",
                "model",
            )
        return slot

    # Hooks of modules: bound methods, so that a copy or a pickle of a network takes them along.

    def enter(self, owner: nn.Module, inputs: Any) -> None:
        """Begin to stand for the ReLUs; called before the owner's forward."""
        swap = _Swap(self)
        swap.__enter__()
        _running().append(swap)

    def leave(self, owner: nn.Module, inputs: Any, output: Any) -> None:
        """Stop it; called after the owner's forward, whether it raised or not."""
        swap = _running().pop()
        assert swap is not None
        swap.__exit__(None, None, None)

    def pause(self, within: nn.Module, inputs: Any) -> None:
        """Leave ReLUs alone; called before the forward of a module within the owner."""
        _running().append(None)

    def resume(self, within: nn.Module, inputs: Any, output: Any) -> None:
        """Stand for them again."""
        _running().pop()


class _Swap(TorchFunctionMode):
    """Turns functional ReLUs into calls of a slot, while one forward runs."""

    def __init__(self, slot: FunctionalActivation) -> None:
        super().__init__()
        self.slot = slot
        self.calls = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # An outer owner's mode sees what runs inside of an inner one, too.
        if _running() and _running()[-1] is self and is_relu(func, args, kwargs):
            self.calls += 1
            if self.calls - 1 not in self.slot.kept:
                x = args[0] if args else kwargs.get("input", kwargs.get("self"))
                slot = self.slot.takes_place(self.calls - 1, x)
                slot.inplace = func in _IN_PLACE or bool(_given(args, kwargs, _PLACE.get(func, 1), "inplace"))
                return slot(x)
        return func(*args, **kwargs)


_PLACE = {F.relu: 1, F.relu6: 1, F.hardtanh: 3}
"""Where a function takes `inplace`."""

_LOCAL = threading.local()


def _running() -> list[_Swap | None]:
    """Return the forwards that run in this thread, the innermost last; None for one whose ReLUs are its own."""
    if not hasattr(_LOCAL, "running"):
        _LOCAL.running = []
    running: list[_Swap | None] = _LOCAL.running
    return running


def is_relu(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of one of torch's functions is a ReLU: `max(x, 0)`, or that up to 6.

    >>> is_relu(torch.clamp, (torch.ones(1), 0), {}), is_relu(torch.clamp, (torch.ones(1), -1, 1), {})
    (True, False)
    """
    if func in _RELU or func is F.relu6:
        return True
    if func in _CLAMP_MIN:
        return _is(_given(args, kwargs, 1, "min"), 0)
    if func in _CLAMP:
        high = _given(args, kwargs, 2, "max")
        return _is(_given(args, kwargs, 1, "min"), 0) and (high is None or _is(high, 6))
    if func is F.hardtanh or func is F.hardtanh_:
        return _is(_given(args, kwargs, 1, "min_val"), 0) and _is(_given(args, kwargs, 2, "max_val"), 6)
    return False


def _given(args: Sequence[Any], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and value == number


def install(
    owner: nn.Module,
    function: str,
    kept: Collection[int] = (),
    within: Collection[nn.Module] = (),
    *,
    options: Mapping[str, Any] | None = None,
    last: bool = False,
    earlier: FunctionalActivation | None = None,
) -> None:
    """Give the functional ReLUs of `owner`'s forward a slot, a child module of it.

    Args:
        owner: whose forward calls ReLUs as functions.
        function, options, last: what the slot computes, see `Activation.fill`.
        kept: see `FunctionalActivation`.
        within: modules inside of the owner whose forward calls ReLUs that are not the owner's.
        earlier: the slot that stood there before; where it computed the same, what was trained there goes on.
    """
    slot = FunctionalActivation(function, kept, options, last)
    if earlier is not None and earlier.asked == slot.asked:
        slot.places = earlier.places
    slot.train(owner.training)
    name = NAME
    while hasattr(owner, name):
        name += "_"
    owner.add_module(name, slot)
    # First in, so that whatever another hook raises, the slot has begun and can end.
    owner.register_forward_pre_hook(slot.enter, prepend=True)
    owner.register_forward_hook(slot.leave, always_call=True)
    for module in within:
        module.register_forward_pre_hook(slot.pause, prepend=True)
        module.register_forward_hook(slot.resume, always_call=True)


def uninstall(network: nn.Module) -> dict[nn.Module, FunctionalActivation]:
    """Take all slots of functional ReLUs out again: the functions are called as they were written.

    Returns:
        the slots that were there, by their owners.
    """
    found: dict[nn.Module, FunctionalActivation] = {}
    for module in list(network.modules()):
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key, hook in list(hooks.items()):
                if is_slots_own(hook):
                    del hooks[key]
                    module._forward_hooks_always_called.pop(key, None)
        for name, child in list(module._modules.items()):
            if isinstance(child, FunctionalActivation):
                found[module] = child
                delattr(module, name)
    return found


@contextmanager
def building(network: nn.Module) -> Iterator[bool]:
    """Let the slots that each call needs be built while the context lasts, in one run of the network in evaluation.

    Yields whether there is any to be built.
    """
    slots = [each for each in network.modules() if isinstance(each, FunctionalActivation) and each.asked is not None]
    for slot in slots:
        slot.is_building = True
    try:
        yield bool(slots)
    finally:
        for slot in slots:
            slot.is_building = False


def is_slots_own(hook: Any) -> bool:
    """Whether a module's hook is one of a slot's."""
    return isinstance(getattr(hook, "__self__", None), FunctionalActivation)
