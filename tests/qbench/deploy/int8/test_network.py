"""Integer execution against float64 arithmetic on the quantized values, and against fake-quantized evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.data.datasets import get_dataset
from qbench.deploy.chain import UnsupportedStructureError
from qbench.deploy.int8.agreement import agreement
from qbench.deploy.int8.encoding import NotIntegerError
from qbench.deploy.int8.network import IntegerNetwork
from qbench.nn.activation import Activation
from qbench.nn.folding import fold_batch_norms
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import quant_layers
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.ptq import calibration
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import SCHEMES, get_scheme
from qbench.schemes.scheme import Scheme
from quantizers import FixedPointMultiplier, Uniform
from tests.qbench.nn.test_folding import trained_like

IMAGES = get_dataset("digits").load(0).train.images[:200]
SHAPE = (1, 8, 8)
# Random networks clip nothing here and there.
pytestmark = pytest.mark.filterwarnings("ignore::quantizers.DegenerateKLWarning")
INTEGER_SCHEMES = [
    name
    for name in SCHEMES
    if name.startswith(("int8", "uint8", "int4"))
    and SCHEMES.get(name).post_training is not None
    and SCHEMES.get(name).quantization.activations is not None
]


def quantized(chosen: Scheme, name: str = "digits-convnet", fold: bool = True, **options: Any) -> nn.Module:
    """A network with random BatchNorm (negative and zero gammas), calibrated."""
    torch.manual_seed(1)
    options = options or ({"width": 8} if name == "digits-convnet" else {"hidden": 32})
    network = trained_like(apply_scheme(get_model(name).make(options), get_scheme("fp32")))
    if fold:
        fold_batch_norms(network, SHAPE)
    apply_scheme(network, chosen)
    calibration.calibrate(network, IMAGES)
    return network.eval()


@torch.no_grad()
def reference_codes(network: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """The chain in float64: exact for sums of products of codes, correctly rounded between layers."""
    chain = [module for module in network if not isinstance(module, nn.Identity)]
    x, codes = images.double(), []
    for module in chain:
        if isinstance(module, nn.Linear | nn.Conv2d):
            layer: Any = module
            taken = layer.input_quantizer.quantize(x.float())
            zero = 0 if taken.zero_point is None else int(taken.zero_point)
            codes.append(taken.codes.long() - (0 if taken.codes.dtype == torch.int8 else 128))
            centred = taken.codes.double() - zero
            w = layer.quantized_weight()
            weight = (w.codes.double() - (0 if w.zero_point is None else w.zero_point.double())) * w.scale.double()
            bias = None if layer.bias is None else layer.bias.double()
            values = centred * taken.scale.double()
            if isinstance(layer, QuantConv2d):
                x = F.conv2d(values, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
            else:
                x = F.linear(values, weight, bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            x = module.double()(x)
            module.float()
        else:
            x = module(x) if not hasattr(module, "direction") else module.double()(x)
    return codes, x


@pytest.mark.parametrize("name", INTEGER_SCHEMES)
def test_codes_are_the_float64_chains(name: str) -> None:
    network = quantized(get_scheme(name))
    codes, scores = reference_codes(network, IMAGES)
    integer = IntegerNetwork(network, SHAPE)
    *outputs, last = integer.outputs(IMAGES)
    assert all(output.dtype == torch.int8 for output in outputs)
    assert last.dtype == torch.int32
    for found, expected in zip(outputs, codes[1:], strict=True):
        distance = (found.flatten(1).long() - expected.flatten(1)).abs()
        assert int(distance.max()) <= 1
        # Powers of two make exact halves, which gemmlowp rounds away from zero and float to even.
        assert float((distance == 0).double().mean()) > (0.97 if "pow2" in name else 0.999)
    torch.testing.assert_close(integer(IMAGES).double(), scores, rtol=0, atol=0.02 * float(scores.abs().max()))


@pytest.mark.parametrize("name", ["digits-mlp", "digits-convnet"])
def test_batch_norm_may_stand_apart(name: str) -> None:
    """Not folded, as after training with quantization: multiplier and bias take it in, negative gammas and all."""
    network = quantized(get_scheme("int8-minmax"), name, fold=False)
    codes, _ = reference_codes(network, IMAGES)
    network.float()
    *outputs, _ = IntegerNetwork(network, SHAPE).outputs(IMAGES)
    for found, expected in zip(outputs, codes[1:], strict=True):
        distance = (found.flatten(1).long() - expected.flatten(1)).abs()
        assert int(distance.max()) <= 1
        assert float((distance == 0).double().mean()) > 0.999


@pytest.mark.parametrize("fold", [True, False])
def test_shift_based_norms_run_in_integers(fold: bool) -> None:
    """Folded, or in multiplier and bias: a power of two per channel, some negative and some zero."""
    torch.manual_seed(2)
    network = trained_like(apply_scheme(get_model("digits-convnet").make({"width": 8}), get_scheme("fp32")))
    for name, norm in list(network.named_children()):
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            shift_based = ShiftBatchNorm2d if isinstance(norm, nn.BatchNorm2d) else ShiftBatchNorm1d
            setattr(network, name, shift_based.from_batch_norm(norm))
    if fold:
        assert len(fold_batch_norms(network, SHAPE)) == len(quant_layers(network))
    apply_scheme(network, get_scheme("int8-minmax"))
    calibration.calibrate(network.eval(), IMAGES)
    found = agreement(network, IMAGES)
    assert found.predictions > 0.99
    assert found.equal_outputs > 0.999
    assert found.within_one == 1.0


def hand_made() -> nn.Module:
    """One input, one hidden value, two scores; every scale 1/4 or 1/2."""
    network = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2, bias=False))
    network[0].weight.data.fill_(3.0)
    network[0].bias.data.fill_(-1.0)
    network[2].weight.data.copy_(torch.tensor([[1.0], [-2.0]]))
    apply_scheme(network, get_scheme("int8-minmax"))
    for quantizer, scale in zip(
        [network[0].input_quantizer, network[0].weight_quantizer, network[2].input_quantizer], [0.25, 0.5, 0.5],
        strict=True,
    ):  # fmt: skip
        quantizer.scale = torch.full((1,) if quantizer.channel_axis == 0 else (), scale)
        quantizer.zero_point = torch.zeros_like(quantizer.scale, dtype=torch.int32)
        quantizer.state = type(quantizer.state).QUANTIZING
    calibration.calibrate_weights(network)
    return network.eval()


def test_a_chain_by_hand() -> None:
    # x = 2.5 is code 10, w = 3 is code 6, b = -1 is -8 eighths: 60 - 8 = 52 eighths = 6.5, in halves 13.
    integer = IntegerNetwork(hand_made(), (1,))
    hidden, scores = integer.outputs(torch.tensor([[2.5], [-3.0], [100.0]]))
    assert hidden.flatten().tolist() == [13, 0, 127]  # below zero the ReLU, above 63.5 the format
    stage = integer.stages[0]
    assert stage.unit.tolist() == [0.125 / int(stage.factor)]
    assert stage.bias.tolist() == [-8 * int(stage.factor)]
    assert stage.multiplier.value().tolist() == pytest.approx([0.25 / int(stage.factor)])
    values = scores.double() * integer.stages[1].output.scale
    assert values[0].tolist() == pytest.approx([6.5, -13.0], rel=1e-6)


def test_predictions_need_no_float() -> None:
    network = quantized(get_scheme("int8-kl"))
    integer = IntegerNetwork(network, SHAPE)
    assert torch.equal(integer.predict(IMAGES), integer(IMAGES).argmax(1))
    assert integer.predict(IMAGES).dtype == torch.int64


@pytest.mark.parametrize("fold", [True, False])
def test_vanished_and_loud_channels_stay_in_int32(fold: bool) -> None:
    network = trained_like(apply_scheme(get_model("digits-mlp").make({"hidden": 16}), get_scheme("fp32")))
    network.bn1.weight.data[:4] = torch.tensor([1e-12, -1e-9, 0.0, 1e-30])  # the bias is all that is left
    network.fc1.weight.data[5] = 0.0
    if fold:
        fold_batch_norms(network, SHAPE)
    apply_scheme(network, get_scheme("int8-minmax"))
    calibration.calibrate(network, IMAGES)
    found = agreement(network.eval(), IMAGES)
    assert found.predictions == 1.0
    assert found.within_one == 1.0


def test_sums_that_may_not_fit_are_refused() -> None:
    network = nn.Sequential(nn.Linear(131_000, 2, bias=False)).eval()
    network[0].weight.data.fill_(1.0)
    apply_scheme(network, get_scheme("int8-minmax", network_input={"name": "uint8"}))
    calibration.calibrate(network, torch.tensor([[0.0, 1.0] * 65_500]))
    with pytest.raises(NotIntegerError, match="0: sums of 131000 products and their bias may not fit int32"):
        IntegerNetwork(network, (131_000,))


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)), (4,), "1: Sigmoid is not known here"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 2)), (1, 6, 6), "1: AvgPool2d"),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 2)), (4,), "the activation function relu comes before"),
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4)), (4,), "2: a BatchNorm after"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(6, 2)), (1, 8, 8), "1: a linear layer on an image needs"),
        (nn.ModuleDict({"a": nn.Linear(4, 2)}), (4,), "the operations of ModuleDict cannot be read"),
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), (3, 4), "0: a linear layer on each row of [3, 4]"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()), (1, 3, 3), "0: a convolution comes last"),
    ],
)
def test_other_structures_are_refused_with_the_reason(network: nn.Module, shape: tuple[int, ...], message: str) -> None:
    apply_scheme(network, get_scheme("int8-minmax"))
    for _, layer in quant_layers(network):
        layer.input_quantizer.observe(torch.ones(2))
        layer.input_quantizer.freeze()
    calibration.calibrate_weights(network)
    with pytest.raises(UnsupportedStructureError) as caught:
        IntegerNetwork(network, shape)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fp32", "fc1: its weights are float32"),
        ("binarynet", "fc1: its weights are binary, not integers"),
        ("int8-kl", "fc1: its weights are not calibrated"),
    ],
)
def test_other_formats_are_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(NotIntegerError, match=message):
        IntegerNetwork(apply_scheme(get_model("digits-mlp").make({}), get_scheme(name)), SHAPE)


def test_disagreement_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are measured: a multiplier that is off by a tenth is seen."""
    network = quantized(get_scheme("int8-minmax"))
    exact = FixedPointMultiplier.of
    assert agreement(network, IMAGES).equal_outputs > 0.999
    monkeypatch.setattr(FixedPointMultiplier, "of", lambda factor: exact(factor * 1.1))
    found = agreement(network, IMAGES)
    assert found.equal_outputs < 0.8
    assert found.within_one < 0.99


def test_hardtanh_clamps_codes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), Activation("hardtanh"), nn.Linear(6, 3))
    apply_scheme(network, get_scheme("int8-minmax", activation_function="hardtanh", network_input={"name": "uint8"}))
    images = torch.randn(100, 4) * 4
    calibration.calibrate(network, images)
    found = agreement(network.eval(), images)
    assert (found.predictions, found.within_one) == (1.0, 1.0)
    assert isinstance(network[2].input_quantizer, Uniform)
    hidden = IntegerNetwork(network, (4,)).outputs(images)[0]
    assert (int(hidden.min()), int(hidden.max())) == (-127, 127)


@pytest.mark.parametrize("scheme", ["int8-minmax", "uint8-minmax"])
def test_grouped_and_depthwise_convolutions(scheme: str) -> None:
    torch.manual_seed(3)
    network = trained_like(
        nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 12, 1, groups=4), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(108, 10),
        )
    )  # fmt: skip
    assert fold_batch_norms(network, SHAPE) == ["0", "3"]
    calibration.calibrate(apply_scheme(network, get_scheme(scheme)), IMAGES)
    codes, scores = reference_codes(network.eval(), IMAGES)
    integer = IntegerNetwork(network, SHAPE)
    *outputs, _ = integer.outputs(IMAGES)
    for found, expected in zip(outputs, codes[1:], strict=True):
        distance = (found.flatten(1).long() - expected.flatten(1)).abs()
        assert int(distance.max()) <= 1
        assert float((distance == 0).double().mean()) > 0.999
    torch.testing.assert_close(integer(IMAGES).double(), scores, rtol=0, atol=0.02 * float(scores.abs().max()))


def test_a_network_of_one_layer() -> None:
    network = apply_scheme(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), get_scheme("int8-minmax"))
    calibration.calibrate(network, IMAGES)
    found = agreement(network.eval(), IMAGES)
    assert (found.predictions, found.equal_outputs) == (1.0, 1.0)
    assert found.predicted.shape == (200,)


@pytest.mark.cuda
def test_the_gpu_gives_the_same_integers(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    network = quantized(get_scheme("uint8-kl"))
    here, there = IntegerNetwork(network, SHAPE).outputs(IMAGES), IntegerNetwork(network, SHAPE, "cuda").outputs(IMAGES)
    for ours, theirs in zip(here, there, strict=True):
        assert torch.equal(ours, theirs.cpu())
