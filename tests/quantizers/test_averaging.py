"""Averages of networks (EMA): every quantizer's copy quantizes, by averages of what it learned."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from quantizers import QUANTIZERS, make

NAMES = sorted(name for name, kind in QUANTIZERS._items.items() if kind.__module__.startswith("quantizers."))
OPTIONS = {"lsq": {"signed": None}}
CASES = [*((name, OPTIONS.get(name, {})) for name in NAMES), ("int8_qat", {"channel_axis": 0, "momentum": 1.0})]
CASES += [("int8_qat", {"signed": False}), ("lsq", {"channels": 4})]
WAITING = ("int8", "uint8", "uniform")  # for calibration, which comes after training


def batch(seed):
    return torch.randn(4, 50, generator=torch.Generator().manual_seed(seed))


def network(name, options):
    quantizer = make(name, **options)
    quantizer.expect_shape((4, 50))
    return nn.Sequential(quantizer, nn.Linear(50, 2))  # averages need a parameter


def average(model, use_buffers):
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=use_buffers)


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_copy_of_the_untrained_network_becomes_a_quantized_one(name, options, use_buffers):
    model = network(name, options)
    averaged = average(model, use_buffers)
    for _ in range(20):
        model(batch(0))
        averaged.update_parameters(model)
    model.eval()
    averaged.eval()
    # The average of equal networks is that network.
    values = averaged.module[0](batch(1))
    torch.testing.assert_close(values, model[0](batch(1)), rtol=1e-5, atol=1e-6)
    assert averaged.module[0].is_ready == model[0].is_ready == (name not in WAITING)
    assert averaged.module[0].format == model[0].format
    if name not in WAITING:
        assert not torch.equal(values, batch(1))
        restored = network(name, options)
        restored.load_state_dict(averaged.module.state_dict())
        assert torch.equal(restored.eval()[0](batch(1)), values)


def test_an_average_of_unsigned_steps_is_unsigned():
    model = network("lsq", {"signed": None})
    averaged = average(model, True)
    for _ in range(5):
        model(batch(0).abs())
        averaged.update_parameters(model)
    assert averaged.module[0].format.name == "uint8"
    assert averaged.module[0].encoding().low == 0


def test_scale_and_zero_point_are_averaged():
    model = network("int8_qat", {"signed": False, "momentum": 1.0})
    averaged = average(model, True)
    expected = []
    for low, high in ((-1.0, 0.5), (-1.0, 3.0), (-3.0, 1.0)):
        model[0](torch.tensor([low, high]))
        averaged.update_parameters(model)
        scale = (high - low) / 255
        expected.append((scale, round(-low / scale)))
    # 0.9 of what was, 0.1 of what is
    scale, zero_point = (
        0.81 * first + 0.09 * second + 0.1 * third for first, second, third in zip(*expected, strict=True)
    )
    quantizer = averaged.module[0]
    assert quantizer.scale.item() == pytest.approx(scale, rel=1e-6)
    assert quantizer.encoding().zero_point.item() == round(zero_point)
    codes = quantizer.quantize(torch.tensor([0.0, 0.5]))
    assert codes.codes.tolist() == [round(zero_point), round(0.5 / scale) + round(zero_point)]
    assert torch.equal(codes.dequantize(), averaged.eval().module[0](torch.tensor([0.0, 0.5])))


def test_training_goes_on_from_an_averaged_range():
    model = network("int8_qat", {"momentum": 0.25})
    averaged = average(model, True)
    model[0](torch.tensor([127.0]))
    averaged.update_parameters(model)
    averaged.train().module[0](torch.tensor([127.0 * 5]))
    assert averaged.module[0].scale.item() == pytest.approx(2.0)  # 127 + (635 - 127) / 4


@pytest.mark.parametrize(("name", "options"), CASES)
def test_buffers_keep_their_place_and_shape(name, options):
    """What swaps or broadcasts buffers may hold on to them."""
    model = network(name, options)
    before = dict(model.named_buffers())
    shapes = {key: tensor.shape for key, tensor in before.items()}
    model(batch(0))
    model[0].start_observing()
    model[0].observe(batch(0))
    model[0].freeze()
    model(batch(1))
    after = dict(model.named_buffers())
    assert all(after[key] is tensor for key, tensor in before.items())
    assert {key: tensor.shape for key, tensor in after.items()} == shapes


def test_what_was_quantized_does_not_change_with_the_buffers():
    quantizer = make("int8_qat", signed=False, momentum=1.0)
    quantizer(torch.tensor([0.0, 255.0]))
    quantized, encoding = quantizer.quantize(torch.tensor([5.0])), quantizer.encoding()
    kept = copy.deepcopy((quantized, encoding))
    quantizer(torch.tensor([-255.0, 255.0]))
    assert (quantized.scale, quantized.zero_point) == (kept[0].scale, kept[0].zero_point)
    assert (encoding.scale, encoding.zero_point) == (kept[1].scale, kept[1].zero_point)


def test_states_of_earlier_versions_are_read():
    quantizer = make("int8_qat", signed=False)
    fresh = quantizer.state_dict()
    fresh |= {"scale": torch.empty(0), "zero_point": torch.empty(0, dtype=torch.int32)}
    quantizer(batch(0))
    trained = quantizer.state_dict()
    trained["zero_point"] = trained["zero_point"].int()
    for state, ready in ((fresh, False), (trained, True)):
        restored = make("int8_qat", signed=False)
        restored.load_state_dict(state)
        assert restored.is_ready is ready
        assert restored.scale.shape == restored.zero_point.shape == ()
    assert torch.equal(restored.eval()(batch(1)), quantizer.eval()(batch(1)))
