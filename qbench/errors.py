"""Errors that a user can mend: one clear line, exit code 2."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

if TYPE_CHECKING:
    from quantizers import Registry

T = TypeVar("T")

_PLAIN = re.compile(r"(?!(?:null|true|false|yes|no|on|off|y|n)$)[a-z_][\w.*-]*", re.IGNORECASE | re.ASCII)


class UserError(Exception):
    """Bad input. The message says what is wrong, where, and what to do; the command line prints nothing else."""


class ConfigError(UserError):
    """A configuration that cannot be used.

    Args:
        message: what is wrong, and what would be right.
        key: dotted path of the key that is wrong, e.g. `parameters.scheme.values`.
        file: the file that holds it, if any.
        details: further lines, below the message.
    """

    def __init__(
        self, message: str, key: str | None = None, file: str | None = None, details: tuple[str, ...] = ()
    ) -> None:
        self.message = message
        self.key = key
        self.file = file
        self.details = details
        super().__init__(": ".join(part for part in (file, key, message) if part))

    def __str__(self) -> str:
        """Return file, key and message in one line, and the details below."""
        return "\n".join([str(self.args[0]), *(f"  {line}" for line in self.details)])

    def within(self, *, file: str | None = None, prefix: str | None = None) -> ConfigError:
        """Return the same error with the file, or with `prefix.` before its key."""
        key = ".".join(part for part in (prefix, self.key) if part) or None
        return ConfigError(self.message, key, file or self.file, self.details)


class TrainingError(UserError):
    """A training that gives no usable network."""


def one_line(error: BaseException) -> str:
    """Return an exception's class and message in one line of at most some 300 characters, without a full stop."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300].rstrip('.')}"


def config_error(error: ValidationError, known: list[str]) -> ConfigError:
    """Return a pydantic error as one line: the first fault, its key, what was expected and found.

    Args:
        error: what pydantic raised.
        known: the keys that an unknown one is compared with.
    """
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]") or None
    if first["type"] == "extra_forbidden":
        return ConfigError(f"unknown key{nearest(str(first['loc'][-1]), known)}", key)
    if first["type"] == "missing":
        return ConfigError("is required", key)
    message = str(first["msg"]).removeprefix("Value error, ")
    return ConfigError(f"{message[:1].lower()}{message[1:]}, got {_short(first['input'])}", key)


def quoted(name: str) -> str:
    """Return a name as a sweep file must write it: in quotes where YAML would not read it as this text.

    >>> quoted("blocks.0.attn"), quoted("0"), quoted("")
    ('blocks.0.attn', '"0"', '""')
    """
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def nearest(name: str, known: list[str]) -> str:
    """Return the tail of an error message: the nearest of the known names, and all of them."""
    from quantizers.registry import nearest as tail  # its package loads torch, which only a message should wait for

    return tail(name, known)


def named_in(registry: Registry[T], name: str, key: str) -> T:
    """Return what a registry has under `name`, or the object at the dotted path `name`, of whatever type.

    Raises:
        ConfigError: no such item, with the nearest name; a path that cannot be imported. `key` is the configuration's.
    """
    try:
        return registry.get(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(str(error), key) from error


def lookup(registry: Registry[T], name: str, expected: type[T], key: str) -> T:
    """Return the item called `name` in a registry, or the object at the dotted path `name`.

    Args:
        registry: of schemes, models or data sets.
        name: a registered name or a dotted path.
        expected: the type that the item must have.
        key: the configuration's key that holds the name, for messages.

    Raises:
        ConfigError: no such item, with the nearest name; a path that cannot be imported; an item of another type.
    """
    found = named_in(registry, name, key)
    if not isinstance(found, expected):
        raise ConfigError(f"{name!r} is {type(found).__name__}, expected a {expected.__name__}", key)
    return found


def check_options(
    what: str, build: Callable[..., Any], options: Mapping[str, Any], key: str, given: Collection[str] = ()
) -> None:
    """Refuse options that what is named does not take, and those that it lacks.

    Args:
        what: for the message: `loss 'hinge'`.
        build: the class or function that gets the options, by their names.
        options: by name.
        key: the configuration's key that holds them.
        given: the parameters of `build` that are no options, because qbench itself gives them.

    Raises:
        ConfigError: an option that is unknown (the nearest one is named) or missing.
    """
    try:
        parameters = inspect.signature(build).parameters.values()
    except ValueError:  # written in C, and says nothing
        return
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    known = [each.name for each in named if each.name not in given]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    for name in options:
        if name in given or (name not in known and not takes_any):
            raise ConfigError(f"{what} has no option {name!r}{nearest(str(name), known)}", key)
    for each in named:
        if each.default is each.empty and each.name not in given and each.name not in options:
            raise ConfigError(f"{what} needs its option {each.name!r}", key)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
