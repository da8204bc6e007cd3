"""One cell: right, refused by name, or wrong."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from torch import Tensor, nn

import qbench.conformance.check as module
from qbench.conformance.check import check_cell
from qbench.conformance.subject import Subject
from qbench.errors import ConfigError
from qbench.nn.meter import UnaccountedError
from qbench.schemes.catalogue import get_scheme


def subject(*layers: nn.Module, shape: tuple[int, ...] = (6,)) -> Subject:
    return Subject("net", lambda: nn.Sequential(*layers), shape)


def chain() -> Subject:
    return subject(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_a_right_cell_says_what_was_compared() -> None:
    cell = check_cell(chain(), "binarynet")
    assert (cell.verdict, cell.message) == ("right", "")
    assert cell.error is not None
    assert 0 < cell.error < 1e-5
    assert (cell.packed_layers, cell.agreement, cell.quantized_share) == (2, 1.0, 1.0)


def test_nothing_is_packed_or_quantized_under_fp32() -> None:
    cell = check_cell(chain(), "fp32")
    assert (cell.packed_layers, cell.agreement, cell.quantized_share) == (0, None, 0.0)


def test_a_share_is_that_of_the_layers() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.cell = nn.Linear(6, 5), nn.Bilinear(5, 5, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.fc(x)
            return self.cell(x, x)

    refused = check_cell(Subject("net", Net, (6,)), "int8-qat")
    assert refused.verdict == "refused"
    assert "cell (Bilinear)" in refused.message
    allowed = check_cell(Subject("net", Net, (6,)), "int8-qat", ("cell",))
    assert allowed.verdict == "right"
    # 6·5 by the layer, 2·5·5 by the bilinear form.
    assert allowed.quantized_share == pytest.approx(30 / (30 + 50))


class Halved(nn.Linear):
    """A layer with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 2


@pytest.mark.parametrize("scheme", ["binarynet", "int8-kl"])
def test_what_is_allowed_stays_float_only_where_it_has_no_quantized_form(scheme: str) -> None:
    whole = check_cell(chain(), scheme, ("3",))
    assert (whole.verdict, whole.quantized_share) == ("right", 1.0)
    own = subject(nn.Linear(6, 8), nn.ReLU(), Halved(8, 8), nn.ReLU(), nn.Linear(8, 3))
    refused = check_cell(own, scheme)
    assert refused.verdict == "refused"
    assert "2 (Halved)" in refused.message
    allowed = check_cell(own, scheme, ("2",))
    assert (allowed.verdict, allowed.message) == ("right", "")
    assert allowed.quantized_share == pytest.approx((48 + 24) / (48 + 64 + 24))


@pytest.mark.parametrize(
    ("error", "verdict", "message"),
    [
        (ConfigError("fc has the wrong shape"), "refused", "fc has the wrong shape"),
        (
            ConfigError("this cannot be done"),
            "wrong",
            "is refused by an error that names no layer: this cannot be done",
        ),
        (UnaccountedError("fc: 3 counted, 4 run"), "wrong", "fc: 3 counted, 4 run"),
        (ConfigError("fcs are unknown"), "wrong", "is refused by an error that names no layer: fcs are unknown"),
        (ZeroDivisionError("by zero"), "wrong", "ends in an error: ZeroDivisionError: by zero"),
    ],
)
def test_an_error_is_a_refusal_only_where_it_names_a_layer(error, verdict, message, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "_train", fail)
    cell = check_cell(Subject("net", lambda: nn.Sequential(OrderedDict(fc=nn.Linear(6, 3))), (6,)), "fp32")
    assert (cell.verdict, cell.message) == (verdict, message)


def test_costs_that_torchs_meter_does_not_count_are_wrong(monkeypatch) -> None:
    monkeypatch.setattr(module, "multiply_accumulates", lambda *_: (72, 73))
    cell = check_cell(chain(), "fp32")
    assert (cell.verdict, cell.message) == ("wrong", "the costs count 72 multiply-accumulates, torch's meter 73")


def test_a_layer_that_trains_nothing_is_wrong() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = nn.Linear(6, 5), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.out(self.fc(x).detach())
            return result

    cell = check_cell(Subject("net", Cut, (6,)), "fp32")
    assert (cell.verdict, cell.message) == ("wrong", "fc: training gives its weight no finite gradient")


def test_a_function_that_the_reference_does_not_compute_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(module, "get_scheme", lambda _: get_scheme("binarynet", activation_function="rprelu"))
    with pytest.raises(ConfigError, match="mine fills slots with rprelu, which the reference does not compute"):
        check_cell(chain(), "mine")
