"""The published quantizers of `examples/`: their values and gradients by hand, and the sweep that trains them."""

from __future__ import annotations

import csv
import importlib
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from qbench import SCHEMES, QuantModule, get_model
from quantizers import QUANTIZERS, LayerPlace, make, make_for_layer

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
NAMES = ["bi-real", "bitnet-b1.58", "dorefa", "group-int4", "ir-net", "lsq-plus", "pact", "react-net", "rsign"]


@pytest.fixture(scope="module", autouse=True)
def _imported() -> Iterator[None]:
    """Import the examples for these tests alone: other tests find no names of theirs."""
    before = [(registry, dict(registry._items)) for registry in (QUANTIZERS, SCHEMES)]
    sys.path.append(str(EXAMPLES))
    for name in FILES:
        importlib.import_module(name)
    yield
    sys.path.remove(str(EXAMPLES))
    for name in FILES:
        del sys.modules[name]
    for registry, items in before:
        registry._items.clear()
        registry._items.update(items)


def value_and_gradient(quantizer, values: list[float], shape: tuple[int, ...] = (-1,)) -> tuple[list, list]:
    x = torch.tensor(values).reshape(shape).requires_grad_()
    found = quantizer(x)
    found.sum().backward()
    assert torch.equal(found.detach(), quantizer.quantize(x).dequantize())
    return found.detach().flatten().tolist(), x.grad.flatten().tolist()


def test_each_is_short() -> None:
    assert len(FILES) == 9
    for name in FILES:
        lines = [line for line in (EXAMPLES / f"{name}.py").read_text().splitlines() if line.strip()]
        assert len(lines) <= 40, name


def test_approx_sign() -> None:
    found, gradient = value_and_gradient(make("approx_sign"), [-2.0, -0.75, 0.0, 0.25, 1.0])
    assert found == [-1, -1, 1, 1, 1]
    assert gradient == [0, 0.5, 2, 1.5, 0]


def test_rsign_has_a_threshold_for_each_channel() -> None:
    place = LayerPlace("conv", "activations", "conv2d", (4, 2, 3, 3), 1, 3)
    quantizer = make_for_layer("rsign", place, {})
    with torch.no_grad():
        quantizer.alpha.copy_(torch.tensor([0.5, -0.5]))
    found, gradient = value_and_gradient(quantizer, [0.25, 0.75, -0.75, -0.25], (1, 2, 1, 2))
    assert found == [-1, 1, -1, 1]
    assert gradient == [1.5, 1.5, 1.5, 1.5]
    assert quantizer.alpha.grad.tolist() == [-3, -3]


def test_irnet_standardizes_weights_and_sharpens_the_gradient() -> None:
    weight = np.array([[1.0, 2.0, 3.0, 6.0], [-1.0, -1.0, -1.0, -1.0]])
    standard = (weight[0] - weight[0].mean()) / weight[0].std()
    scale = 2 ** round(math.log2(np.abs(standard).mean()))
    found = make("libra")(torch.tensor(weight, dtype=torch.float32))
    assert found[0].tolist() == [-scale, -scale, scale, scale]
    assert np.isfinite(found.numpy()).all()  # a channel of equal weights has nothing to standardize
    quantizer = make("ede_sign")
    for epoch, t in ((0, 0.1), (5, 1.0)):
        quantizer.on_epoch(epoch, 10)
        _, gradient = value_and_gradient(quantizer, [-1.0, 0.0, 2.0])
        assert gradient == pytest.approx([max(1, t) * (1 - math.tanh(t * x) ** 2) for x in (-1, 0, 2)])


def test_pact_clips_at_alpha() -> None:
    quantizer = make("pact", bits=2, alpha=6.0)
    found, gradient = value_and_gradient(quantizer, [-1.0, 0.0, 2.5, 3.0, 6.0, 7.0])
    assert found == [0, 0, 2, 4, 6, 6]
    assert gradient == [0, 0, 1, 1, 0, 0]
    assert quantizer.alpha.grad.item() == 2
    assert quantizer.encoding().scale.item() == 2


def test_dorefa_has_odd_codes_for_weights_and_steps_in_zero_to_one_for_activations() -> None:
    weights = make("dorefa", bits=2)
    assert weights.quantize(torch.tensor([-1.0, -0.1, 0.0, 0.1, 1.0])).codes.tolist() == [-3, -1, 1, 1, 3]
    assert sorted(set(weights(torch.randn(50)).mul(3).round().tolist())) == [-3, -1, 1, 3]
    activations = make("dorefa", bits=2, role="activations")
    found, gradient = value_and_gradient(activations, [-0.5, 0.2, 0.5, 2.0])
    assert found == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert gradient == [0, 1, 1, 0]


def test_group_int4_has_a_scale_for_each_group() -> None:
    weight = torch.cat([torch.full((1, 32), 7.0), torch.full((1, 8), 0.7)], 1)  # the last group of the row is smaller
    weight[0, :2] = torch.tensor([3.4, -7.0])
    quantized = make("group_int4").quantize(weight)
    assert quantized.scale.tolist() == [[1.0, float(np.float16(0.1))]]
    assert quantized.codes[0, [0, 1, 2, 39]].tolist() == [3, -7, 7, 7]


def test_lsq_plus_begins_with_the_range_of_the_first_batch() -> None:
    quantizer = make("lsq_plus", bits=2)
    quantizer(torch.tensor([-1.0, 0.5, 2.0]))
    assert (quantizer.step.item(), quantizer.offset.item()) == (1.0, -1.0)
    found, gradient = value_and_gradient(quantizer, [-3.0, -1.0, 0.4, 2.5])
    assert found == [-1, -1, 0, 2]
    assert gradient == [0, 1, 1, 0]
    assert quantizer.offset.grad.item() == 2  # 1 for each value outside, 0 inside


def test_bitnet_scales_weights_by_their_mean_and_activations_by_example() -> None:
    found, gradient = value_and_gradient(make("absmean_ternary"), [0.1, -1.0, 2.0, 0.9], (2, 2))
    assert found == [0, -1, 1, 1]  # the mean magnitude is 1
    assert gradient == [1, 1, 1, 1]
    quantized = make("absmax_int8").quantize(torch.tensor([[127.0, 1.0], [-1.27, 0.01]]))
    assert quantized.codes.tolist() == [[127, 1], [-127, 1]]
    assert quantized.scale.flatten().tolist() == pytest.approx([1.0, 0.01])


@pytest.mark.parametrize("scheme", NAMES)
def test_each_scheme_trains_a_step(scheme: str) -> None:
    torch.manual_seed(0)
    model = get_model("digits-convnet")
    teacher = {"teacher": model.make({"width": 4})} if scheme == "react-net" else {}
    module = QuantModule(model.make({"width": 4}), scheme, input_shape=model.input_shape, **teacher)
    loss = module.train().loss(torch.randn(8, 1, 8, 8), torch.arange(8))
    loss.backward()
    assert math.isfinite(loss.item())
    learned = [p for name, p in module.named_parameters() if p.requires_grad and "quantizer" in name]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in learned)


@pytest.mark.slow
def test_the_sweep_trains_all_of_them(tmp_path: Path) -> None:
    sweep = (EXAMPLES / "published.yaml").read_text().replace("[0, 1, 2]", "[0]")
    for name in FILES:
        (tmp_path / f"{name}.py").write_text((EXAMPLES / f"{name}.py").read_text())
    (tmp_path / "published.yaml").write_text(sweep + "  epochs: {value: 8}\n  model_options: {value: {width: 16}}\n")
    command = [sys.executable, "-m", "qbench.cli", "sweep", "published.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with open(tmp_path / "runs" / "published" / "results.csv", newline="") as file:
        rows = {row["scheme"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == sorted([*NAMES, "fp32"])
    for scheme in NAMES:
        assert float(rows[scheme]["test/accuracy"]) > 0.8, scheme
    for scheme in ("bi-real", "rsign", "ir-net", "bitnet-b1.58", "lsq-plus", "pact"):
        assert float(rows[scheme]["kernel/agreement"]) > 0.99, scheme
