"""Activation functions with parameters in a compiled network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


class Net(nn.Module):
    """A module that writes into its input, a function, and one that writes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.act, self.fc2, self.fc3 = nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc2(self.act(self.fc(x)))
        x = self.fc3(F.relu(x))
        x.relu_()
        return x * 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_compiled_network_computes_and_trains_alike() -> None:
    torch.manual_seed(0)
    net = apply_scheme(Net(), get_scheme("fp32", activation_function="rprelu"), input_shape=(4,))
    parameters = list(net.parameters())
    assert len(parameters) == 6 + 2 * 3  # the last ReLU is in front of no layer, and stays
    x = torch.randn(7, 4)
    expected = torch.autograd.grad(net(x).sum(), parameters)
    compiled = torch.compile(net)
    torch.testing.assert_close(compiled(x), net(x))
    torch.testing.assert_close(torch.autograd.grad(compiled(x).sum(), parameters), expected)
