"""Modules put in the places of others."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def replace_modules(
    network: nn.Module, replaced: Mapping[nn.Module, nn.Module]
) -> list[tuple[nn.Module, str, nn.Module]]:
    """Put modules in the places of others, in every place where these stand below `network`, and in their mode.

    Returns: the places, as (parent, name in the parent, what stood there).
    """
    # Not named_children(), which gives a module that stands in two places once.
    places = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent._modules.items()
        if child is not None and child in replaced
    ]
    for parent, name, old in places:
        setattr(parent, name, replaced[old].train(old.training))
    return places
