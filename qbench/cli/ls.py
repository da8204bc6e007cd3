"""`qbench ls`."""

from __future__ import annotations

from typing import Annotated

import typer

from qbench.cli.options import Json, Plugins
from qbench.cli.output import print_json
from qbench.report.commands.listing import Kind


def ls(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="What to list.", show_default=False)],
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """List what there is to choose from.

    \b
    Example:
      qbench ls schemes
      qbench ls backends --json
    """
    from qbench.report.commands.columns import aligned
    from qbench.report.commands.listing import listing, listing_lines

    if as_json:
        print_json(listing(kind))
    else:
        print("\n".join(aligned(listing_lines(kind), left=2)))
