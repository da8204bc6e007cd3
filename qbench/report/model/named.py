"""The group that a user names."""

from __future__ import annotations

from qbench.errors import UserError, nearest
from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.visible import writable


def named(model: ReportModel, name: str) -> Group:
    """Return the group of this name, short or long, or the only one of the scheme of this name.

    Raises:
        UserError: no group has the name, with the nearest ones; or several have the scheme, with their names.
    """
    name = str(writable(name))  # as the names of groups are
    exact = [group for group in model.groups if name == group.name] or [
        group for group in model.groups if name == group.long_name
    ]
    found = exact or [group for group in model.groups if group.scheme == name]
    if len(found) > 1:
        names = listed([f'"{group.name}"' for group in found])
        raise UserError(f"{len(found)} groups are {name}; name one of them, in quotes: {names}")
    if not found:
        if not model.groups:
            raise UserError(f"no group {name!r}: no trial is known")
        known = list(dict.fromkeys([group.name for group in model.groups] + [group.scheme for group in model.groups]))
        raise UserError(f"no group {name!r}{nearest(name, known)}")
    return found[0]
