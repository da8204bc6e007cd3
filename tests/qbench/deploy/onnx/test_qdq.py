"""ONNX files, run by onnxruntime, against the network they were made from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from qbench.cli.app import app
from qbench.data.datasets import get_dataset
from qbench.deploy.chain import UnsupportedStructureError
from qbench.deploy.int8.encoding import NotIntegerError
from qbench.deploy.onnx.qdq import export_onnx
from qbench.errors import UserError
from qbench.nn.folding import fold_batch_norms
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme
from quantizers import LSQ
from tests.qbench.nn.test_folding import trained_like

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'dev' is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::quantizers.DegenerateKLWarning")
IMAGES = get_dataset("digits").load(0).test.images


def quantized(chosen: Scheme, name: str = "digits-convnet", fold: bool = True, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    network = trained_like(apply_scheme(get_model(name).make(options), get_scheme("fp32")))
    if fold:
        fold_batch_norms(network, (1, 8, 8))
    apply_scheme(network, chosen)
    calibration.calibrate(network, IMAGES)
    return network.eval()


def run(path: Path, images: torch.Tensor) -> torch.Tensor:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"images": images.numpy()})
    return torch.from_numpy(scores)


def assert_same(network: nn.Module, path: Path, images: torch.Tensor = IMAGES) -> None:
    with torch.no_grad():
        expected = network(images)
    found = run(path, images)
    assert float((found.argmax(1) == expected.argmax(1)).double().mean()) >= 0.999
    # A sum that lies on a rounding border may turn a code, and with it a score by a level or so.
    scale = float(expected.abs().max())
    close = ((found - expected).abs() <= 1e-4 * scale).double().mean()
    assert close > 0.95
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02 * scale)


@pytest.mark.parametrize(
    "name", ["int8-minmax", "int8-kl", "int8-percentile", "uint8-kl", "int8-kl-pow2", "int4-weights-mse"]
)
def test_onnxruntime_predicts_the_same(name: str, tmp_path: Path) -> None:
    network = quantized(get_scheme(name), width=8)
    export_onnx(network, (1, 8, 8), tmp_path / "net.onnx")
    assert_same(network, tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "options",
    [
        {"activations": {"name": "int8", "options": {"bits": 4, "method": "percentile"}}},  # narrower than 8 bits
        {
            "network_input": {
                "name": "int8",
                "options": {"method": "percentile", "method_options": {"percentile": 80.0}},
            }
        },
        {"weights": {"name": "uint8"}, "activations": {"name": "uint8", "options": {"bits": 5}}},
        {"activation_function": "hardtanh"},
    ],
)
def test_formats_saturate_where_they_should(options: dict[str, Any], tmp_path: Path) -> None:
    network = quantized(get_scheme("int8-minmax", **options), "digits-mlp", hidden=24, layers=2)
    export_onnx(network, (1, 8, 8), tmp_path / "net.onnx")
    assert_same(network, tmp_path / "net.onnx", 2 * IMAGES)  # twice what was calibrated on


def test_batch_norm_may_stand_apart(tmp_path: Path) -> None:
    network = quantized(get_scheme("int8-minmax"), fold=False, width=8)
    export_onnx(network, (1, 8, 8), tmp_path / "net.onnx")
    assert_same(network, tmp_path / "net.onnx")


def test_grouped_convolutions(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
        nn.Conv2d(8, 12, 1, groups=4), nn.ReLU(), nn.Flatten(), nn.Linear(432, 10),
    )  # fmt: skip
    calibration.calibrate(apply_scheme(network, get_scheme("int8-minmax")), IMAGES)
    export_onnx(network.eval(), (1, 8, 8), tmp_path / "net.onnx")
    assert_same(network, tmp_path / "net.onnx")


def test_learned_steps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = apply_scheme(get_model("digits-mlp").make({"hidden": 16}), get_scheme("int8-lsq"))
    network.train()(IMAGES)
    assert all(isinstance(layer.input_quantizer, LSQ) for _, layer in quant_layers(network))
    export_onnx(network.eval(), (1, 8, 8), tmp_path / "net.onnx")
    assert_same(network, tmp_path / "net.onnx")


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_padding_by_name_is_unequal_for_even_filters(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, (4, 2), padding="same"), nn.ReLU(), nn.Conv2d(6, 4, 3, padding="valid"), nn.ReLU()]
    network = apply_scheme(nn.Sequential(*layers, nn.Flatten(), nn.Linear(144, 10)), get_scheme("int8-minmax"))
    calibration.calibrate(network, IMAGES)
    export_onnx(network.eval(), (1, 8, 8), tmp_path / "net.onnx")
    assert_same(network, tmp_path / "net.onnx")


def test_the_file_holds_integers(tmp_path: Path) -> None:
    network = quantized(get_scheme("int8-kl"), width=8)
    export_onnx(network, (1, 8, 8), tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") == 6
    assert kinds.count("DequantizeLinear") == 6 * 3  # inputs, weights, biases
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    codes = stored["conv2.weight.codes"]
    assert codes.dtype == np.int8
    assert np.array_equal(codes, network.conv2.quantized_weight().codes.numpy())
    assert stored["conv2.bias.codes"].dtype == np.int32
    unit = stored["conv2.weight.scale"] * stored["conv2.input.scale"]
    np.testing.assert_allclose(stored["conv2.bias.codes"] * unit, network.conv2.bias.detach().numpy(), rtol=1e-5)


def test_what_has_no_such_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(NotIntegerError, match="fc1: its weights are binary"):
        export_onnx(apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet")), (1, 8, 8), path)
    odd = apply_scheme(nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Sigmoid()), get_scheme("int8-minmax"))
    with pytest.raises(UnsupportedStructureError, match="2: Sigmoid is not known here"):
        export_onnx(odd, (1, 8, 8), path)
    assert not path.exists()
    good = quantized(get_scheme("int8-minmax"), "digits-mlp", hidden=8, layers=1)
    with pytest.raises(UserError, match="cannot be written"):
        export_onnx(good, (1, 8, 8), tmp_path / "no" / "folder.onnx")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install 'qbench\[onnx\]'"):
        export_onnx(nn.Sequential(), (1,), tmp_path / "net.onnx")


def test_the_command(tmp_path: Path) -> None:
    folder, file = tmp_path / "run", tmp_path / "net.onnx"
    small = ["--model", "digits-mlp", "-o", "model_options.hidden=16", "-o", "model_options.layers=1"]
    train = ["train", "--scheme", "int8-kl", "--epochs", "2", "--output", str(folder), *small]
    assert CliRunner().invoke(app, train, env={"WANDB_MODE": "disabled"}).exit_code == 0
    result = CliRunner().invoke(app, ["export-onnx", str(folder), "--to", str(file)])
    assert result.exit_code == 0, result.output
    assert "100.00 % of 360 test images predicted alike by onnxruntime" in " ".join(result.output.split())
    assert run(file, IMAGES).shape == (360, 10)


def test_a_float_network_is_refused_with_what_to_do(tmp_path: Path) -> None:
    small = ["--model", "digits-mlp", "-o", "model_options.hidden=8", "--epochs", "1"]
    train = ["train", "--scheme", "fp32", "--output", str(tmp_path / "run"), *small]
    assert CliRunner().invoke(app, train, env={"WANDB_MODE": "disabled"}).exit_code == 0
    result = CliRunner().invoke(app, ["export-onnx", str(tmp_path / "run"), "--to", str(tmp_path / "net.onnx")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "qbench: error: scheme: fp32 gives no INT8 network (fc1: its weights are float32); train one such as int8-kl\n"
    )
    assert not (tmp_path / "net.onnx").exists()
