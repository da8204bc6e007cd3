"""Groups, odd codes and tables where a trained network is deployed: run exactly, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from qbench.deploy.int8.agreement import agreement
from qbench.deploy.int8.encoding import NotIntegerError
from qbench.deploy.int8.network import IntegerNetwork
from qbench.deploy.onnx.qdq import export_onnx
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.packable import NotPackableError
from qbench.nn.packing import packed
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme

SHAPE = (1, 8, 8)


def network(**options: Any) -> nn.Sequential:
    """A convolution and two linear layers under a scheme without BatchNorm, in evaluation."""
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 16), nn.ReLU(), nn.Linear(16, 5)
    )
    chosen = {
        "weights": {"name": "odd", "options": {"bits": 4}},
        "activations": "unit_range",
        "network_input": "unit_range",
    }
    apply_scheme(net, get_scheme("int8-qat", **(chosen | options)), input_shape=SHAPE)
    return net.eval()


def examples(count: int = 64) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def test_odd_weights_run_as_a_chain_of_integers() -> None:
    net, x = network(), examples()
    found = agreement(net, x)
    assert found.predictions == 1.0
    assert found.within_one == 1.0
    assert found.equal_outputs > 0.99
    # The integer scores are those of float64 arithmetic on the codes, but for rounding between layers.
    scores = IntegerNetwork(net, SHAPE)(x)
    torch.testing.assert_close(scores, net(x), rtol=0, atol=0.02 * float(net(x).abs().max()))


@torch.no_grad()
def test_dorefa_layers_agree_with_their_integers() -> None:
    net = network(first_layer="float", last_layer="float")
    x = examples()
    expected = net(x)
    with packed(net, x) as ops:
        assert [op.name for op in ops.values()] == ["float", "int8", "float"]
        torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"name": "group_integer"}, "0: its weights are int4_g32_s16, with a scale for each 32 of a row"),
        ({"name": "table", "options": {"values": "nf4"}}, "0: its weights are nf4, not integers"),
        ({"name": "odd", "options": {"bits": 8}}, "0: its weights are odd8, which reach beyond int8"),
    ],
)
def test_other_weights_have_no_chain_of_integers(weights: dict[str, Any], reason: str, tmp_path: Path) -> None:
    net = network(weights=weights)
    for deploy in (lambda: IntegerNetwork(net, SHAPE), lambda: export_onnx(net, SHAPE, tmp_path / "net.onnx")):
        with pytest.raises(NotIntegerError) as caught:
            deploy()
        assert reason in str(caught.value)


def test_odd_inputs_have_none() -> None:
    net = network(activations={"name": "odd", "options": {"bits": 4}})
    with pytest.raises(NotIntegerError, match="3: its inputs are odd4, not integers"):
        IntegerNetwork(net, SHAPE)


def test_grouped_weights_have_no_packed_form() -> None:
    net = apply_scheme(nn.Sequential(nn.Flatten(), nn.Linear(64, 5, bias=False)), get_scheme("mxfp4"))
    with pytest.raises(NotPackableError, match="1: evaluation uses e2m1_g32_s8 weights; a packed layer's are binary"):
        pack(net.eval(), SHAPE)


@torch.no_grad()
def test_odd_weights_export_as_int8(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net, x = network(), examples()
    path = tmp_path / "net.onnx"
    export_onnx(net, SHAPE, path)
    (scores,) = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"images": x.numpy()})
    assert float((torch.from_numpy(scores).argmax(1) == net(x).argmax(1)).double().mean()) == 1.0


@torch.no_grad()
def test_every_layer_of_a_grouped_network_evaluates_as_its_float_op() -> None:
    for scheme in ("int4-g32", "nf4-g64", "mxfp4"):
        net, x = network(), examples()
        apply_scheme(net, get_scheme(scheme))
        assert {layer.weight_format.group_size for _, layer in quant_layers(net)} <= {32, 64}
        expected = net.eval()(x)
        with packed(net, x) as ops:
            assert {op.name for op in ops.values()} == {"float"}
            assert torch.equal(net(x), expected)
