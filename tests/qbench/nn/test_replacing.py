"""Modules in every place where others stood."""

from torch import nn

from qbench.nn.replacing import replace_modules


def test_a_module_goes_wherever_the_other_stood_and_takes_its_mode() -> None:
    shared, kept = nn.ReLU(), nn.ReLU()
    network = nn.Sequential(shared, nn.Sequential(kept, shared), nn.Linear(2, 2))
    shared.eval()
    new = nn.Tanh()
    places = replace_modules(network, {shared: new})
    inner = network[1]
    assert isinstance(inner, nn.Sequential)
    assert [network[0], inner[0], inner[1]] == [new, kept, new]
    assert places == [(network, "0", shared), (inner, "1", shared)]
    assert not new.training
    assert kept.training
