"""`qbench check-quantizer`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from qbench.cli.exit_codes import FAILED
from qbench.cli.options import Json, Plugins
from qbench.cli.output import print_json


class RoleName(StrEnum):
    """What a quantizer serves."""

    weights = "weights"
    activations = "activations"


def check_quantizer(
    quantizer: Annotated[
        str | None,
        typer.Argument(
            metavar="[QUANTIZER]",
            help="One of `qbench ls quantizers`, a dotted path to a class, or a file with quantizers.",
            show_default="all that are known",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="KEY=VALUE", help="An argument of its constructor; may be repeated."),
    ] = None,
    role: Annotated[RoleName, typer.Option(help="What of a layer it quantizes.")] = RoleName.weights,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="N,K|N,C,H,W",
            help="Of the layer's weights, for a quantizer of one shape.",
            show_default="a linear layer's and a convolution's",
        ),
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Check the contract of quantizers: what evaluation sees, what is packed and what is counted are the same.

    It says whether forward(x) is quantize(x).dequantize(), whether codes and scales are those of the format, whether
    the gradient arrives, whether a checkpoint, a copy and a second process get the same, and so on: a line for each
    check, of a fault with the value that was found and what can be done. Exits with 1 where there is a fault. Every
    trial makes the quicker ones before it trains. What each asks for: docs/extending.md.

    \b
    Example:
      qbench check-quantizer my_quantizers.py
      qbench check-quantizer my_quantizers.py --role activations
      qbench check-quantizer lsq --option bits=4 --option channels=64 --shape 64,256
      qbench check-quantizer my_package.my_module.MyQuantizer --json
      qbench check-quantizer
    """
    from qbench.conformance.contract import check_named, contract_text
    from qbench.sweep.options import parse_options

    checked = check_named(
        quantizer, parse_options(option or []), role.value, None if shape is None else _numbers(shape)
    )
    if as_json:
        print_json([each.to_dict() for each in checked])
    else:
        print(contract_text(checked))
    if any(each.faults for each in checked):
        raise typer.Exit(FAILED)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        from qbench.errors import ConfigError

        raise ConfigError(f"expected whole numbers with commas between them, got {text!r}", "--shape") from None
