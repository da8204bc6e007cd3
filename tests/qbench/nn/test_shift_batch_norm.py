"""Shift-based BatchNorm against its formulas in float64, with AP2 by logarithm, and near plain BatchNorm."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from qbench.nn.quant_linear import QuantLinear
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.nn.trace import trace
from qbench.nn.traced_norm import TracedNorm
from quantizers import ap2

SHAPES = [(2, 5), (16, 5), (7, 5, 3), (4, 5, 6, 6)]


def log_ap2(x):
    """AP2 as it is written down: 2^round(log2|x|) with x's sign, 0 for 0."""
    with np.errstate(divide="ignore"):
        return np.where(x == 0, 0.0, np.sign(x) * 2.0 ** np.round(np.log2(np.abs(x))))


def by_formula(x, gamma, beta, eps):
    """y, mean, 1/σ and the factors A = AP2(C), s = AP2(1/σ), one loop per channel, float64."""
    y, a, means, inverses, scales = np.empty_like(x), np.empty_like(x), [], [], []
    for channel in range(x.shape[1]):
        values = x[:, channel]
        centred = values - values.mean()
        shifted = log_ap2(centred)
        inverse = 1 / np.sqrt((centred * shifted).mean() + eps)
        scale = log_ap2(inverse)
        y[:, channel] = centred * scale * log_ap2(gamma[channel]) + beta[channel]
        a[:, channel] = shifted
        means.append(values.mean())
        inverses.append(inverse)
        scales.append(scale)
    return y, np.array(means), np.array(inverses), a, np.array(scales)


def gradients_by_formula(g, a, s, gamma):
    """dx, dγ, dβ as the docstring has them, one loop per channel."""
    dx, dgamma, dbeta = np.empty_like(g), [], []
    for c in range(g.shape[1]):
        gc, ac = g[:, c], a[:, c]
        dx[:, c] = log_ap2(gamma[c]) * s[c] * (gc - gc.mean() - ac * s[c] ** 2 * (ac * gc).mean())
        dgamma.append((gc * ac * s[c]).sum())
        dbeta.append(gc.sum())
    return dx, np.array(dgamma), np.array(dbeta)


def norm_for(shape, dtype=torch.float64):
    norm = (ShiftBatchNorm2d if len(shape) == 4 else ShiftBatchNorm1d)(shape[1], dtype=dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -0.3, 5.0, 0.0, 0.7]))
        norm.bias.copy_(torch.tensor([0.0, 1.5, -2.0, 0.25, -0.5]))
    return norm


def draw(shape, seed=1):
    numbers = torch.Generator().manual_seed(seed)
    channels = torch.tensor([1.0, 30.0, 0.01, 2.0, 5.0], dtype=torch.float64).view(1, 5, *[1] * (len(shape) - 2))
    return torch.randn(shape, generator=numbers, dtype=torch.float64) * channels + 3 * channels


@pytest.mark.parametrize("shape", SHAPES)
def test_training_forward_is_the_formula(shape):
    norm, x = norm_for(shape), draw(shape)
    expected, mean, inverse, _, _ = by_formula(
        x.numpy(), norm.weight.detach().numpy(), norm.bias.detach().numpy(), 1e-5
    )
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean / 8, rtol=1e-12)
    np.testing.assert_allclose(norm.running_inverse_std.numpy(), 7 / 8 + inverse / 8, rtol=1e-12)
    assert norm.num_batches_tracked.item() == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_backward_is_the_formula(shape):
    norm, x = norm_for(shape), draw(shape).requires_grad_()
    g = draw(shape, seed=2)
    norm(x).backward(g)
    gamma = norm.weight.detach().numpy()
    _, _, _, a, s = by_formula(x.detach().numpy(), gamma, norm.bias.detach().numpy(), 1e-5)
    dx, dgamma, dbeta = gradients_by_formula(g.numpy(), a, s, gamma)
    np.testing.assert_allclose(x.grad.numpy(), dx, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(norm.weight.grad.numpy(), dgamma, rtol=1e-10)
    np.testing.assert_allclose(norm.bias.grad.numpy(), dbeta, rtol=1e-10)
    assert norm.weight.grad[3] != 0  # gamma = 0 can leave 0: its gradient does not pass its own AP2


def test_by_hand():
    """C = ±3, AP2(3) = 4, var = 12, 1/sqrt(12) = 0.289 -> 0.25; γ = 1.5 -> 2: y = ±3·0.25·2."""
    norm = ShiftBatchNorm1d(1)
    nn.init.constant_(norm.weight, 1.5)
    x = torch.tensor([[7.0], [13.0]], requires_grad=True)
    y = norm(x)
    assert y.flatten().tolist() == [-1.5, 1.5]
    y.backward(torch.tensor([[1.0], [0.0]]))
    # g - mean = (½, -½); A = (-4, 4); s² = 1/16; mean(A·g) = -2: A·s²·mean = (½, -½). dγ = -4·0.25.
    assert x.grad.flatten().tolist() == [0, 0]
    assert norm.weight.grad.item() == -1
    assert norm.bias.grad.item() == 1


def test_constant_channels_give_beta():
    norm = ShiftBatchNorm2d(2)
    nn.init.constant_(norm.bias, 0.5)
    x = torch.tensor([3.0, -1e6]).view(1, 2, 1, 1).expand(4, 2, 3, 3).clone().requires_grad_()
    y = norm(x)
    assert torch.equal(y, torch.full_like(y, 0.5))
    y.sum().backward()
    assert bool(x.grad.isfinite().all())
    inverse = 1e-5**-0.5
    torch.testing.assert_close(norm.running_inverse_std, torch.full((2,), 7 / 8 + inverse / 8))


@pytest.mark.parametrize("batch", [2, 3, 10, 100])
@pytest.mark.parametrize("affine", [False, True])
def test_within_the_documented_bound_of_plain_batch_norm(batch, affine):
    """2,000 channels of many scales and skews; the ratio is one number in each."""
    x = torch.randn(batch, 2000, dtype=torch.float64)
    x = (x + torch.linspace(-3, 3, 2000, dtype=torch.float64) * x.square()) * 2.0 ** (8 * torch.randn(2000).double())
    shift, plain = ShiftBatchNorm1d(2000, dtype=torch.float64), nn.BatchNorm1d(2000, dtype=torch.float64)
    if affine:
        with torch.no_grad():
            shift.weight.copy_(torch.randn(2000))
            plain.weight.copy_(shift.weight)
    y, y_plain = shift(x).detach(), plain(x).detach()
    ratio = y / y_plain
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-6, atol=0)
    exponent = ratio[0].log2()
    bound = 1.25 if affine else 0.75
    assert -bound <= exponent.min() < -0.4 * bound
    assert 0.4 * bound < exponent.max() <= bound  # the bound is not idle


def test_outputs_differ_from_plain_batch_norm_by_powers_of_two_of_centred_values():
    x = torch.randn(64, 4)
    y = ShiftBatchNorm1d(4)(x)
    ratio = y / (x - x.mean(0))
    assert torch.equal(ap2(ratio), ratio.round(decimals=4))  # 0.5, 1 or 2: nothing between


def test_evaluation_uses_the_ap2_of_the_running_factor():
    norm = norm_for((8, 5), torch.float32)
    for seed in range(40):
        norm(draw((8, 5), seed).float())
    norm.eval()
    x = draw((8, 5), 99).float()
    factor = log_ap2(norm.running_inverse_std.double().numpy()) * log_ap2(norm.weight.detach().double().numpy())
    assert norm.factor().tolist() == factor.tolist()
    expected = (x - norm.running_mean) * torch.tensor(factor).float() + norm.bias
    assert torch.equal(norm(x), expected.detach())
    assert torch.equal(norm(x[:1]), expected[:1].detach())  # a batch of one evaluates
    # By shifts alone: every factor is zero or a power of two.
    assert set(norm.factor().abs().frexp().mantissa.tolist()) <= {0.5, 0.0}


def test_evaluation_passes_gradients():
    norm = norm_for((8, 5)).eval()
    x = draw((8, 5)).requires_grad_()
    norm(x).sum().backward()
    assert torch.equal(x.grad, norm.factor().expand(8, 5))


def test_running_averages_follow_the_momentum_and_none_averages_all():
    batches = [draw((6, 5), seed) for seed in range(3)]
    inverses = [by_formula(x.numpy(), np.ones(5), np.zeros(5), 1e-5)[2] for x in batches]
    moving = ShiftBatchNorm1d(5, momentum=0.5, dtype=torch.float64)
    average = ShiftBatchNorm1d(5, momentum=None, dtype=torch.float64)
    for x in batches:
        moving(x)
        average(x)
    expected = ((1 * 0.5 + inverses[0] * 0.5) * 0.5 + inverses[1] * 0.5) * 0.5 + inverses[2] * 0.5
    np.testing.assert_allclose(moving.running_inverse_std.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(average.running_inverse_std.numpy(), np.mean(inverses, axis=0), rtol=1e-12)


def test_without_affine_and_without_statistics():
    x = draw((6, 5))
    bare = ShiftBatchNorm1d(5, affine=False, track_running_stats=False, dtype=torch.float64)
    assert list(bare.state_dict()) == []
    expected = by_formula(x.numpy(), np.ones(5), np.zeros(5), 1e-5)[0]
    for training in (True, False):
        np.testing.assert_allclose(bare.train(training)(x).numpy(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="no fixed factor"):
        bare.factor()


def test_state_round_trip_and_reset():
    norm = norm_for((8, 5))
    norm(draw((8, 5)))
    other = ShiftBatchNorm1d(5, dtype=torch.float64)
    other.load_state_dict(copy.deepcopy(norm.state_dict()))
    x = draw((8, 5), 3)
    assert torch.equal(norm.eval()(x), other.eval()(x))
    assert sorted(norm.state_dict()) == ["bias", "num_batches_tracked", "running_inverse_std", "running_mean", "weight"]
    norm.reset_parameters()
    assert norm.running_inverse_std.tolist() == [1] * 5
    assert norm.running_mean.tolist() == [0] * 5
    assert norm.num_batches_tracked.item() == 0


def test_a_plain_batch_norms_state_is_refused():
    with pytest.raises(RuntimeError, match="running_inverse_std"):
        ShiftBatchNorm1d(5).load_state_dict(nn.BatchNorm1d(5).state_dict())


def test_it_is_found_as_a_batch_norm_and_has_no_variance():
    network = nn.Sequential(nn.Flatten(), QuantLinear(12, 6), ShiftBatchNorm1d(6))
    (layer,) = trace(network, (3, 2, 2))
    assert layer.norms == (TracedNorm(6, shifts=True, name="2"),)
    assert isinstance(network[2], nn.BatchNorm1d)
    assert network[2].running_var is None


def test_bad_inputs():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ShiftBatchNorm1d(5)(torch.zeros(1, 5))
    with pytest.raises(ValueError, match="expected 2D or 3D"):
        ShiftBatchNorm1d(5)(torch.zeros(2, 5, 3, 3))
    with pytest.raises(ValueError, match="expected 4D"):
        ShiftBatchNorm2d(5)(torch.zeros(2, 5))


def test_nan_is_passed_on():
    x = torch.randn(8, 3)
    x[2, 1] = torch.nan
    y = ShiftBatchNorm1d(3)(x)
    assert y[:, 1].isnan().all()
    assert y[:, [0, 2]].isfinite().all()


def test_a_nan_parameter_is_passed_on():
    norm = ShiftBatchNorm1d(2)
    nn.init.constant_(norm.weight, torch.nan)
    x = torch.randn(8, 2)
    assert norm(x).isnan().all()
    assert norm.eval()(x).isnan().all()


def test_the_gradient_of_evaluation_does_not_reach_gamma():
    """Its AP2 is a constant there, as in training's formula for x; β's gradient is the plain one."""
    norm = ShiftBatchNorm1d(3).eval()
    norm(torch.randn(4, 3)).sum().backward()
    assert norm.weight.grad is None
    assert norm.bias.grad.tolist() == [4, 4, 4]


def test_sixteen_bits_are_normalized_in_float32():
    x = torch.randn(32, 4).bfloat16()
    low, high = ShiftBatchNorm1d(4), ShiftBatchNorm1d(4)
    y = low(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, high(x.float()).bfloat16())
    assert torch.equal(low.running_inverse_std, high.running_inverse_std)


def test_it_compiles_to_one_graph():
    plain, compiled = norm_for((8, 5), torch.float32), norm_for((8, 5), torch.float32)
    graph = torch.compile(compiled, fullgraph=True, backend="aot_eager")
    x = draw((8, 5)).float()
    first, again = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, y_again = plain(first), graph(again)
    torch.testing.assert_close(y, y_again)
    y.square().sum().backward()
    y_again.square().sum().backward()
    torch.testing.assert_close(first.grad, again.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain.running_inverse_std, compiled.running_inverse_std)
