"""Text that cannot command a terminal or break out of its line."""

from __future__ import annotations

import unicodedata

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
