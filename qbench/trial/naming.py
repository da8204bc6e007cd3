"""What trials, and groups of trials, are called in a table: by a label, by their scheme, or by what differs.

>>> configs = [{"scheme": "fp32"}, {"scheme": "binarynet", "model_options.width": 32},
...            {"scheme": "binarynet", "model_options.width": 64}]
>>> short_names(configs)
['fp32', 'binarynet width=32', 'binarynet width=64']
>>> long_name(configs[1], varying_keys(configs))
'binarynet model_options.width=32'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from qbench.trial.config import TrialConfig

Config = Mapping[str, Any]
"""A trial's configuration, flat: `TrialConfig.flat()`, or what a row keeps of it."""
Identity = tuple[tuple[str, str], ...]

_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_FILE_ENDINGS = ("py", "yaml", "yml", "json", "csv", "npz", "npy", "pt", "safetensors")
_LONGEST_VALUE = 24
_DEFAULTS = {
    key: field.get_default(call_default_factory=True)
    for key, field in TrialConfig.model_fields.items()
    if not field.is_required()
}


def identity(config: Config) -> Identity:
    """Return what configurations that differ in their seed alone have in common, and no others.

    A key that a row lacks has its default value: a row of an earlier version lacks the keys that came later.
    """
    filled = {key: value for key, value in _DEFAULTS.items() if value != {}} | dict(config)
    return tuple(sorted((key, repr(value)) for key, value in filled.items() if key != "seed" and value is not None))


def varying_keys(configs: Iterable[Config]) -> list[str]:
    """Return the keys, other than scheme and seed, in which configurations differ; empty ones are passed over."""
    known = [each for each in configs if each]
    keys = dict.fromkeys(key for each in known for key in each if key not in ("scheme", "seed"))
    return [key for key in keys if len({repr(_value(each, key)) for each in known}) > 1]


def long_name(config: Config, varying: Sequence[str]) -> str:
    """Return the scheme and the varying settings of a configuration, whole: `binarynet model_options.width=32`."""
    options = [f"{key}={config[key]}" for key in varying if config.get(key) is not None]
    return " ".join([str(config.get("scheme")), *options])


def short_names(configs: Sequence[Config], labels: Sequence[str | None] | None = None) -> list[str]:
    """Return a short name for each configuration: the same for those that differ in their seed alone, and for no other.

    It is its label, else its scheme's name. Those that share it get the settings in which they differ among
    themselves: a key by its last part (`width=32` for `model_options.width`), a dotted path as well, a mapping as
    `conv1:float,fc2:float`, cut after its first entries where it is long. What is left out is never what tells two
    of them apart.

    Args:
        configs: flat; their seeds are ignored.
        labels: of each configuration, None where it has none; of configurations that differ in their seed, equal.
    """
    identities = [identity(each) for each in configs]
    first = {each: index for index, each in reversed(list(enumerate(identities)))}
    places = sorted(first.values())
    known = [configs[place] for place in places]
    varying = varying_keys(known)
    keys = _short_keys(varying)
    values = {key: _texts(_value(each, key) for each in known) for key in varying}
    scheme = _texts(each.get("scheme") for each in known)

    def difference(index: int, among: Sequence[int]) -> str:
        own, others = known[index], [known[other] for other in among]
        parts = [scheme[repr(own.get("scheme"))]] if len({str(other.get("scheme")) for other in others}) > 1 else []
        parts += [
            f"{keys[key]}={values[key][repr(_value(own, key))]}"
            for key in varying_keys(others)
            if _value(own, key) is not None
        ]
        return " ".join([names[index], *parts])

    given = [None] * len(configs) if labels is None else labels
    names = [given[place] or scheme[repr(configs[place].get("scheme"))] for place in places]
    names = _apart(names, difference)
    names = _apart(names, lambda index, _: long_name(known[index], varying))
    names = _apart(names, lambda index, among: f"{names[index]} ({among.index(index) + 1})")
    of_identity = dict(zip((identities[place] for place in places), names, strict=True))
    return [of_identity[each] for each in identities]


def _apart(names: list[str], rename: Callable[[int, Sequence[int]], str]) -> list[str]:
    """Return the names, those that several share as `rename` makes them of an index and of all that share its name."""
    sharing: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        sharing.setdefault(name, []).append(index)
    return [rename(index, sharing[name]) if len(sharing[name]) > 1 else name for index, name in enumerate(names)]


def _value(config: Config, key: str) -> Any:
    return config.get(key, _DEFAULTS.get(key))


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return each key's last part, or the key itself where another key ends so, or is called so.

    The name of what has options is its key's: `loss` for `scheme_options.loss.name`, as where it is a name alone.
    """
    paths = {key: key.removesuffix(".name") if key.count(".") > 1 else key for key in keys}
    last = {path: path.rpartition(".")[2] for path in paths.values()}
    taken = [*last.values(), *(key for key in TrialConfig.model_fields if key not in keys)]
    return {key: last[path] if taken.count(last[path]) == 1 else path for key, path in paths.items()}


def _texts(values: Iterable[Any]) -> dict[str, str]:
    """Return the shortest texts that tell the values apart, by a value's `repr`."""
    distinct = {repr(value): value for value in values}
    for parts, limit in ((1, _LONGEST_VALUE), (1, None), (2, None), (3, None), (None, None)):
        texts = {key: _short(value, parts, limit) for key, value in distinct.items()}
        if len(set(texts.values())) == len(texts):
            return texts
    return {key: key for key in distinct}


def _short(value: Any, parts: int | None, limit: int | None) -> str:
    """Return a value's text: of a dotted path the last parts, of a mapping or list what fits `limit` characters."""
    if isinstance(value, Mapping):
        if "name" in value and set(value) <= {"name", "options"}:
            options = _short(value.get("options") or {}, parts, limit)
            return _short(value["name"], parts, limit) + (f"({options})" if options else "")
        return _joined([f"{key}:{_nested(each, parts, limit)}" for key, each in value.items()], limit)
    if isinstance(value, list | tuple):
        return _joined([_nested(each, parts, limit) for each in value], limit)
    text = str(value)
    if parts is None or not _PATH.fullmatch(text) or text.rpartition(".")[2] in _FILE_ENDINGS:
        return text
    return ".".join(text.split(".")[-parts:])


def _nested(value: Any, parts: int | None, limit: int | None) -> str:
    text = _short(value, parts, limit)
    return f"{{{text}}}" if isinstance(value, Mapping | list | tuple) and "," in text else text


def _joined(texts: Sequence[str], limit: int | None) -> str:
    """Return the texts behind each other; beyond `limit` characters the first of them, and how many there are."""
    whole = ",".join(texts)
    if limit is None or len(whole) <= limit or len(texts) < 2:
        return whole
    return f"{texts[0]},…{len(texts)}"
