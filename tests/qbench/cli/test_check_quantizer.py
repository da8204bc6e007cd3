"""`qbench check-quantizer`: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from command import qbench

from quantizers.contract import CHECKS

MINE = """
import torch
from quantizers import BINARY, Quantized, Quantizer, signed_integer, straight_through


class Fine(Quantizer):
    format = BINARY

    def quantize(self, x):
        return Quantized((2 * (x >= 0).to(torch.int8) - 1), torch.ones(()), None, BINARY)

    def forward(self, x):
        return straight_through(x, lambda x: self.quantize(x).dequantize().to(x.dtype))


class Liar(Fine):
    format = signed_integer(4)

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def quantize(self, x):
        return Quantized(super().quantize(x).codes, torch.ones(()), None, self.format)

    def forward(self, x):
        return x * self.factor
"""

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Leaves out the two processes, which take seconds."""
    import quantizers.contract.check as contract

    monkeypatch.setattr(contract, "rank_faults", lambda subjects: [None] * len(subjects))


def test_one_quantizer_has_a_line_for_each_check():
    found = qbench("check-quantizer", "sign")
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].startswith("sign (Sign, weights): ")
    assert lines[0].endswith(" checks, no faults")
    names = [line.split()[1] for line in lines[1:]]
    assert all(line.split()[0] == "pass" for line in lines[1:])
    assert set(CHECKS) - set(names) == {"batch", "empty", "storage"}  # of inputs
    inputs = qbench("check-quantizer", "sign", "--role", "activations").stdout
    assert set(CHECKS) - {line.split()[1] for line in inputs.splitlines()[1:]} == {"codes_and_scale"}  # of weights


def test_every_quantizer_of_a_file_is_checked_and_a_fault_is_exit_code_1():
    Path("mine_to_check.py").write_text(MINE)
    found = qbench("check-quantizer", "mine_to_check.py")
    assert found.exit_code == 1
    assert "mine_to_check.Fine (Fine, weights): 19 checks, no faults" in found.stdout
    assert "mine_to_check.Liar (Liar, weights): 19 checks, 2 faults" in found.stdout
    (values,) = [line for line in found.stdout.splitlines() if "FAULT  values" in line]
    assert "forward returns x itself; return what quantize stands for" in values


def test_json_has_each_check_with_its_fault():
    Path("mine_as_json.py").write_text(MINE)
    found = qbench("check-quantizer", "mine_as_json.py", "--json")
    assert found.exit_code == 1
    fine, liar = json.loads(found.stdout)
    assert (fine["quantizer"], fine["class"], fine["role"]) == ("mine_as_json.Fine", "Fine", "weights")
    assert {check["fault"] for check in fine["checks"]} == {None}
    assert {check["check"] for check in liar["checks"] if check["fault"]} == {"values", "levels"}
    assert all(check["asks"] == CHECKS[check["check"]] for check in liar["checks"])


def test_without_a_name_all_that_are_known_are_checked():
    found = qbench("check-quantizer")
    assert found.exit_code == 0, found.output
    names = [line.split()[0] for line in found.stdout.splitlines()]
    assert {"int8", "lsq", "sign", "ternary"} <= set(names)


def test_options_and_the_shape_are_the_quantizer_s():
    few = ("check-quantizer", "lsq", "--option", "bits=4", "--option", "channels=64")
    assert "FAULT  ready" in qbench(*few).stdout
    assert qbench(*few, "--shape", "64,256").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sing"], "did you mean 'sign'?"),
        (["nowhere.py"], "no such file: 'nowhere.py'"),
        (["sign", "--option", "clipp=1"], "clipp"),
        (["sign", "--option", "clip"], "expected KEY=VALUE, got 'clip'"),
        (["sign", "--shape", "8"], "--shape: expected the shape of a layer's weights"),
        (["sign", "--shape", "8,x"], "--shape: expected whole numbers with commas between them, got '8,x'"),
        (["sign", "--role", "bias"], "'weights', 'activations'"),
        (["quantizers.formats.NumberFormat"], "expected a subclass of Quantizer"),
    ],
)
def test_bad_input_is_exit_code_2(arguments, text):
    found = qbench("check-quantizer", *arguments)
    assert found.exit_code == 2, found.output
    assert text in found.output


def test_a_file_without_a_quantizer_is_bad_input():
    Path("nothing_to_check.py").write_text("from quantizers import Sign\n")
    found = qbench("check-quantizer", "nothing_to_check.py")
    assert found.exit_code == 2
    assert "nothing_to_check.py defines no quantizer" in found.output
