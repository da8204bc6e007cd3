"""BatchNorm and sign as one comparison, against BatchNorm itself."""

import pytest
import torch
import torch.nn.functional as F

import cuda_ext


def batch_norm(channels: int, seed: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(channels, generator=g)
    weight[::5] = 0.0
    return {
        "weight": weight,
        "bias": torch.randn(channels, generator=g),
        "mean": 20 * torch.randn(channels, generator=g),
        "variance": torch.rand(channels, generator=g) * 100 + 1e-3,
    }


def apply(bn: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(x, bn["mean"], bn["variance"], bn["weight"], bn["bias"], False, 0.0, 1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_integer_threshold_is_batch_norm_on_every_accumulator(seed: int) -> None:
    channels, k = 60, 300
    bn = batch_norm(channels, seed)
    threshold, direction = cuda_ext.integer_threshold(
        lambda s: apply(bn, s[None].to(torch.float32))[0] >= 0, -k, k, channels
    )
    s = torch.arange(-k, k + 1, dtype=torch.int32)[:, None].expand(-1, channels)
    got = cuda_ext.unpack_signs(cuda_ext.sign_threshold_pack(s, threshold, direction), channels)
    assert torch.equal(got >= 0, apply(bn, s.to(torch.float32)) >= 0)
    assert (direction[::5] == 0).all()


def test_fold_batch_norm_away_from_the_boundary() -> None:
    bn = batch_norm(61, 0)
    x = 40 * torch.randn(500, 61, generator=torch.Generator().manual_seed(1))
    threshold, direction = cuda_ext.fold_batch_norm(**bn, eps=1e-4)
    got = cuda_ext.unpack_signs(cuda_ext.sign_threshold_pack(x, threshold, direction), 61)
    y = apply(bn, x)
    clear = y.abs() > 1e-4
    assert clear.double().mean() > 0.99
    assert torch.equal(got[clear] >= 0, y[clear] >= 0)
    assert torch.equal(direction, torch.sign(bn["weight"]).to(torch.int8))


def test_bounds_of_integer_threshold() -> None:
    threshold, direction = cuda_ext.integer_threshold(lambda s: s >= 3, 3, 3, 2)
    assert (threshold.tolist(), direction.tolist()) == ([0, 0], [0, 0])
    with pytest.raises(ValueError, match="low, high"):
        cuda_ext.integer_threshold(lambda s: s >= 0, 1, 0, 1)
