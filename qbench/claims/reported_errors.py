"""Claims on test errors: the table of MNIST, SVHN and CIFAR-10 in BinaryNet, and those of BinaryConnect and BNN."""

from __future__ import annotations

from collections.abc import Iterable

from qbench.claims import settings
from qbench.claims.claim import ByTraining, Cited, Claim, formatted, seeds_text
from qbench.claims.judge import Judge, Values, always, at_most, trained, within
from qbench.claims.selection import Setting, select_error

_SECTION = "Test errors"
_BN = "BinaryNet, arXiv 1602.02830, table of test errors"
_LISTED = f"as listed in {_BN}"
_BC = "BinaryConnect, NIPS 2015, table of test errors"
_BDNN = "BNN, arXiv 1602.02505, table of test errors"
_NETS = {"mnist": "MNIST, permutation-invariant MLP", "svhn": "SVHN, ConvNet", "cifar10": "CIFAR-10, ConvNet"}


def show_error(values: Values) -> str:
    """Return mean and standard deviation over seeds as text: `1.62 ± 0.05 % (3 seeds; epochs 30 for 1000)`."""
    spread = "" if values["spread"] is None else f" ± {values['spread']:.2f}"
    notes = f"; {values['notes']}" if values["notes"] else ""
    return f"{values['value']:.2f}{spread} % ({seeds_text(values['seeds'])}{notes})"


def _percent(error: float, spread: float | None) -> str:
    return f"{error:.2f} %" if spread is None else f"{error:.2f} ± {spread:.2f} %"


def _method(error: float) -> Judge:
    return trained(at_most(error, "confirmed if the mean over seeds is at most the paper's mean, at its settings"))


def _baseline(error: float) -> Judge:
    # A baseline far better than the paper's would not confirm what the paper compares with it.
    return trained(within(error, 0.1 * error, "confirmed within a tenth of the paper's mean, at its settings"))


def _trained(
    id: str, name: str, source: str, errors: dict[str, tuple[Setting, float, float | None]], baseline: bool = False
) -> Iterable[Claim]:
    for data, (setting, error, spread) in errors.items():
        yield Claim(
            f"{data}-{id}",
            _SECTION,
            f"{name}: {_NETS[data]}, test error",
            source,
            _percent(error, spread),
            ByTraining(lambda sweeps, setting=setting: select_error(setting, sweeps)),  # type: ignore[misc]
            _baseline(error) if baseline else _method(error),
            show_error,
        )


def _cited(id: str, name: str, errors: dict[str, str]) -> Iterable[Claim]:
    for data, error in errors.items():
        yield Claim(
            f"{data}-{id}",
            _SECTION,
            f"{name}: {_NETS[data].partition(',')[0]}, test error",
            _LISTED,
            f"{error} %",
            Cited(),
            always("cited only"),
            formatted("-"),
        )


REPORTED_ERRORS = (
    *_trained(
        "bnn-shift",
        "BNN, shift-based (Torch7)",
        _BDNN,
        {
            "mnist": (settings.BNN_MNIST, 1.40, None),
            "svhn": (settings.BNN_SVHN, 2.53, None),
            "cifar10": (settings.BNN_CIFAR10, 10.15, None),
        },
    ),
    *_trained(
        "binarynet",
        "BinaryNet (Theano)",
        _BN,
        {
            "mnist": (settings.BINARYNET_MNIST, 0.96, None),
            "svhn": (settings.BINARYNET_SVHN, 2.80, None),
            "cifar10": (settings.BINARYNET_CIFAR10, 11.40, None),
        },
    ),
    *_trained(
        "binaryconnect",
        "BinaryConnect, deterministic",
        _BC,
        {
            "mnist": (settings.BINARYCONNECT_MNIST, 1.29, 0.08),
            "svhn": (settings.BINARYCONNECT_SVHN, 2.30, None),
            "cifar10": (settings.BINARYCONNECT_CIFAR10, 9.90, None),
        },
    ),
    *_trained(
        "binaryconnect-stochastic",
        "BinaryConnect, stochastic",
        _BC,
        {
            "mnist": (settings.BINARYCONNECT_MNIST_STOCHASTIC, 1.18, 0.04),
            "svhn": (settings.BINARYCONNECT_SVHN_STOCHASTIC, 2.15, None),
            "cifar10": (settings.BINARYCONNECT_CIFAR10_STOCHASTIC, 8.27, None),
        },
    ),
    *_trained(
        "no-regularizer",
        "BinaryConnect's float32 baseline without regularizer",
        _BC,
        {
            "mnist": (settings.FLOAT_MNIST, 1.30, 0.04),
            "svhn": (settings.FLOAT_SVHN, 2.44, None),
            "cifar10": (settings.FLOAT_CIFAR10, 10.64, None),
        },
        baseline=True,
    ),
    *_trained(
        "dropout",
        "BinaryConnect's float32 baseline with 50 % dropout",
        _BC,
        {"mnist": (settings.DROPOUT_MNIST, 1.01, 0.04)},
        baseline=True,
    ),
    *_trained(
        "bitwise",
        "bitwise DNN (Kim & Smaragdis 2016), binary at test",
        _LISTED,
        {"mnist": (settings.BITWISE_MNIST, 1.33, None)},
    ),
    *_trained(
        "ternary-binary",
        "ternary weights, binary activations (Hwang & Sung 2014), at test",
        _LISTED,
        {"mnist": (settings.TERNARY_MNIST, 1.45, None)},
    ),
    *_cited("committee-machines", "Committee Machines' Array (Baldassi et al. 2015), binary", {"mnist": "1.35"}),
    *_cited(
        "expectation-backpropagation",
        "expectation backpropagation (Cheng et al. 2015), binary at test; 2.12 as BinaryNet cites it",
        {"mnist": "2.2 ± 0.1"},
    ),
    *_cited("l2-svm", "Deep L2-SVM (Tang 2013), float32", {"mnist": "0.87"}),
    *_cited("maxout", "Maxout networks, float32", {"mnist": "0.94", "svhn": "2.47", "cifar10": "11.68"}),
    *_cited("network-in-network", "Network in network, float32", {"svhn": "2.35", "cifar10": "10.41"}),
    *_cited("gated-pooling", "Gated pooling, float32", {"svhn": "1.69", "cifar10": "7.62"}),
)
