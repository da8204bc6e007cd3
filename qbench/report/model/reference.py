"""The float32 group that another group is held against."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.report.model.group import FOLDER, Group
from qbench.report.model.images import same_images

REFERENCE_SCHEME = "fp32"
# What may differ between a group and its reference: the options of a scheme that float32 does not have.
_OF_THE_SCHEME = ("scheme", "scheme_options")


def reference_of(group: Group, groups: Sequence[Group], varying: Sequence[str]) -> Group | None:
    """Return the float32 group that has most of the varying settings of `group`, the first of equals.

    None for a float32 group, and where there is no float32 group tested on the same images.
    """
    if group.scheme == REFERENCE_SCHEME:
        return None
    keys = [key for key in varying if key.partition(".")[0] not in _OF_THE_SCHEME]
    candidates = [
        other for other in groups if other.scheme == REFERENCE_SCHEME and other.runs and same_images(group, other)
    ]
    return max(
        candidates,
        key=lambda other: sum(other.config.get(key) == group.config.get(key) for key in keys),
        default=None,
    )


def differing(group: Group, reference: Group, varying: Sequence[str]) -> list[str]:
    """Return the varying settings in which a group is not its reference, but for the scheme's own and the folder."""
    keys = (key for key in varying if key.partition(".")[0] not in (*_OF_THE_SCHEME, FOLDER))
    return [key for key in keys if group.config.get(key) != reference.config.get(key)]
