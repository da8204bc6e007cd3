"""What goes into modules and comes out of them, watched while a network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Watch = Callable[[str, Tensor], None]
"""Told a module's name and a tensor."""


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

    def before(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda _, given: None if inputs is None else inputs(name, given[0])

    def after(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        return lambda _, __, output: None if outputs is None else outputs(name, output)

    handles = []
    for name, module in modules.items():
        if inputs is not None:
            handles.append(module.register_forward_pre_hook(before(name)))
        if outputs is not None:
            handles.append(module.register_forward_hook(after(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
