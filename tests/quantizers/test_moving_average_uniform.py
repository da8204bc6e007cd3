"""Quantization-aware training by moving averages: the range, the values and the gradient of every step."""

import pytest
import torch

from quantizers import QuantizerState, make


def test_every_training_batch_moves_the_range_before_it_is_quantized():
    quantizer = make("int8_qat", momentum=0.5)
    quantizer(torch.tensor([127.0, -1.0]))
    assert quantizer.scale.item() == 1.0
    y = quantizer(torch.tensor([381.0, 3.9]))  # maximum: 127 + (381 - 127)/2 = 254, scale 2
    assert quantizer.scale.item() == 2.0
    assert y.tolist() == [254.0, 4.0]


def test_evaluation_keeps_the_range_and_passes_through_before_training():
    quantizer = make("int8_qat").eval()
    x = torch.tensor([127.0])
    assert quantizer(x) is x
    assert quantizer.state is QuantizerState.PASS_THROUGH
    quantizer.train()(x)
    quantizer.eval()
    assert quantizer(torch.tensor([1000.0])).item() == 127.0
    assert quantizer.scale.item() == 1.0


def test_momentum_one_follows_the_current_tensor():
    weight = make("int8_qat", momentum=1.0, channel_axis=0)
    weight(torch.tensor([[127.0], [254.0]]))
    weight(torch.tensor([[12.7], [1.27]]))
    torch.testing.assert_close(weight.scale, torch.tensor([0.1, 0.01]))


def test_gradient_is_straight_through_inside_the_averaged_range():
    quantizer = make("int8_qat", momentum=0.5)
    quantizer(torch.tensor([100.0]))
    x = torch.tensor([200.0, 149.9, -150.0, 151.0, 0.0], requires_grad=True)  # range ±150
    quantizer(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0, 1]


def test_unsigned():
    quantizer = make("int8_qat", signed=False, momentum=0.5)
    quantizer(torch.tensor([0.0, 255.0]))
    assert (quantizer.scale.item(), quantizer.zero_point.item()) == (1.0, 0)


def test_resumed_training_continues_the_averages():
    torch.manual_seed(0)
    first, second = torch.randn(2, 64)
    whole, half = make("int8_qat"), make("int8_qat")
    whole(first)
    half(first)
    resumed = make("int8_qat")
    resumed.load_state_dict(half.state_dict())
    assert torch.equal(whole(second), resumed(second))
    assert torch.equal(whole.scale, resumed.scale)


def test_bad_batches_name_the_layer():
    quantizer = make("int8_qat")
    quantizer.layer_name = "conv3.input"
    with pytest.raises(ValueError, match=r"conv3\.input: NaN"):
        quantizer(torch.tensor([float("nan")]))
    assert quantizer(torch.empty(0)).numel() == 0
    assert not quantizer.is_ready
