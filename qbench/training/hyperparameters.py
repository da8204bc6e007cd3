"""The arguments that a module was built with, as a checkpoint keeps them."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from qbench.errors import ConfigError, config_error
from qbench.schemes.flat_scheme import fields_at
from qbench.schemes.scheme import Scheme
from quantizers import Quantizer

_DOTTED = re.compile(r"[^\W\d]\w*(?:[.:][^\W\d]\w*)+")
_PARTS = (Quantizer, nn.Module, Optimizer, LRScheduler)


class NotPlainError(TypeError):
    """A value that only a pickle of code would hold."""


def as_plain(value: Any) -> Any:
    """Return a value as `torch.load(weights_only=True)` reads it: numbers, text, tensors, and containers of these.

    A scheme becomes its flat dict.

    Raises:
        NotPlainError: a value of another kind.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, Scheme):
        return as_plain(value.flat())
    if isinstance(value, Mapping):
        return {as_plain(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return (tuple if isinstance(value, tuple) else list)(as_plain(each) for each in value)
    raise NotPlainError(type(value).__name__)


def split(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the plain ones of `values`, and the class of each other one, by name."""
    plain, others = {}, {}
    for name, value in values.items():
        try:
            plain[name] = as_plain(value)
        except NotPlainError as error:
            others[name] = str(error)
    return plain, others


def constructor_arguments(
    module: object, arguments: tuple[Any, ...], options: Mapping[str, Any], passed_on: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call of `type(module)` by name, defaults included.

    Args:
        module: what the call builds.
        arguments, options: as it was called.
        passed_on: the arguments that a base class's constructor got. Those of `arguments` that a subclass's `*args`
            hides are named by them: they are the same objects.
    """
    signature = inspect.signature(type(module).__init__)
    bound = signature.bind(module, *arguments, **options)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for parameter in list(signature.parameters.values())[1:]:
        value = bound.arguments[parameter.name]
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= value
        elif parameter.kind is parameter.VAR_POSITIONAL:
            found |= {name: mine for name, mine in passed_on.items() if any(mine is each for each in value)}
        else:
            found[parameter.name] = value
    return found


def loading_arguments(
    kind: type, kept: Mapping[str, Any], left_out: Mapping[str, str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments with which `kind` is built to load a checkpoint, beyond those it keeps as they are.

    Args:
        kind: a subclass of QuantModule.
        kept: the checkpoint's hyperparameters.
        left_out: the class of each argument that it does not keep.
        given: what the caller gave.

    Raises:
        ConfigError: an argument that the checkpoint does not keep and the caller does not give.
    """
    needed = {name: parameter for name, parameter in inspect.signature(kind).parameters.items() if name == "model"}
    is_required = any(parameter.default is parameter.empty for parameter in needed.values())
    missing = {name: held for name, held in left_out.items() if name not in given}
    if "model" in missing or (is_required and "model" not in given and "model" not in kept):
        raise ConfigError(
            f"a checkpoint keeps the weights and not the network's code: give {kind.__name__}.load_from_checkpoint "
            "the network that was trained, freshly built, as model=",
            "model",
        )
    if missing:
        name, held = next(iter(missing.items()))
        raise ConfigError(
            f"{kind.__name__} was built with {name}= an object of class {held}, which a checkpoint does not keep: give "
            f"it to load_from_checkpoint, as {name}=",
            name,
        )
    found = dict(given)
    if "scheme" not in found:
        scheme = kept.get("scheme")
        if isinstance(scheme, Mapping):
            found["scheme"] = scheme_of(scheme)
        elif isinstance(scheme, str):
            _refuse_code({"scheme": scheme}, None)
    return found


def scheme_of(flat: Mapping[str, Any], own: Scheme | None = None) -> Scheme:
    """Return the scheme of a flat dict in a checkpoint, which is data: no code is imported or called by its say.

    Args:
        flat: the dict.
        own: a scheme that the program itself has, whose dotted paths may stand in `flat` too.

    Raises:
        ConfigError: a field that this version does not know, or a value that it does not take; a dotted path that is in
            no scheme of the program's, but to a class of quantizers, modules, optimizers or schedules that is imported.
    """
    _refuse_code(flat, own)
    try:
        return Scheme.model_validate(dict(flat))
    except ValidationError as error:
        place = error.errors(include_url=False)[0]["loc"]
        reason = config_error(error, fields_at(place))
        raise ConfigError(f"the checkpoint's scheme is none that this version knows ({reason})", "scheme") from None


def _refuse_code(flat: Mapping[str, Any], own: Scheme | None) -> None:
    known = set() if own is None else set(_texts(own.flat()))
    for text in _texts({key: value for key, value in flat.items() if key not in ("name", "description")}):
        if _DOTTED.fullmatch(text) and text not in known and not _is_imported_part(text):
            raise ConfigError(
                f"the checkpoint's scheme names {text!r}, and no code is run because a file names it: give "
                "load_from_checkpoint the scheme that was trained, as scheme=",
                "scheme",
            )


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts among nested values; not the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _is_imported_part(path: str) -> bool:
    """Whether a dotted path leads to a class that the program has imported, and that builds a part of a network."""
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    found = getattr(sys.modules.get(module), "__dict__", {}).get(name)
    return isinstance(found, type) and issubclass(found, _PARTS)
