"""Calibration of a network: which images, which order, which layer is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.weight_outliers import outlier_reports
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import Quantized, Quantizer, signed_integer


def network(name: str = "int8-minmax") -> nn.Module:
    torch.manual_seed(0)
    return apply_scheme(get_model("digits-convnet").make({"width": 4}), get_scheme(name)).eval()


def ranges(net: nn.Module) -> list[float]:
    return [float(layer.input_quantizer.scale) for _, layer in quant_layers(net)]


def test_minmax_scales_by_hand() -> None:
    net, images = network(), torch.rand(20, 1, 8, 8) * 2 - 1
    inputs: dict[str, torch.Tensor] = {}
    for name, layer in quant_layers(net):
        layer.register_forward_pre_hook(lambda _, args, name=name: inputs.__setitem__(name, args[0]))
    with torch.no_grad():
        net(images)  # before calibration: the float network
    expected = [float(inputs[name].abs().max()) / 127 for name, _ in quant_layers(net)]
    calibration.calibrate(net, images)
    assert ranges(net) == pytest.approx(expected, rel=1e-6)


def test_order_and_batching_do_not_matter() -> None:
    images = torch.rand(50, 1, 8, 8) * 2 - 1
    found = []
    for chosen, size in ((images, 1000), (images, 7), (images[torch.randperm(50)], 13)):
        net = network("int8-kl")
        calibration.calibrate(net, chosen, size)
        found.append(ranges(net))
    assert found[0] == found[1] == found[2]


def test_stored_statistics_replace_a_pass() -> None:
    images = torch.rand(30, 1, 8, 8)
    first, second = network("int8-kl"), network("int8-kl")
    calibration.observe(first, images)
    calibration.load_statistics(second, calibration.statistics(first))
    calibration.freeze(first)
    calibration.freeze(second)
    assert ranges(first) == ranges(second)
    assert torch.equal(first(images), second(images))


def test_calibration_leaves_batch_norm_and_mode_alone() -> None:
    net = network().train()
    before = net.bn1.running_mean.clone()
    calibration.calibrate(net, torch.rand(8, 1, 8, 8))
    assert net.training
    assert torch.equal(net.bn1.running_mean, before)


def test_nan_names_the_layer() -> None:
    net = network()
    images = torch.rand(4, 1, 8, 8)
    images[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"^conv1\.input: NaN or infinity"):
        calibration.calibrate(net, images)


def test_no_images() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        calibration.calibrate(network(), torch.rand(0, 1, 8, 8))


class Largest(Quantizer):
    """Divides by the largest value that it has seen, of which it keeps no observer; `lazy` ones forget to freeze."""

    format = signed_integer(8)
    scale: Tensor | None = None
    seen = 0.0

    def __init__(self, lazy: bool = False) -> None:
        super().__init__()
        self.lazy = lazy

    @property
    def is_ready(self) -> bool:
        return self.scale is not None

    @property
    def needs_calibration(self) -> bool:
        return True

    def observe(self, x: Tensor) -> None:
        self.seen = max(self.seen, float(x.abs().max()))

    def freeze(self) -> None:
        if not self.lazy:
            self.scale = torch.tensor(self.seen / 127)

    def quantize(self, x: Tensor) -> Quantized:
        assert self.scale is not None
        return Quantized((x / self.scale).round().clamp(-127, 127).to(torch.int8), self.scale, None, self.format)

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None:
            self.observe(x)
            return x
        return self.quantize(x).dequantize()


def with_own_statistics(**options: Any) -> nn.Module:
    net = network("int8-minmax")
    for name, layer in quant_layers(net):
        layer.input_quantizer = Largest(**options)
        layer.input_quantizer.layer_name = f"{name}.input"
    return net


def test_a_quantizer_without_an_observer_is_calibrated_as_well() -> None:
    images = torch.rand(9, 1, 8, 8)
    net = with_own_statistics()
    assert not calibration.can_share_statistics(net)
    calibration.calibrate(net, images)
    found = [layer.input_quantizer.scale for _, layer in quant_layers(net)]
    assert float(found[0]) == pytest.approx(float(images.max()) / 127)
    assert all(scale is not None and scale > 0 for scale in found)


def test_a_quantizer_that_calibration_does_not_make_ready_is_an_error() -> None:
    with pytest.raises(ValueError, match="conv1: Largest is not ready after its calibration"):
        calibration.calibrate(with_own_statistics(lazy=True), torch.rand(4, 1, 8, 8))


def test_quantizers_without_statistics_are_left_alone() -> None:
    net = apply_scheme(get_model("digits-mlp").make({"hidden": 8}), get_scheme("binarynet")).eval()
    assert calibration.input_quantizers(net) == {}
    calibration.calibrate(net, torch.rand(4, 1, 8, 8))
    assert all(isinstance(layer.weight_quantizer, Quantizer) for _, layer in quant_layers(net))


def test_biases_are_multiples_of_the_accumulators_unit() -> None:
    net = apply_scheme(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), get_scheme("int8-minmax"))
    before = net[0].bias.detach().double().clone()
    calibration.calibrate(net, torch.rand(20, 6))
    unit = net[0].weight_quantizer.scale.double() * net[0].input_quantizer.scale.double()
    steps = net[0].bias.detach().double() / unit
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    assert ((net[0].bias.double() - before).abs() <= unit * 0.501).all()
    assert (net[0].bias.double() != before).any()


def test_batches_are_as_equal_as_they_can_be() -> None:
    """mean_extremes by hand: 50 images in batches of at most 32 are two of 25."""
    net = network("int8-mean-extremes")
    images = torch.rand(50, 1, 8, 8) - 0.5
    wanted: list[torch.Tensor] = []
    handle = net.conv2.register_forward_pre_hook(lambda _, args: wanted.append(args[0].max()))
    with torch.no_grad():
        for part in (images[:25], images[25:]):
            net(part)
    handle.remove()
    calibration.calibrate(net, images)
    expected = float(torch.stack(wanted).mean()) / 127
    assert float(net.conv2.input_quantizer.scale) == pytest.approx(expected, rel=1e-6)
    assert wanted[0] != wanted[1]


def test_outliers_are_clipped_for_the_range_and_stay_in_the_weight() -> None:
    torch.manual_seed(0)
    net = apply_scheme(nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 3)), get_scheme("int8-minmax"))
    net[0].weight.data[4] = 50.0
    net[0].weight.data[7, 3] = -9.0
    kept = net[0].weight.detach().clone()
    calibration.calibrate(net, torch.rand(20, 40), outlier_sigmas=6.0)
    report = outlier_reports(net, 6.0, (40,))["0"]
    assert report.outlier.nonzero().flatten().tolist() == [4, 7]
    scale = net[0].weight_quantizer.scale
    assert scale[4] == scale[7] == pytest.approx(report.limit / 127)
    assert torch.equal(net[0].weight, kept)
    plain = network("int8-minmax")
    calibration.calibrate(plain, torch.rand(5, 1, 8, 8), outlier_sigmas=None)
    assert float(plain.conv1.weight_quantizer.scale[0]) == pytest.approx(
        float(plain.conv1.weight[0].detach().abs().max()) / 127
    )


def test_channels_that_never_fire_are_dead() -> None:
    net = apply_scheme(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), get_scheme("int8-minmax"))
    net[0].bias.data[2] = -1000.0
    calibration.calibrate(net, torch.rand(20, 4))
    reports = outlier_reports(net, 6.0, (4,))
    assert reports["0"].dead.tolist() == [False, False, True, False, False]
    assert not reports["2"].dead.any()
    assert not outlier_reports(net, 6.0)["0"].dead.any()  # unknown, whether a ReLU follows


def test_channels_are_dead_only_before_a_relu_and_over_inputs_that_there_are() -> None:
    """The same weights: before a sum nothing is silent, and what tanh sends may be negative."""

    class Net(nn.Module):
        def __init__(self, how: Callable[[Any, Tensor], Tensor]) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
            self.how = how

        def forward(self, x: Tensor) -> Tensor:
            return self.how(self, x)

    cases: list[tuple[Callable[[Any, Tensor], Tensor], bool]] = [
        (lambda net, x: net.c(F.relu(net.b(F.relu(net.a(x))))), True),
        (lambda net, x: net.c(F.relu(net.b(torch.tanh(net.a(x))))), False),
        (lambda net, x: net.c(F.relu(net.b(F.relu(net.a(x))) + x)), False),
    ]
    for how, dead in cases:
        net = apply_scheme(Net(how), get_scheme("int8-minmax"), input_shape=(4,))
        net.b.weight.data[1] = -1.0
        net.b.bias.data[1] = 0.0  # at most 0 over inputs that are never negative
        calibration.calibrate(net, torch.rand(20, 4))
        assert bool(outlier_reports(net, 6.0, (4,))["b"].dead[1]) is dead
