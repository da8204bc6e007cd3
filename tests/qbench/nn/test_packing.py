"""Packed execution of networks whose layers run more than once, against their fake-quantized execution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qbench.errors import UserError
from qbench.nn import packing
from qbench.nn.packing import packed
from qbench.nn.quant_layer import quant_layers
from qbench.nn.quant_op.float_op import FloatOp
from qbench.nn.quant_op.select import select_op
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


class Twice(nn.Module):
    """One convolution on two sizes of image, and a layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.Linear(32, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        large = self.conv(x)
        small = self.conv(nn.functional.avg_pool2d(large, 2))
        if float(small.sum()) > 1e9:  # no graph shows this
            return large.flatten(1)
        return self.out(small.flatten(1))  # type: ignore[no-any-return]


def test_a_layer_on_two_sizes_runs_packed_on_both() -> None:
    torch.manual_seed(0)
    network = apply_scheme(Twice(), get_scheme("binarynet")).eval()
    images = torch.randn(4, 2, 8, 8)
    expected = network(images)
    seen: list[bool] = []
    for _, layer in quant_layers(network):
        layer.register_forward_hook(lambda module, _, __: seen.append(module._packed is not None))
    with packed(network, images) as ops:
        assert {name: op.name for name, op in ops.items()} == {"conv": "binary-weight", "out": "xnor"}
        seen.clear()
        assert torch.allclose(network(images), expected, atol=1e-5)
        assert seen == [True] * 3
    assert all(layer._packed is None for _, layer in quant_layers(network))


def test_a_layer_that_needs_two_ops_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    network = apply_scheme(Twice(), get_scheme("binarynet")).eval()
    other = FloatOp()
    other.name = "small"
    monkeypatch.setattr(
        packing, "select_op", lambda w, a, shape: other if shape.input_shape == (2, 4, 4) else select_op(w, a, shape)
    )
    refused = r"conv \(QuantConv2d\) runs on \(2, 8, 8\) by binary-weight and on \(2, 4, 4\) by small"
    with pytest.raises(UserError, match=refused), packed(network, torch.zeros(1, 2, 8, 8)):
        pass
    assert all(layer._packed is None for _, layer in quant_layers(network))
