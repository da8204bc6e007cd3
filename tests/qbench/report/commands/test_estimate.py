"""`qbench estimate` and `qbench ls` as a user sees them."""

from __future__ import annotations

import json

import pytest
from torch import nn
from typer.testing import CliRunner

from qbench.cli.app import app
from qbench.cost.estimate import estimate_network
from qbench.report.commands.estimate import estimate_text
from qbench.report.commands.listing import Kind
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme

run = CliRunner()


def estimated(*arguments: str) -> str:
    done = run.invoke(app, ["estimate", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_cifar10_net_at_one_bit() -> None:
    text = estimated("--model", "cifar10-convnet", "--scheme", "binarynet")
    assert "14,022,016, 1,752,832 B (1.672 MiB)" in text
    assert "3,538,944" in text  # MACs of the first layer
    assert "random weights: 61.8 % unique, 1.67 times" in text
    assert "estimated" in text
    assert "weights from DRAM" in text


def test_what_stays_float_and_what_is_added_is_said() -> None:
    text = estimated("--model", "digits-resnet", "--scheme", "binarynet", "--scheme-option", "last_layer=float")
    assert "2,083,456: 99.97 % quantized, 640 in float32" in text
    assert "block1_1: add" in text
    assert "calls" not in text


def test_a_layer_that_runs_twice_says_so() -> None:
    layer = nn.Linear(8, 8, bias=False)
    network = apply_scheme(nn.Sequential(layer, layer), get_scheme("fp32"))
    text = estimate_text(estimate_network(network, (8,)), "mine", "fp32", 1)
    heading, row = (line.split() for line in text.splitlines()[2:4])
    assert heading[heading.index("calls") - 2 : heading.index("calls") + 1] == ["inputs", "in", "calls"]
    assert row == ["0", "float", "float32", "float32", "2", "64", "128", "256", "0", "0", "64", "64"]


def test_json_carries_the_figures() -> None:
    found = json.loads(estimated("--model", "mnist-mlp", "--scheme", "fp32", "-o", "hidden=16", "--json"))
    assert found["cost"]["weights"] == 784 * 16 + 2 * 16 * 16 + 160
    assert found["figures"]["cost/weight_compression"] == 1.0
    assert found["filters"] is None
    assert found["cost"]["account"] == "graph"
    assert found["figures"]["cost/float_macs"] == found["figures"]["cost/macs"] == found["cost"]["weights"]
    assert found["figures"]["cost/quantized_share"] == found["cost"]["quantized_share"] == 0
    assert [layer["calls"] for layer in found["cost"]["layers"]] == [1] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "cifar10-convnett", "--scheme", "fp32"], "did you mean 'cifar10-convnet'?"),
        (["--model", "digits-mlp", "--scheme", "binarynett"], "did you mean 'binarynet'?"),
        (["--model", "digits-mlp", "--scheme", "fp32", "-o", "hiden=3"], "did you mean 'hidden'?"),
        (["--model", "digits-mlp", "--scheme", "fp32", "-o", "hidden"], "expected KEY=VALUE, got 'hidden'"),
        (["--model", "digits-mlp", "--scheme", "fp32", "--memory", "3 MB"], "unknown level '3 MB'"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str) -> None:
    done = run.invoke(app, ["estimate", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("kind", Kind)
def test_ls(kind: Kind) -> None:
    plain, as_json = run.invoke(app, ["ls", kind]), run.invoke(app, ["ls", kind, "--json"])
    assert plain.exit_code == as_json.exit_code == 0
    names = [item["name"] for item in json.loads(as_json.stdout)]
    assert names
    assert [line.split()[0] for line in plain.stdout.splitlines()] == names
    expected = {
        "schemes": "binarynet",
        "models": "digits-convnet",
        "data": "digits",
        "quantizers": "sign",
        "losses": "squared_hinge",
        "optimizers": "adam",
        "schedules": "exponential",
        "activations": "rprelu",
        "augmentations": "crop",
        "backends": "cpu",
    }
    assert expected[kind] in names


def test_ls_of_something_else() -> None:
    assert run.invoke(app, ["ls", "schema"]).exit_code == 2


def test_options_of_the_scheme() -> None:
    arguments = ("--model", "mnist-mlp", "--scheme", "binarynet", "-o", "hidden=32", "--json")
    plain = json.loads(estimated(*arguments))
    pixels = json.loads(estimated(*arguments, "--scheme-option", "network_input=pixel8"))
    first, bits = plain["cost"]["layers"][0], pixels["cost"]["layers"][0]
    assert (first["op"], bits["op"]) == ("binary-weight", "bitplane")
    assert (first["input_bytes"], bits["input_bytes"]) == (4 * 784, 784)
    sgd = json.loads(estimated(*arguments, "--scheme-option", "optimizer=sgd"))
    assert sgd["figures"]["cost/optimizer_bytes"] == 0
    assert plain["figures"]["cost/optimizer_bytes"] == 2 * plain["cost"]["training"]["parameters"] > 0
    done = run.invoke(app, ["estimate", "--model", "mnist-mlp", "--scheme", "fp32", "--scheme-option", "normm=none"])
    assert done.exit_code == 2
    assert "did you mean 'norm'" in done.stderr
