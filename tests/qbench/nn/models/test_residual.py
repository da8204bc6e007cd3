"""Residual blocks: the shortcut by hand, exact products with binary activations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from qbench.nn.models.catalogue import get_model
from qbench.nn.models.residual import ResidualBlock
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial


@pytest.mark.parametrize(("outputs", "stride", "size"), [(3, 1, 7), (3, 2, 8), (6, 2, 8), (6, 1, 4), (6, 2, 7)])
def test_a_binary_block_is_the_formula(outputs: int, stride: int, size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    scheme = get_scheme("binarynet")
    block = apply_scheme(ResidualBlock(3, outputs, stride), scheme)
    block.conv.input_quantizer = scheme.quantization.activations.build()  # the first layer of a network has none
    block.bn.running_mean.uniform_(-3, 3, generator=generator)
    block.bn.running_var.uniform_(0.5, 2, generator=generator)
    block.eval()
    x = torch.randn(2, 3, size, size, generator=generator)
    x[0, 0, :2] = 0
    signs = torch.where(x >= 0, 1.0, -1.0).double()
    weight = torch.where(block.conv.weight >= 0, 1.0, -1.0).double()
    sums = F.conv2d(signs, weight, stride=stride, padding=1)
    mean, var = block.bn.running_mean.double().view(-1, 1, 1), block.bn.running_var.double().view(-1, 1, 1)
    normed = (sums - mean) / (var + block.bn.eps).sqrt()
    shortcut = x.double()
    if stride == 2:  # means over the pixels that are there
        high = torch.zeros(2, 3, -(-size // 2), -(-size // 2), dtype=torch.float64)
        for i in range(high.shape[2]):
            for j in range(high.shape[3]):
                high[:, :, i, j] = shortcut[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((2, 3))
        shortcut = high
    expected = normed + torch.cat([shortcut] * (outputs // 3), 1)
    torch.testing.assert_close(block(x).double(), expected, rtol=1e-5, atol=1e-5)


def test_the_real_block_ends_with_a_relu() -> None:
    block = apply_scheme(ResidualBlock(2, 2), get_scheme("fp32")).eval()
    x = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(2))
    expected = (F.conv2d(x, block.conv.weight, padding=1) / (1 + block.bn.eps) ** 0.5 + x).relu()
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((2, 3), "multiple of inputs"), ((0, 4), "multiple"), ((2, 2, 3), "stride must be 1 or 2")],
)
def test_other_shapes_are_refused(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResidualBlock(*arguments)


def test_weights_of_the_named_networks() -> None:
    # Stem, then per block 9·in·out, then the output layer: by hand.
    digits = get_model("digits-resnet").make({})
    assert sum(p.numel() for name, p in digits.named_parameters() if "bn" not in name) == (
        9 * 32 + 2 * 9 * 32 * 32 + 9 * 32 * 64 + 9 * 64 * 64 + 64 * 10
    )
    cifar = get_model("cifar10-resnet").make({})
    stages = 4 * 9 * 64 * 64 + (9 * 64 * 128 + 3 * 9 * 128 * 128) + (9 * 128 * 256 + 3 * 9 * 256 * 256)
    assert sum(p.numel() for name, p in cifar.named_parameters() if "bn" not in name) == 27 * 64 + stages + 2560
    assert cifar(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ["binarynet", "xnor-net", "bnn-shift"])
def test_packed_execution_agrees_on_every_test_image(name: str, tmp_path: Path) -> None:
    row = run_trial(
        resolve(TrialConfig(scheme=name, model="digits-resnet", model_options={"width": 8, "blocks": 1}, epochs=3)),
        tmp_path,
    ).row
    assert row["kernel/agreement"] == 1.0
    assert row["kernel/ops"].split()[1:] == ["xnor"] * 3
    assert row["test/accuracy"] > 0.3  # it learns
