"""The shape of a network's input, learned at its first batch."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qbench.cost.estimate import estimate_network
from qbench.errors import ConfigError
from qbench.io import flat_state
from qbench.nn.layer_calls import layer_calls
from qbench.nn.models.catalogue import get_model
from qbench.training import scheme_module
from qbench.training.first_batch import FirstBatch, example_shape, shape_of
from qbench.training.module import QuantModule


class Ears:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def hear(self, shape: Any) -> None:
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        torch.rand(3)
        self.heard.append(shape)


def test_it_tells_once_before_the_network_runs_and_leaves_the_generator() -> None:
    ears, network = Ears(), nn.Linear(5, 2)
    FirstBatch(network, ears.hear)
    before = torch.get_rng_state()
    with torch.inference_mode(), torch.autocast("cpu"):
        network(torch.rand(7, 5, generator=torch.Generator().manual_seed(0)))
    network(torch.zeros(3, 5))
    assert ears.heard == [(5,)]
    assert torch.equal(before, torch.get_rng_state())
    assert not network._forward_pre_hooks


def test_keyword_arguments_are_looked_at_too() -> None:
    ears, network = Ears(), nn.Linear(5, 2)
    FirstBatch(network, ears.hear)
    network(input=torch.zeros(3, 4, 5))
    assert ears.heard == [(4, 5)]


def test_integers_keep_their_dtype() -> None:
    found = shape_of(torch.ones(4, 6, dtype=torch.int32))
    assert isinstance(found, Tensor)
    assert (found.shape, found.dtype, int(found.sum())) == ((1, 6), torch.int32, 0)


def pickled(network: nn.Module) -> Any:
    return pickle.loads(pickle.dumps(network))  # noqa: S301  its own


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_waits_for_its_own_first_batch(copied: Any) -> None:
    network = nn.Linear(5, 2)
    FirstBatch(network, Ears().hear)
    other = copied(network)
    other(torch.zeros(1, 5))
    assert not other._forward_pre_hooks
    assert network._forward_pre_hooks


def test_an_example_that_the_network_has() -> None:
    network = nn.Linear(5, 2)
    assert example_shape(network) is None
    network.example_input_array = torch.zeros(8, 3, 5)
    assert example_shape(network) == (3, 5)
    assert QuantModule(nn.Sequential(nn.Linear(5, 2)), "fp32").input_shape is None


def mlp() -> nn.Module:
    return get_model("digits-mlp").make({"hidden": 8, "layers": 1})


def test_a_module_checks_the_structure_once_it_knows_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[tuple[nn.Module, str, Any]] = []
    monkeypatch.setattr(
        scheme_module, "check_structure", lambda network, scheme, shape: checked.append((network, scheme.name, shape))
    )
    module = QuantModule(mlp(), "binarynet")
    assert module.input_shape is None
    module(torch.zeros(4, 1, 8, 8))
    module(torch.zeros(2, 1, 8, 8))
    assert module.input_shape == (1, 8, 8)
    assert checked == [(module.model, "binarynet", (1, 8, 8))]
    given = QuantModule(mlp(), "binarynet", input_shape=(1, 8, 8))
    given(torch.zeros(4, 1, 8, 8))
    assert len(checked) == 1  # apply_scheme has done it


def test_reading_and_counting_operations_is_no_batch() -> None:
    """Neither the capture, nor the meter, nor a watched run hears of it, or is disturbed: 64·8 + 8·10 products."""
    module = QuantModule(mlp(), "binarynet")
    given = QuantModule(mlp(), "binarynet", input_shape=(1, 8, 8))
    found, right = (estimate_network(each.model, (1, 8, 8)).cost for each in (module, given))
    assert found.account == "graph"
    assert found.total("macs") == 64 * 8 + 8 * 10
    assert found.to_dict() == right.to_dict()
    assert [call.name for call in layer_calls(module.model, torch.zeros(1, 1, 8, 8))] == ["fc1", "out"]
    assert module.input_shape is None
    module(torch.zeros(4, 1, 8, 8))
    assert module.input_shape == (1, 8, 8)


def test_a_post_training_scheme_refuses_before_the_training() -> None:
    """What it could not quantize afterwards: at once, or at the first batch."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(self.second(self.first(x)).relu(), self.first.weight)

    with pytest.raises(ConfigError, match="first"):
        QuantModule(Tied(), "int8-minmax", input_shape=(6,))
    module = QuantModule(Tied(), "int8-minmax")
    with pytest.raises(ConfigError, match="first"):
        module(torch.zeros(3, 6))
    assert QuantModule(Tied(), "fp32", input_shape=(6,))(torch.zeros(3, 6)).shape == (3, 6)


def test_folding_needs_the_shape() -> None:
    module = QuantModule(mlp(), "int8-kl")
    with pytest.raises(ConfigError, match="input_shape: int8-kl folds BatchNorms"):
        module.quantize()
    module(torch.zeros(4, 1, 8, 8))
    module.quantize()
    assert module.model.fc1.weight_quantizer is not None


def test_the_first_batch_changes_no_number() -> None:
    """The steps of LSQ are set from the first batch, and not from what the check runs."""
    networks = []
    for shape in (None, (1, 8, 8)):
        torch.manual_seed(0)
        module = QuantModule(mlp(), "int8-lsq", input_shape=shape)
        images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        module.train()
        module.loss(images, torch.arange(16) % 10)
        networks.append((flat_state(module.model.state_dict()), torch.rand(1)))
    (first, drawn), (second, drawn_too) = networks
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(drawn, drawn_too)
