"""Tables of embeddings: quantized rows, gradients, packed lookups, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError
from qbench.nn.graph.capture import capture
from qbench.nn.quant_embedding import QuantEmbedding
from quantizers import ScaledSign, Sign, Ternary, Uniform

INDICES = torch.tensor([[0, 3, 3], [4, 1, 0]])


def table(quantizer: Any, **options: Any) -> QuantEmbedding:
    torch.manual_seed(0)
    made = QuantEmbedding(5, 37, **options)
    made.weight_quantizer = quantizer
    made.calibrate_weight()
    return made


@pytest.mark.parametrize(
    ("quantizer", "op"),
    [
        (Sign(), "lookup"),
        (ScaledSign(), "lookup"),
        (Ternary(), "lookup"),
        (Uniform(8, channel_axis=0), "lookup"),
        (Uniform(4), "lookup"),
        (None, "float"),
    ],
)
@pytest.mark.parametrize("indices", [INDICES, INDICES.int(), INDICES[:0], torch.tensor(2)])
def test_rows_of_the_quantized_table(quantizer: Any, op: str, indices: torch.Tensor) -> None:
    layer = table(quantizer).eval()
    expected = layer.quantized_weight().dequantize()[indices.long()]
    assert torch.equal(layer(indices), expected)
    assert layer.pack(layer.layer_shape((3,), (3, 37))).name == op
    layer.weight_quantizer = None
    assert torch.equal(layer(indices), expected)
    assert torch.equal(layer.train()(indices), layer.weight[indices.long()])  # training unpacks


def test_values_and_gradients_by_hand() -> None:
    layer = QuantEmbedding(3, 2)
    layer.weight.data = torch.tensor([[0.5, -2.0], [-0.0, 0.25], [1.0, 1.0]])
    layer.weight_quantizer = Sign()
    y = layer(torch.tensor([0, 1, 1]))
    assert y.tolist() == [[1.0, -1.0], [1.0, 1.0], [1.0, 1.0]]
    (y * torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum().backward()
    # The second row is read twice; beyond ±1 the estimator is 0.
    assert layer.weight.grad.tolist() == [[1.0, 0.0], [8.0, 10.0], [0.0, 0.0]]


def test_the_padding_entry_stays_zero_and_untrained() -> None:
    for quantizer in (ScaledSign(), Ternary(), Uniform(8)):
        layer = table(quantizer, padding_idx=3)
        y = layer(INDICES)
        assert not y[0, 1:].any()
        y.square().sum().backward()
        assert not layer.weight.grad[3].any()


def test_a_padding_entry_has_no_zero_among_signs() -> None:
    layer = table(Sign(), padding_idx=3)
    layer.name = "tokens"
    message = r"tokens \(QuantEmbedding\): entry 3 is padding, and its zeros would become \+1 as binary weights"
    for mode in (True, False):
        with pytest.raises(ConfigError, match=message):
            layer.train(mode)(INDICES)
    layer.latent_evaluation = True
    assert torch.equal(layer.eval()(INDICES), layer.weight[INDICES])


def test_indices_pass_through_no_quantizer_and_no_dropout() -> None:
    layer = table(None)
    assert not layer.quantizes_inputs
    layer.input_quantizer = Sign()
    with pytest.raises(ConfigError, match="takes indices: no input quantizer"):
        layer(INDICES)
    layer.input_quantizer, layer.dropout = None, 0.5
    with pytest.raises(ConfigError, match="no dropout"):
        layer(INDICES)


@pytest.mark.parametrize("options", [{"max_norm": 1.0}, {"sparse": True}])
def test_tables_that_change_when_read_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must not be set"):
        QuantEmbedding(3, 2, **options)


def test_from_pretrained_and_frozen() -> None:
    layer = QuantEmbedding.from_pretrained(torch.full((2, 2), 3.0))
    layer.weight_quantizer = Sign()
    layer.clip_latent_()
    assert layer.weight.tolist() == [[3.0, 3.0], [3.0, 3.0]]  # not trained, so not clipped
    layer.weight.requires_grad_()
    layer.clip_latent_()
    assert layer.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_its_shape_and_its_node() -> None:
    layer = table(Sign())
    shape = layer.layer_shape((3,), (3, 37))
    assert (shape.kind, shape.macs, shape.dot_length, shape.weights) == ("embedding", 0, 0, 185)
    assert (shape.inputs, shape.outputs, shape.positions, shape.weight_rows) == (3, 111, 3, (5, 37))
    (node,) = capture(nn.Sequential(layer, nn.Flatten()), INDICES).layers
    assert (node.path, node.shape, node.macs) == ("0", (2, 3, 37), 0)
