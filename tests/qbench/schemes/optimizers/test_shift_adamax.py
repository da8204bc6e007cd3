"""Shift-based AdaMax against traces computed by hand and in plain Python."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from qbench.schemes.optimizers.shift_adamax import ShiftAdaMax, scalar_ap2
from qbench.schemes.schedules import halve


def parameter(*values):
    return nn.Parameter(torch.tensor(values))


def set_gradient(p, *values):
    p.grad = torch.tensor(values)


def log_ap2(x):
    return 0.0 if x == 0 else math.copysign(2.0 ** round(math.log2(abs(x))), x)


def in_python(theta, gradients, lr, beta1, beta2, scale=1.0, eps=2.0**-27):
    """One number's trace, as the docstring has it."""
    m = v = 0.0
    found = []
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = max(beta2 * v, abs(g))
        theta -= log_ap2(lr / (1 - beta1**t)) * scale * m / (log_ap2(v) + eps)
        found.append(theta)
    return found


def test_two_steps_by_hand():
    """β1 = ½, β2 = ¾, α = 1/8, ε = 0; all of it exact in float32.

    t = 1, g = 3: m = 1.5, v = 3 -> 4, rate AP2(1/8 / ½) = 1/4: θ = 1 - ¼·1.5/4 = 0.90625.
    t = 2, g = -1: m = 0.25, v = max(2.25, 1) -> 2, rate AP2(1/8 / ¾ = 0.1667) = 1/8: θ = 0.90625 - 0.25/16.
    """
    p = parameter(1.0)
    optimizer = ShiftAdaMax([p], lr=0.125, betas=(0.5, 0.75), eps=2.0**-140)
    set_gradient(p, 3.0)
    optimizer.step()
    assert p.item() == 0.90625
    set_gradient(p, -1.0)
    optimizer.step()
    assert p.item() == 0.90625 - 0.015625
    assert optimizer.state[p]["momentum"].item() == 0.25
    assert optimizer.state[p]["maximum"].item() == 2.25  # not rounded


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_long_trace_of_many_parameters(dtype):
    numbers = torch.Generator().manual_seed(5)
    gradients = torch.randn(60, 7, generator=numbers, dtype=dtype) * 10.0 ** torch.arange(-3, 4)
    gradients[20:40, 3] = 0
    start = torch.randn(7, generator=numbers, dtype=dtype)
    first, second = nn.Parameter(start[:3].clone()), nn.Parameter(start[3:].clone().view(2, 2))
    optimizer = ShiftAdaMax([first, second])
    history = []
    for row in gradients:
        first.grad, second.grad = row[:3].clone(), row[3:].view(2, 2).clone()
        optimizer.step()
        history.append(torch.cat([first.detach(), second.detach().flatten()]))
    for column in range(7):
        expected = in_python(start[column].item(), gradients[:, column].tolist(), 2.0**-6, 0.9, 0.999)
        found = [row[column].item() for row in history]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5 if dtype == torch.float32 else 1e-12)


def test_large_parameters_and_other_layouts_step_like_small_ones():
    """More than a block of numbers, not a multiple of it, and a layout that is not contiguous: bit for bit."""
    values, gradient = torch.randn(3, 7, 61, 57), torch.randn(2, 3, 7, 61, 57)
    whole = nn.Parameter(values.clone())
    last = nn.Parameter(values.clone(memory_format=torch.channels_last))
    single = [nn.Parameter(part.clone()) for part in values.flatten().split(1000)]
    optimizer = ShiftAdaMax([whole, last, *single])
    for step in range(2):
        whole.grad, last.grad = gradient[step].clone(), gradient[step].clone(memory_format=torch.channels_last)
        for each, part in zip(single, gradient[step].flatten().split(1000), strict=True):
            each.grad = part.clone()
        optimizer.step()
    assert whole.numel() > 2**16
    assert not last.is_contiguous()
    assert torch.equal(whole, last)
    assert torch.equal(whole.flatten(), torch.cat(single))
    assert not torch.equal(whole, values)


def test_a_zero_gradient_from_the_start_moves_nothing():
    p = parameter(0.5, -0.5)
    optimizer = ShiftAdaMax([p])
    for _ in range(3):
        set_gradient(p, 0.0, 0.0)
        optimizer.step()
    assert p.tolist() == [0.5, -0.5]


def test_epsilon_bounds_the_step_of_tiny_gradients():
    p = parameter(0.0)
    optimizer = ShiftAdaMax([p], betas=(0.9, 0.999))
    set_gradient(p, 2.0**-40)
    optimizer.step()
    rate = scalar_ap2(2.0**-6 / (1 - 0.9))
    assert p.item() == pytest.approx(-rate * 0.1 * 2.0**-40 / (2.0**-40 + 2.0**-27), rel=1e-5)


def test_huge_and_nan_gradients_are_seen_in_the_parameters():
    p = parameter(0.0, 0.0, 0.0)
    optimizer = ShiftAdaMax([p])
    set_gradient(p, math.inf, math.nan, 3e38)
    optimizer.step()
    assert not p[0].isfinite()
    assert p[1].isnan()
    assert 0 < -p[2].item() < 0.1


def test_scales_are_rounded_by_ap2_unless_told_otherwise():
    scales = [57.04, 52.32, 28.04, 39.19]
    assert [scalar_ap2(scale) for scale in scales] == [64, 64, 32, 32]
    for rounded, factor in ((True, 32.0), (False, 28.04)):
        p, q = parameter(0.25), parameter(0.25)
        groups = [{"params": [p], "scale": 28.04, "round_scale": rounded}, {"params": [q]}]
        optimizer = ShiftAdaMax(groups, lr=2.0**-10)
        for g in (1.0, -3.0, 0.5):
            set_gradient(p, g)
            set_gradient(q, g)
            optimizer.step()
        gradients = (1.0, -3.0, 0.5)
        assert p.item() == pytest.approx(in_python(0.25, gradients, 2.0**-10, 0.9, 0.999, factor)[-1], rel=1e-5)
        assert q.item() == pytest.approx(in_python(0.25, gradients, 2.0**-10, 0.9, 0.999)[-1], rel=1e-5)


def test_each_group_has_its_rate():
    p, q = parameter(0.0), parameter(0.0)
    optimizer = ShiftAdaMax([{"params": [p], "lr": 2.0**-3}, {"params": [q]}], lr=2.0**-5)
    set_gradient(p, 1.0)
    set_gradient(q, 1.0)
    optimizer.step()
    assert p.item() == 4 * q.item() != 0


def test_a_parameter_without_gradient_stays_and_counts_its_own_steps():
    p, q = parameter(1.0), parameter(1.0)
    optimizer = ShiftAdaMax([p, q])
    set_gradient(p, 1.0)
    optimizer.step()
    assert q.item() == 1.0
    p.grad = None
    set_gradient(q, 1.0)
    optimizer.step()
    assert p.item() == q.item()
    assert [optimizer.state[each]["step"] for each in (p, q)] == [1, 1]


def test_state_round_trip_continues_bit_for_bit(tmp_path):
    def gradient(step):
        return torch.randn(50, generator=torch.Generator().manual_seed(step))

    p = nn.Parameter(torch.zeros(50))
    optimizer = ShiftAdaMax([p])
    schedule = halve(optimizer, every=2)
    for step in range(3):
        p.grad = gradient(step)
        optimizer.step()
        schedule.step()
    torch.save({"p": p.detach().clone(), "o": optimizer.state_dict(), "s": schedule.state_dict()}, tmp_path / "c.pt")
    saved = torch.load(tmp_path / "c.pt", weights_only=True)
    q = nn.Parameter(saved["p"])
    again = ShiftAdaMax([q], lr=1.0)
    schedule_again = halve(again, every=2)
    again.load_state_dict(copy.deepcopy(saved["o"]))
    schedule_again.load_state_dict(saved["s"])
    for step in range(3, 6):
        for each, its_optimizer, its_schedule in ((p, optimizer, schedule), (q, again, schedule_again)):
            each.grad = gradient(step)
            its_optimizer.step()
            its_schedule.step()
    assert torch.equal(p, q)
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 2.0**-9


def test_the_rate_is_halved_every_so_many_epochs():
    p = parameter(0.0)
    optimizer = ShiftAdaMax([p])
    schedule = halve(optimizer, every=10)
    rates = []
    for _ in range(25):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == [2.0**-6] * 10 + [2.0**-7] * 10 + [2.0**-8] * 5
    with pytest.raises(ValueError, match="whole number of epochs"):
        halve(optimizer, every=0)


def test_a_closure_is_run_with_gradients():
    p = parameter(2.0)
    optimizer = ShiftAdaMax([p])

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert p.item() < 2.0


def test_it_learns_a_regression():
    x = torch.randn(256, 8)
    target = x @ torch.linspace(-1, 1, 8).unsqueeze(1)
    model = nn.Linear(8, 1)
    optimizer = ShiftAdaMax(model.parameters())
    schedule = halve(optimizer, every=60)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        schedule.step()
    assert losses[-1] < 0.01 * losses[0]


def test_sparse_gradients_are_refused():
    embedding = nn.Embedding(5, 3, sparse=True)
    optimizer = ShiftAdaMax(embedding.parameters())
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="no sparse gradients"):
        optimizer.step()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -0.5}, "lr must be finite and not negative"),
        ({"lr": math.inf}, "lr must be finite"),
        ({"eps": 0.0}, "eps must be positive"),
        ({"scale": -1.0}, "scale must be positive"),
        ({"betas": (1.0, 0.9)}, "betas must be two numbers"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
    ],
)
def test_bad_settings_of_the_optimizer_and_of_a_group(settings, message):
    p = parameter(0.0)
    with pytest.raises(ValueError, match=message):
        ShiftAdaMax([p], **settings)
    with pytest.raises(ValueError, match=message):
        ShiftAdaMax([{"params": [p], **settings}])


def test_a_rate_of_zero_moves_nothing():
    p = parameter(0.75)
    optimizer = ShiftAdaMax([p], lr=0.0)
    for _ in range(3):
        p.grad = torch.full_like(p, -2.0)
        optimizer.step()
    assert torch.equal(p.detach(), torch.full_like(p, 0.75))
