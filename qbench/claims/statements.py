"""Claims that state no number: measured, or tested on paired results."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.claims import settings
from qbench.claims.claim import ByMeasurement, ByTraining, Claim, Selected, seeds_text
from qbench.claims.judge import Judge, Values, at_least, beats, trained
from qbench.claims.selection import Setting, select_pair
from qbench.claims.stored import StoredSweep

_SECTION = "Statements"
_UNFUSED = (
    "never judged: BatchNorm is one fused kernel, shift-based BatchNorm here many unfused ones, whose time is theirs"
)


def _pair(first: Setting, second: Setting) -> ByTraining:
    def select(sweeps: Sequence[StoredSweep]) -> Selected | None:
        return select_pair(first, second, sweeps)

    return ByTraining(select)


def _tests(values: Values) -> str:
    over_seeds = "none from one" if values["p_seeds"] is None else f"p = {values['p_seeds']:.2g}"
    against = f", for the other {values['p_images_against']:.2g}" if values["p_images_against"] < 1 else ""
    notes = f"; {values['notes']}" if values["notes"] else ""
    return (
        f"{values['first']:.2f} % and {values['second']:.2f} %, {abs(values['difference']):.2f} points "
        f"{'better' if values['difference'] > 0 else 'worse'}; over {seeds_text(values['seeds'])} {over_seeds}, "
        f"over images p = {values['p_images']:.2g}{against}{notes}"
    )


def _where(values: Values) -> str:
    return f"{values['value']:.2f}× ({values['low']:.2f} to {values['high']:.2f}) on the {values['device'].upper()}"


def _without_norm(values: Values) -> str:
    return (
        f"training loss {values['none_loss']:.2f} (at {values['none_rate']:g}, which validates best) for "
        f"{values['batch_loss']:.2f}: {values['value']:.1f}× at least; test error {values['none_error']:.1f} % for "
        f"{values['batch_error']:.1f} % (digits, 10 epochs, {values['seeds']} seeds)"
    )


def _comparison(id: str, statement: str, paper: str, first: Setting, second: Setting) -> Claim:
    source = "BinaryNet, arXiv 1602.02830, and BinaryConnect, NIPS 2015, tables of test errors"
    return Claim(id, _SECTION, statement, source, paper, _pair(first, second), trained(beats()), _tests)


STATEMENTS = (
    Claim(
        "batch-norm",
        _SECTION,
        "without BatchNorm the loss is large: BinaryNet, 3×512 units on digits",
        "a summary of BinaryNet",
        "large",
        ByMeasurement("without-batch-norm-at-its-best-rate"),
        at_least(
            2,
            "confirmed if in every seed the last epoch's training loss is at least twice that with BatchNorm, at the "
            "learning rate that validates best without it",
        ),
        _without_norm,
    ),
    Claim(
        "stochastic-slow",
        _SECTION,
        "random numbers make the stochastic sign slow: its time over that of the deterministic one, a 4096×4096 weight",
        "BinaryNet, arXiv 1602.02830, on deterministic and stochastic binarization",
        "harder to implement, for it needs random bits",
        ByMeasurement("stochastic-sign"),
        at_least(2, "confirmed at twice the time or more"),
        _where,
    ),
    Claim(
        "shifts-gain-nothing",
        _SECTION,
        "shifts gain nothing on a GPU: time of BatchNorm over that of shift-based BatchNorm, a training step on "
        "[50, 128, 32, 32]",
        "a critic of the shift-based BNN",
        "<= 1×",
        ByMeasurement("shift-batch-norm"),
        Judge(_UNFUSED, lambda values: "other settings" if values["device"] == "cuda" else "other machine"),
        _where,
    ),
    _comparison(
        "binaryconnect-beats-binarynet-mnist",
        "BinaryConnect beats BinaryNet: deterministic, MNIST",
        "1.29 and 0.96 %: worse",
        settings.BINARYCONNECT_MNIST,
        settings.BINARYNET_MNIST,
    ),
    _comparison(
        "binaryconnect-beats-binarynet-cifar10",
        "BinaryConnect beats BinaryNet: deterministic, CIFAR-10",
        "9.90 and 11.40 %: better",
        settings.BINARYCONNECT_CIFAR10,
        settings.BINARYNET_CIFAR10,
    ),
    _comparison(
        "stochastic-beats-deterministic-mnist",
        "stochastic beats deterministic: BinaryConnect, MNIST",
        "1.18 and 1.29 %: better",
        settings.BINARYCONNECT_MNIST_STOCHASTIC,
        settings.BINARYCONNECT_MNIST,
    ),
    _comparison(
        "stochastic-beats-deterministic-cifar10",
        "stochastic beats deterministic: BinaryConnect, CIFAR-10",
        "8.27 and 9.90 %: better",
        settings.BINARYCONNECT_CIFAR10_STOCHASTIC,
        settings.BINARYCONNECT_CIFAR10,
    ),
)
