"""`qbench estimate`."""

from __future__ import annotations

from typing import Annotated

import typer

from qbench.cli.options import Json, Plugins, SchemeName
from qbench.cli.output import print_json


def estimate(
    model: Annotated[str, typer.Option(metavar="NAME", help="One of `qbench ls models`.", show_default=False)],
    scheme: SchemeName,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="KEY=VALUE", help="Of the model, e.g. width=64; may be repeated."),
    ] = None,
    scheme_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the scheme, e.g. last_layer=float; may be repeated."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Where the weights lie: '8 KB', '32 KB', '1 MB' or 'DRAM'.",
            show_default="the smallest that holds the float32 weights",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Of the training whose memory is printed.")] = 64,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Print memory, operations and energy of a network under a scheme; nothing is trained.

    \b
    Example:
      qbench estimate --model cifar10-convnet --scheme binarynet
      qbench estimate --model digits-convnet --scheme int8-kl --option width=64 --json
      qbench estimate --model mnist-mlp --scheme binarynet --scheme-option network_input=pixel8
    """
    from qbench.cost.estimate import estimate as estimate_costs
    from qbench.report.commands.estimate import estimate_text, filters_text
    from qbench.schemes.catalogue import get_scheme
    from qbench.sweep.options import parse_options

    chosen = get_scheme(scheme, **parse_options(scheme_option or []))
    found = estimate_costs(model, chosen, model_options=parse_options(option or []), weight_level=memory)
    if as_json:
        print_json({"model": model, "scheme": scheme, **found.to_dict(batch_size)})
        return
    print(estimate_text(found, model, scheme, batch_size))
    if found.filters is not None:
        print("\n" + filters_text(found.filters))
