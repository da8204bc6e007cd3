"""Which groups were tested on the same images: only their accuracies compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from qbench.report.model.group import Group

T = TypeVar("T")


def same_images(first: Group, second: Group) -> bool:
    """Whether two groups were tested on the same images, as far as data, split and labels tell."""
    keys = ("data", "split_seed")
    return first.labels == second.labels and all(first.config.get(key) == second.config.get(key) for key in keys)


def on_same_images(items: Iterable[T], group_of: Callable[[T], Group]) -> list[list[T]]:
    """Return the items in sets, each of those whose groups were tested on the same images, in their order."""
    sets: list[list[T]] = []
    for item in items:
        home = next((each for each in sets if same_images(group_of(each[0]), group_of(item))), None)
        if home is None:
            sets.append([item])
        else:
            home.append(item)
    return sets
