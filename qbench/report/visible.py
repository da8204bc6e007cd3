"""Text that cannot command a terminal or break out of its line."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# Controls, formats (bidirectional overrides, zero widths), lone surrogates, line and paragraph separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    """Return `text` in one line: line breaks and tabs as spaces, every other unseen character as its escape.

    Names of schemes and messages of errors come from files. An escape sequence among them would recolour, retitle or
    rewrite a terminal.

    >>> visible("a\\nb\\x1b[31m")
    'a b\\\\x1b[31m'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape").decode("ascii")
    return character


# What XML, and with it SVG, cannot hold: controls but for tab and line ends, and noncharacters; and lone surrogates,
# which UTF-8 cannot hold. An error's message has the latter where it names a file whose name is no UTF-8.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def writable(value: Any) -> Any:
    """Return plain values in which every text, at any depth, can be written to any file, as its escapes else.

    >>> writable({"a": ["b\x00"]})
    {'a': ['b\\x00']}
    """
    if isinstance(value, str):
        return _UNWRITABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), value)
    if isinstance(value, dict):
        return {writable(key): writable(each) for key, each in value.items()}
    if isinstance(value, list):  # of numbers, where the first is one: histories and histograms are long
        return [writable(each) for each in value] if isinstance(next(iter(value), 0), str | list | dict) else value
    return value
