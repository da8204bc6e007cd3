"""Packed networks against the fake-quantized evaluation of the modules they were made from."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import evaluated, quantized, random_network
from torch import nn

import cuda_ext
from qbench.cost.estimate import estimate_network
from qbench.data.datasets import get_dataset
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.file import load, save
from qbench.deploy.packed.network import PackedNetwork
from qbench.nn.quant_layer import quant_layers
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.nn.trace import trace
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule
from quantizers import BINARY, Pixels, Quantized, ScaledSign, Sign

DIGITS = Pixels(multiplier=1, offset=8, divisor=8)


def eighths(shape, seed=0, batch=5):
    """uint8 pixels of digits' kind, and the values that training sees: sums of them are exact in float32."""
    pixels = torch.randint(0, 17, (batch, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return pixels, DIGITS.decode(pixels)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_scores_of_random_networks_are_equal_bit_for_bit(seed):
    network, shape = random_network(seed)
    quantized(network, seed=seed)
    pixels, images = eighths(shape, seed)
    expected = evaluated(network, images)
    on_pixels = PackedNetwork(pack(network, shape, DIGITS))
    assert torch.equal(on_pixels(pixels), expected)
    assert torch.equal(on_pixels(images), expected)
    real = PackedNetwork(pack(network, shape))
    assert torch.equal(real(images), expected)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(["relu", "hardtanh"]))
def test_real_activations_agree_to_rounding(seed, function):
    network, shape = random_network(seed)
    apply_scheme(network, get_scheme("binaryconnect", activation_function=function))
    quantized(network, "binaryconnect", seed)
    _, images = eighths(shape, seed)
    expected = evaluated(network, images)
    for pixels in (None, DIGITS):
        found = PackedNetwork(pack(network, shape, pixels))(images)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, expected.abs().max().item()))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_shift_based_norms_are_equal_bit_for_bit(seed):
    network, shape = random_network(seed, shift_norms=True)
    quantized(network, seed=seed)
    _, images = eighths(shape, seed)
    expected = evaluated(network, images)
    assert torch.equal(PackedNetwork(pack(network, shape, DIGITS))(images), expected)
    assert torch.equal(PackedNetwork(pack(network, shape))(images), expected)


def test_a_trained_network_with_shift_based_norms(tmp_path):
    """Trained for some steps; then γ of both signs and zero, in the layers and in the scores' norm."""
    torch.manual_seed(0)
    splits = get_dataset("digits").load(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        ShiftBatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=1, bias=False),
        ShiftBatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 16, 40, bias=False),
        ShiftBatchNorm1d(40),
        nn.ReLU(),
        nn.Linear(40, 10, bias=False),
        ShiftBatchNorm1d(10),
    )
    module = QuantModule(network, "binarynet").train()
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for start in range(0, 1000, 50):
        batch = splits.train[slice(start, start + 50)]
        optimizer.zero_grad()
        module.training_step((batch.images, batch.labels), 0).backward()
        optimizer.step()
    for norm in (each for each in network if isinstance(each, ShiftBatchNorm1d | ShiftBatchNorm2d)):
        norm.weight.data[1::5] *= -1
        norm.weight.data[3] = 0.0
    network.eval()
    images = splits.test.images
    expected = evaluated(network, images)
    assert len(expected.argmax(1).unique()) > 3
    model = pack(module, (1, 8, 8), DIGITS)
    save(model, tmp_path / "net.safetensors")
    packed = load(tmp_path / "net.safetensors")
    assert torch.equal(packed(images), expected)
    assert model.nbytes == estimate_network(network, (1, 8, 8)).cost.stored_bytes


class PowerOfTwoScale(Sign):
    """±1 times a power of two per output channel, one of them 0: float32 sums of such weights are exact."""

    def quantize(self, x):
        scale = 2.0 ** -(torch.arange(len(x)) % 7)
        scale[len(x) // 2] = 0
        return Quantized(super().quantize(x).codes, scale.reshape(-1, *[1] * (x.dim() - 1)), None, BINARY)

    def forward(self, x):
        return self.quantize(x).dequantize()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.booleans())
def test_scaled_weights_are_equal_bit_for_bit(seed, shift_norms):
    """Where float32 sums are exact, with the fake-quantized evaluation; else with the QuantOps', which scale sums."""
    network, shape = random_network(seed, shift_norms=shift_norms)
    quantized(network, seed=seed)
    _, images = eighths(shape, seed)
    for _, layer in quant_layers(network):
        layer.weight_quantizer = PowerOfTwoScale()
    expected = evaluated(network, images)
    assert torch.equal(PackedNetwork(pack(network, shape, DIGITS))(images), expected)
    assert torch.equal(PackedNetwork(pack(network, shape))(images), expected)
    for _, layer in quant_layers(network):
        layer.weight_quantizer = ScaledSign()
    packed = PackedNetwork(pack(network, shape))
    for traced in trace(network, shape):
        traced.layer.pack(traced.layer_shape)
    assert torch.equal(packed(images), evaluated(network, images))


@pytest.mark.parametrize("last_norm", [True, False])
def test_scaled_weights_take_the_bytes_of_the_estimate(last_norm, tmp_path):
    network = nn.Sequential(nn.Conv2d(2, 9, 3, bias=False), nn.BatchNorm2d(9), nn.ReLU(), nn.Flatten())
    network.append(nn.Linear(9 * 9, 5, bias=False))
    network.extend([nn.BatchNorm1d(5)] * last_norm)
    quantized(network, weights="scaled_sign")
    model = pack(network, (2, 5, 5))
    assert model.nbytes == estimate_network(network, (2, 5, 5)).cost.stored_bytes
    save(model, tmp_path / "net.safetensors")
    _, images = eighths((2, 5, 5))
    assert torch.equal(load(tmp_path / "net.safetensors")(images), PackedNetwork(model)(images))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, ShiftBatchNorm1d])
def test_thresholds_of_scaled_weights_decide_as_float32_does_for_every_sum(norm):
    k, channels = 101, 64
    network = nn.Sequential(nn.Linear(k, channels, bias=False), norm(channels), nn.ReLU(), nn.Linear(channels, 2))
    network[3].bias = None
    quantized(network, weights="scaled_sign", network_input="sign", seed=3)
    with torch.no_grad():
        magnitudes = torch.rand(channels, k, generator=torch.Generator().manual_seed(0)) ** 3
        magnitudes[5] = 0
        network[0].weight.copy_(magnitudes)  # all signs +1: the sum is 2·(ones) - k
        images = torch.ones(k + 1, k).tril(-1) * 2 - 1
        sums = images.sum(1, keepdim=True)
        signs = network[1](sums * network[0].weight.abs().mean(1)) >= 0
    packed = PackedNetwork(pack(network, (k,)))
    bits = packed._layers[0](cuda_ext.pack_signs(images))
    assert torch.equal(cuda_ext.unpack_signs(bits, channels) > 0, signs)
    assert 0 < signs.double().mean() < 1


@pytest.mark.parametrize("path", cuda_ext.available_isas()[:-1])
def test_every_instruction_path_gives_the_same_scores(path):
    network, shape = random_network(11)
    quantized(network, seed=11)
    _, images = eighths(shape)
    expected = evaluated(network, images)
    with cuda_ext.use_isa(path):
        assert torch.equal(PackedNetwork(pack(network, shape, DIGITS))(images), expected)


def test_the_signs_of_the_input():
    network = nn.Sequential(nn.Conv2d(3, 9, 3, padding=1, bias=False), nn.BatchNorm2d(9), nn.ReLU(), nn.Flatten())
    network.append(nn.Linear(9 * 16, 4, bias=False))
    apply_scheme(network, get_scheme("binarynet", network_input="sign"))
    network.eval()
    images = torch.randn(6, 3, 4, 4)
    images[0, 0] = 0.0
    assert torch.equal(PackedNetwork(pack(network, (3, 4, 4)))(images), evaluated(network, images))


def test_other_quantizers_of_activations_decide_as_they_do():
    """The threshold asks the next layer's own quantizer, not for the sign."""
    from quantizers import Sign

    class Late(Sign):
        def forward(self, x):
            return super().forward(x - 0.75)

        def quantize(self, x):
            return super().quantize(x - 0.75)

    network, shape = random_network(4)
    quantized(network, seed=4)
    layers = [m for m in network.modules() if hasattr(m, "input_quantizer")]
    assert len(layers) > 1
    for layer in layers[1:]:
        layer.input_quantizer = Late()
    _, images = eighths(shape)
    assert torch.equal(PackedNetwork(pack(network, shape, DIGITS))(images), evaluated(network, images))


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_pixels_sums_are_exact_at_every_border(padding):
    """The module rounds its sums of 2q/255 - 1; the packed ones are `(2·Σ q·w - 255·Σ w)/255` over the taps inside."""
    paper = Pixels(multiplier=2, offset=255, divisor=255)
    conv = nn.Conv2d(3, 20, 3, padding=padding, stride=(2, 1), bias=False)
    network = nn.Sequential(conv, nn.MaxPool2d(2), nn.BatchNorm2d(20), nn.ReLU(), nn.Flatten())
    with torch.no_grad():
        features = network(torch.zeros(1, 3, 9, 8)).shape[1]
    network.extend([nn.Linear(features, 10, bias=False), nn.BatchNorm1d(10)])
    quantized(network, seed=2)
    pixels = torch.randint(0, 256, (200, 3, 9, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    signs = torch.where(network[0].weight.detach() >= 0, 1.0, -1.0).double()
    sums = nn.functional.conv2d(2 * pixels.double() - 255, signs, stride=(2, 1), padding=padding)  # whole: exact
    expected = evaluated(network[1:], sums.float() / 255)
    packed = PackedNetwork(pack(network, (3, 9, 8), paper))
    assert torch.equal(packed(pixels), expected)
    assert torch.equal(packed(2 * (pixels.float() / 255) - 1), expected)
    agreement = packed.predict(pixels) == evaluated(network, paper.decode(pixels)).argmax(1)
    assert agreement.double().mean() > 0.95  # the module's own rounding decides the rest


def test_batches():
    network, shape = random_network(11)
    quantized(network, seed=11)
    _, images = eighths(shape, batch=7)
    packed = PackedNetwork(pack(network, shape, DIGITS))
    scores = packed(images)
    assert torch.equal(torch.cat([packed(image[None]) for image in images]), scores)
    assert torch.equal(packed.predict(images, batch=3), scores.argmax(1))
    assert packed(images[:0]).shape == (0, scores.shape[1])
    assert packed.predict(images[:0]).shape == (0,)
    not_contiguous = images.to(memory_format=torch.channels_last).flip(0).flip(0)
    assert torch.equal(packed(not_contiguous), scores)


def test_patches_are_made_some_images_at_a_time(monkeypatch):
    from qbench.deploy.packed import layer as module

    network = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten())
    network.append(nn.Linear(5 * 25, 3, bias=False))
    quantized(network)
    packed = PackedNetwork(pack(network, (2, 5, 5)))
    _, images = eighths((2, 5, 5), batch=9)
    expected = packed(images)
    monkeypatch.setattr(module, "_ROW_ELEMENTS", 2 * 25 * 18)
    assert torch.equal(packed(images), expected)


def test_bad_images_are_refused():
    network, shape = random_network(11)
    quantized(network, seed=11)
    packed, real = PackedNetwork(pack(network, shape, DIGITS)), PackedNetwork(pack(network, shape))
    pixels, images = eighths(shape)
    with pytest.raises(TypeError, match=r"images: expected a torch\.Tensor, got ndarray"):
        packed(images.numpy())
    with pytest.raises(TypeError, match=r"images: expected torch\.float32 or torch\.uint8, got torch\.float64"):
        packed(images.double())
    with pytest.raises(TypeError, match=r"images: expected torch\.float32, got torch\.uint8"):
        real(pixels)
    with pytest.raises(ValueError, match=r"images: expected shape \[B, "):
        packed(images[0])
    with pytest.raises(ValueError, match="expected values"):
        packed(images + 0.01)
    for broken in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="images: expected finite values"):
            real(torch.where(torch.arange(images.numel()).reshape(images.shape) == 3, broken, images))
