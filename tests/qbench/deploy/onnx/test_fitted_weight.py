"""Scales of weights that leave an int32 bias room, and the networks that need them, in every form alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qbench.deploy.int8.network import IntegerNetwork
from qbench.deploy.onnx.fitted_weight import fitted_weight
from qbench.deploy.onnx.qdq import export_onnx
from qbench.nn.folding import fold_batch_norms
from qbench.ptq import calibration
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import INT8, Quantized, unsigned_integer

pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'dev' is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::quantizers.DegenerateKLWarning")
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
SCHEMES = ("int8-minmax", "int8-kl", "int8-minmax-pow2", "uint8-minmax", "int4-weights-mse", "int8-qat", "int8-lsq")


def quantized(network: nn.Module, scheme: str, x: Tensor) -> nn.Module:
    torch.manual_seed(0)
    chosen = get_scheme(scheme)
    if chosen.folds_batch_norm:
        fold_batch_norms(network.eval(), tuple(x.shape[1:]))
    apply_scheme(network, chosen)
    if chosen.post_training is None:
        for module in network.train().modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        network(x)  # sets the ranges
    else:
        calibration.calibrate(network, x)
    return network.eval()


@torch.no_grad()
def forms(network: nn.Module, x: Tensor, folder: Path) -> dict[str, Tensor]:
    """The outputs of fake-quantized evaluation, of integers, and of onnxruntime at every level of optimization."""
    shape = tuple(x.shape[1:])
    found = {"fake-quantized": network(x), "integers": IntegerNetwork(network, shape)(x)}
    export_onnx(network, shape, folder / "net.onnx")
    for level in LEVELS:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(folder / "net.onnx", options, providers=["CPUExecutionProvider"])
        found[level] = torch.from_numpy(session.run(["scores"], {"images": x.numpy()})[0])
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_channel_of_zeros_keeps_its_bias(scheme: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 3))
    network[0].weight.data[0] = 0.0
    network[0].bias.data[0] = 0.4
    x = torch.randint(-127, 128, (50, 3)).float()
    x[0] = 127.0  # an input scale of 1: the bias is no multiple of it
    for form, scores in forms(quantized(network, scheme, x), x, tmp_path).items():
        torch.testing.assert_close(scores[:, 0], torch.full((50,), 0.4), rtol=1e-6, atol=0, msg=form)


@pytest.mark.parametrize("scheme", ["int8-minmax", "uint8-minmax", "int8-qat"])
def test_a_batch_norm_without_gamma_gives_its_beta(scheme: str, tmp_path: Path) -> None:
    """Folded into weights of zeros, or apart behind a layer that is trained with quantization."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    network[1].weight.data[0] = 0.0
    network[1].bias.data[0] = 0.4
    x = torch.randint(-127, 128, (50, 3)).float()
    x[0] = 127.0
    for form, scores in forms(quantized(network, scheme, x), x, tmp_path).items():
        torch.testing.assert_close(scores[:, 0], torch.full((50,), 0.4), rtol=1e-6, atol=0, msg=form)


@pytest.mark.parametrize("scheme", ["int8-minmax", "uint8-minmax", "int8-qat"])
def test_a_vanished_channel_keeps_its_large_bias(scheme: str, tmp_path: Path) -> None:
    """1e-7 · 64 is nothing beside 5, which is 6e9 units of such a weight's accumulator: more than int32 holds."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    network[0].weight.data[0] = 1e-7
    network[0].bias.data[0] = 5.0
    x = torch.randint(-64, 65, (50, 1, 2, 2)).float()
    x[0], x[1] = 64.0, -64.0
    with torch.no_grad():
        expected = network(x)
    for form, scores in forms(quantized(network, scheme, x), x, tmp_path).items():
        # Eight bits are 1/127 of the largest value, here and there; an overflow is off by 3.5.
        error = float((scores - expected).abs().max() / expected.abs().max())
        assert error < 0.015, (form, error)


def test_ordinary_channels_keep_their_codes_and_scales() -> None:
    weight = Quantized(torch.tensor([[3, -5], [0, 7]], dtype=torch.int8), torch.tensor([[0.5], [0.25]]), None, INT8)
    for bias in (None, torch.tensor([1e3, -2.0])):
        assert fitted_weight(weight, bias, torch.tensor(0.1)) is weight


def test_scales_by_hand() -> None:
    """With S_x = 1/2 a bias of 4 on zeros is 2^24 units of 2^-22; one of 2^30 needs units of 1, a scale of 2."""
    codes = torch.tensor([[0, 0], [32, -80], [3, 4]], dtype=torch.int8)
    weight = Quantized(codes, torch.tensor(0.125), None, INT8)
    found = fitted_weight(weight, torch.tensor([4.0, 2.0**30, 0.0]), torch.tensor(0.5))
    assert found.scale.tolist() == [[2.0**-21], [2.0], [0.125]]
    assert found.codes.tolist() == [[0, 0], [2, -5], [3, 4]]
    assert found.zero_point is None


def test_unsigned_codes_are_rounded_around_their_zero_point() -> None:
    codes = torch.tensor([[100, 100], [132, 20]], dtype=torch.uint8)
    weight = Quantized(codes, torch.tensor(0.125), torch.tensor(100, dtype=torch.int32), unsigned_integer(8))
    found = fitted_weight(weight, torch.tensor([4.0, 2.0**30]), torch.tensor(0.5))
    assert found.codes.tolist() == [[100, 100], [102, 95]]
    assert found.scale.tolist() == [[2.0**-21], [2.0]]
    assert found.zero_point is not None
    assert found.zero_point.tolist() == [[100], [100]]
