"""Hooks of modules: what goes into them and comes out of them, watched while a network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

Watch = Callable[[str, Tensor], None]
"""Told a module's name and a tensor."""

Before = Callable[[nn.Module, tuple[Any, ...]], None]
"""Told a module and its positional arguments, before its forward."""

After = Callable[[nn.Module, tuple[Any, ...], Any], None]
"""Told a module, its positional arguments and its output, after its forward."""


def hooks_of(module: nn.Module) -> list[Callable[..., Any]]:
    """Return the hooks around a module's forward and backward, which are lost where another takes its place."""
    kinds = (module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks)
    return [hook for hooks in kinds for hook in hooks.values()]


@contextmanager
def hooked(modules: Iterable[nn.Module], *, before: Before | None = None, after: After | None = None) -> Iterator[None]:
    """Call `before` and `after` around the forward of each module, while the context lasts."""
    handles = []
    try:
        for module in modules:
            if before is not None:
                handles.append(module.register_forward_pre_hook(before))
            if after is not None:
                handles.append(module.register_forward_hook(after))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def watching(
    modules: Mapping[str, nn.Module], *, inputs: Watch | None = None, outputs: Watch | None = None
) -> Iterator[None]:
    """Tell `inputs` of each module's first input and `outputs` of its output, while the context lasts.

    Args:
        modules: by the names under which they are told.
        inputs: called before a module's forward.
        outputs: called after it.
    """

    def before(name: str, watch: Watch) -> Before:
        return lambda _, given: watch(name, given[0])

    def after(name: str, watch: Watch) -> After:
        return lambda _, __, output: watch(name, output)

    with ExitStack() as hooks:
        for name, module in modules.items():
            hooks.enter_context(
                hooked(
                    [module],
                    before=None if inputs is None else before(name, inputs),
                    after=None if outputs is None else after(name, outputs),
                )
            )
        yield
