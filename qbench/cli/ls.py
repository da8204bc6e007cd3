"""`qbench ls`."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from qbench.cli.options import Json, Plugins
from qbench.cli.output import print_json
from qbench.report.commands.listing import Kind
from qbench.report.visible import visible


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
      qbench ls quantizers --plugin my_quantizers.py
    """
    from qbench.report.commands.columns import aligned
    from qbench.report.commands.listing import listing, listing_lines

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        if as_json:
            print_json(listing(kind))
        else:
            print("\n".join(aligned(listing_lines(kind), left=3)))
    for each in caught:
        if each.category is UserWarning:  # of another package's entry points; what else is deprecated is not shown
            print(f"warning: {visible(str(each.message))}", file=sys.stderr)
