"""The checks leave every global generator as it was."""

from __future__ import annotations

import pytest
import torch

from quantizers import make
from quantizers.contract import check_quantizer


def test_no_global_generator_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.manual_seed seeds those of GPUs as well, which a training with dropout draws from: one for all seeds."""
    before = torch.get_rng_state()

    def refuse(seed: int) -> None:
        raise AssertionError("seeds the generators of every device")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    monkeypatch.setattr(torch.random, "manual_seed", refuse)
    assert check_quantizer(make("sign")) == []
    assert check_quantizer(make("lsq")) == []
    assert torch.equal(torch.get_rng_state(), before)
