"""Checks of storage: evaluation reads nothing that is neither stored nor counted."""

from __future__ import annotations

import types
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantizers.base import Quantizer
from quantizers.contract.subject import Subject

_FEW = 8
"""Bookkeeping of so many values is not asked for; a scale's size is not, either."""
_CONSTANTS = 256
"""Numbers in a Python list or at a module's top level, up to which they are options and tables of a format."""

_Path = tuple[Any, ...]


@torch.no_grad()
def hidden(subject: Subject) -> Iterator[str]:
    """Evaluation reads no values that are neither parameters nor buffers: nothing would store, move or count them.

    Looked for are tensors and arrays among the attributes of the quantizer and of its class, within lists, tuples,
    dictionaries and plain objects, and large ones among the global names that its methods use. What a closure holds,
    or a function that they call, is not seen.
    """
    expected = _evaluated(subject.ready(), subject.x)
    for path, size in _plain_values(subject.ready()):
        quantizer = subject.ready()
        _replace(vars(quantizer.get_submodule(path[0])), path[1:], quantizer.get_submodule(path[0]))
        if _reads(quantizer, subject.x, expected):
            yield (
                f"evaluation reads {_written(path)} ({size:,} values), which is neither a parameter nor a buffer: it "
                "is in no state_dict, moves to no device and counts no bytes; use self.register_buffer"
            )
            return
    for names, name in _large_globals(subject.ready()):
        value = names[name]
        try:
            names[name] = _other_values(value)
            read = _reads(subject.ready(), subject.x, expected)
        finally:
            names[name] = value
        if read:
            yield (
                f"evaluation reads the global {name} ({_size(value):,} values), which is neither a parameter nor a "
                "buffer: it is in no state_dict, moves to no device and counts no bytes; use self.register_buffer"
            )
            return


@torch.no_grad()
def uncounted(subject: Subject) -> Iterator[str]:
    """Of inputs: what evaluation reads is counted by `inference_tensors`, beside scale and zero point.

    `encoding_tensors` names these two and bookkeeping: no tensor that has more values than they have, or `_FEW`.
    """
    quantizer = subject.ready()
    found = quantizer.quantize(subject.x)
    few = max(_FEW, *(0 if each is None else each.numel() for each in (found.scale, found.zero_point)))
    own = dict(_state(quantizer))
    counted = quantizer.inference_tensors().values()
    ids = {id(each) for each in own.values()}
    spare = sum(_bytes(each) for each in counted if id(each) not in ids)  # computed from what is stored in training
    ids = {id(each) for each in counted}
    expected = _evaluated(quantizer, subject.x)
    for name, tensor in own.items():
        if id(tensor) in ids or tensor.numel() <= few or _bytes(tensor) <= spare:
            continue
        changed = subject.ready()
        dict(_state(changed))[name].data = _other_values(tensor.detach())
        if _reads(changed, subject.x, expected):
            yield (
                f"evaluation reads {name!r} ({tensor.numel():,} values), which is not among inference_tensors and "
                f"counts no bytes; encoding_tensors is for scale, zero point and at most {few:,} values beside them"
            )
            return


def _state(quantizer: Quantizer) -> Iterator[tuple[str, Tensor]]:
    yield from quantizer.named_parameters()
    yield from quantizer.named_buffers()


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _evaluated(quantizer: Quantizer, x: Tensor) -> tuple[Tensor, Tensor]:
    return quantizer(x), quantizer.quantize(x).dequantize()


def _reads(changed: Quantizer, x: Tensor, expected: tuple[Tensor, Tensor]) -> bool:
    """Whether a quantizer whose values were changed in one place evaluates otherwise, or no longer."""
    try:
        return not all(torch.equal(one, two) for one, two in zip(_evaluated(changed, x), expected, strict=True))
    except Exception:
        return True


def _plain_values(quantizer: Quantizer) -> Iterator[tuple[_Path, int]]:
    """Yield where the plain values are, as (name of the module, attribute, keys...), and how many."""
    for name, module in quantizer.named_modules():
        given = {
            key: value for key, value in vars(module).items() if key not in ("_parameters", "_buffers", "_modules")
        }
        of_class = {
            key: value
            for kind in reversed(type(module).__mro__)
            if not kind.__module__.startswith(("torch.", "quantizers.base"))
            for key, value in vars(kind).items()
            if not key.startswith("__")
        }
        for key, value in {**of_class, **given}.items():
            yield from (((name, key, *rest), size) for rest, size in _values_in(value, depth=3))


def _values_in(value: Any, depth: int) -> Iterator[tuple[_Path, int]]:
    if isinstance(value, Tensor | np.ndarray):
        yield (), _size(value)
    elif _is_numbers(value):
        if len(value) > _CONSTANTS:
            yield (), len(value)
    elif depth:
        items = _items(value)
        for key, each in items:
            yield from (((key, *rest), size) for rest, size in _values_in(each, depth - 1))


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, dict):
        return list(value.items())
    plain = not isinstance(value, type | nn.Module | types.FunctionType | types.ModuleType | property | classmethod)
    return list(vars(value).items()) if plain and hasattr(value, "__dict__") else []


def _replace(holder: Any, path: _Path, module: Any = None) -> None:
    """Put other values in a place below `holder`; tuples on the way are made anew, and a class's own is shadowed."""
    key, *rest = path
    value = getattr(module, key) if module is not None else holder[key]
    holder[key] = _changed(value, tuple(rest))


def _changed(value: Any, path: _Path) -> Any:
    if not path:
        return _other_values(value)
    if isinstance(value, tuple):
        items = list(value)
        items[path[0]] = _changed(items[path[0]], path[1:])
        return tuple(items)
    if isinstance(value, list | dict):
        copied: Any = value.copy()
        copied[path[0]] = _changed(value[path[0]], path[1:])
        return copied
    vars(value)[path[0]] = _changed(vars(value)[path[0]], path[1:])
    return value


def _large_globals(quantizer: Quantizer) -> Iterator[tuple[MutableMapping[str, Any], str]]:
    """Yield the large values that the methods of a quantizer's own classes name: the module's names, and the name."""
    for kind in type(quantizer).__mro__:
        if kind.__module__.startswith(("torch.", "quantizers.", "abc")) or kind is object:
            continue
        for function in vars(kind).values():
            plain = getattr(function, "__wrapped__", getattr(function, "__func__", function))
            if isinstance(plain, property):
                plain = plain.fget
            if not isinstance(plain, types.FunctionType):
                continue
            names = plain.__globals__
            for name in sorted(_names(plain.__code__)):
                if (
                    isinstance(value := names.get(name), Tensor | np.ndarray | list | tuple)
                    and _size(value) > _CONSTANTS
                ):
                    yield names, name


def _names(code: types.CodeType) -> set[str]:
    """Return the names that a function uses, and those within it."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*(_names(each) for each in inner))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, int | float) for each in value)


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel()
    return value.size if isinstance(value, np.ndarray) else len(value)


def _other_values(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(each * 3 + 1 if isinstance(each, int | float) else each for each in x)
    if x.dtype in (torch.bool, np.bool_):
        return ~x
    return x * 3 + 1


def _written(path: _Path) -> str:
    module, attribute, *inner = path
    name = ".".join(part for part in ("self", module, attribute) if part)
    return name + "".join(f"[{key!r}]" if not isinstance(key, str) else f".{key}" for key in inner)
