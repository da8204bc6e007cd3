"""A network's chain is what its forward computes, whatever modules and functions it is written with."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.deploy.chain import UnsupportedStructureError, blocks
from qbench.deploy.int8.agreement import agreement
from qbench.deploy.int8.network import IntegerNetwork
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.network import PackedNetwork
from qbench.errors import UserError
from qbench.nn.activation import Activation
from qbench.nn.folding import fold_batch_norms
from qbench.ptq import calibration
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from tests.qbench.nn.test_folding import trained_like

SHAPE = (1, 12, 12)


class Functional(nn.Module):
    """A chain in functions; its modules are declared in an order of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.fc = nn.Linear(4 * 9, 5, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.act = Activation()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(F.max_pool2d(self.conv1(x), 2)))
        x = self.act(self.bn(F.max_pool2d(self.conv2(x), (2, 2), stride=2)))
        x = F.dropout(x, 0.5, self.training)
        return self.fc(x.view(x.size(0), -1))


def modules_of(functional: Functional) -> nn.Sequential:
    """The same chain, of modules in a row, each of which stands in one place."""
    parts = copy.deepcopy(functional)
    return nn.Sequential(
        parts.conv1, nn.MaxPool2d(2), copy.deepcopy(parts.bn), copy.deepcopy(parts.act),
        parts.conv2, nn.MaxPool2d(2), parts.bn, parts.act, nn.Dropout(0.5), nn.Flatten(), parts.fc,
    )  # fmt: skip


def ready(network: nn.Module, scheme: str, images: Tensor) -> nn.Module:
    """Random BatchNorms (negative and zero gammas), the scheme, and its calibration if it has one."""
    torch.manual_seed(0)
    apply_scheme(trained_like(network), get_scheme(scheme))
    calibration.calibrate(network, images)
    return network.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randint(-8, 9, (60, *SHAPE), generator=torch.Generator().manual_seed(1)) / 8


@torch.no_grad()
def test_functions_pack_as_modules_do(images: Tensor) -> None:
    torch.manual_seed(2)
    network = ready(Functional(), "binarynet", images)
    packed = pack(network, images)
    assert packed.spec == pack(network, SHAPE).spec
    for name, tensor in pack(modules_of(network), SHAPE).tensors.items():
        ours = {"0": "conv1", "4": "conv2", "10": "fc"}[name.split(".")[0]]
        assert torch.equal(packed.tensors[f"{ours}.{name.split('.')[1]}"], tensor)
    # A BatchNorm that runs twice normalizes twice: every score is the network's own.
    assert torch.equal(PackedNetwork(packed)(images), network(images))


@torch.no_grad()
def test_functions_run_in_integers_as_modules_do(images: Tensor) -> None:
    torch.manual_seed(2)
    network = ready(Functional(), "int8-minmax", images)
    found = IntegerNetwork(network, SHAPE)(images)
    assert torch.equal(found, IntegerNetwork(modules_of(network), SHAPE)(images))
    # Codes are compared in the order of execution, which is not that of declaration.
    compared = agreement(network, images)
    assert compared.within_one == 1.0
    assert compared.equal_outputs > 0.999
    assert torch.allclose(found, network(images), atol=0.02 * float(found.abs().max()))


@torch.no_grad()
def test_functions_export_as_modules_do(images: Tensor, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'dev' is not installed")
    from qbench.deploy.onnx.qdq import export_onnx

    torch.manual_seed(2)
    network = ready(Functional(), "int8-minmax", images)
    scores = []
    for number, each in enumerate((network, modules_of(network))):
        export_onnx(each, SHAPE if number else images, tmp_path / f"{number}.onnx")
        session = onnxruntime.InferenceSession(tmp_path / f"{number}.onnx", providers=["CPUExecutionProvider"])
        scores.append(torch.from_numpy(session.run(["scores"], {"images": images.numpy()})[0]))
    assert torch.equal(*scores)
    assert torch.allclose(scores[0], network(images), atol=0.02 * float(scores[0].abs().max()))


@torch.no_grad()
def test_modules_in_two_places(images: Tensor) -> None:
    """One pool, one BatchNorm and one slot, each of which runs twice."""
    pool, norm, act = nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.ReLU()
    first, second = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1, bias=False)
    network = nn.Sequential(first, pool, norm, act, second, pool, norm, act, nn.Flatten(), nn.Linear(36, 5, bias=False))
    for scheme in ("binarynet", "int8-minmax"):
        made = ready(copy.deepcopy(network), scheme, images)
        assert [(block.norm is made[2], block.pool is not None) for block in blocks(made, SHAPE)] == [
            (True, True), (True, True), (False, False)
        ]  # fmt: skip
        if scheme == "binarynet":
            assert torch.equal(PackedNetwork(pack(made, SHAPE))(images), made(images))
        else:
            assert agreement(made, images).within_one == 1.0


def chain(*parts: nn.Module) -> nn.Module:
    return apply_scheme(nn.Sequential(*parts), get_scheme("int8-minmax", activation_function="relu"))


class Called(nn.Module):
    """Two linear layers, called by a function of theirs and the input."""

    def __init__(self, how, size: int = 4) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.a, self.b = nn.Linear(size, size), nn.Linear(size, size)
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self, x)


def written_through_a_view(net: nn.Module, x: Tensor) -> Tensor:
    x = net.a(x)
    x.view(-1, 2, 2).add_(1)
    return net.b(x)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda net, x: net.b(net.a(x) + x), r"x|input.*: its result goes to a, aten\.add\.Tensor in Called\.forward"),
        (
            lambda net, x: net.b(torch.cat([net.a(x)[:, :2]] * 2, 1)),
            r"aten\.cat\.default in .*: takes 2 results",
        ),
        (lambda net, x: net.b(torch.tanh(net.a(x))), r"aten\.tanh\.default in Called\.forward: tanh is not known here"),
        (lambda net, x: net.b(F.hardtanh(net.a(x), -2.0, 2.0)), "hardtanh is not known here"),
        (lambda net, x: net.b(F.dropout(net.a(x), 0.5)), "dropout is not known here"),
        (lambda net, x: net.b(net.a(x).half().float()), "to is not known here"),
        (lambda net, x: net.b(F.hardtanh(F.relu(net.a(x)))), "a second activation after one layer"),
        (lambda net, x: net.a(net.a(x)), "a: is called more than once"),
        (lambda net, x: net.b(net.a(x).t().reshape(-1, 4)), r"aten\.t\.default in Called\.forward: makes"),
        (lambda net, x: net.b(F.linear(x, net.a.weight)), "linear comes before the first layer"),
        (lambda net, x: net.b(net.a(x)) if x.sum() > 0 else x, r"cannot be read \(Called\.forward|<lambda>, line"),
        (written_through_a_view, r"cannot be read: .*add_ writes in place into a view"),
    ],
)
def test_what_is_no_chain_is_refused_by_the_operation(how, message: str) -> None:  # type: ignore[no-untyped-def]
    network = apply_scheme(Called(how), get_scheme("int8-minmax"))
    with pytest.raises(UnsupportedStructureError, match=message):
        blocks(network, (4,))


class OwnError(UserError):
    pass


def test_the_error_is_the_callers() -> None:
    with pytest.raises(OwnError, match="1: Sigmoid is not known here"):
        blocks(chain(nn.Linear(4, 4), nn.Sigmoid()), (4,), OwnError)


@pytest.mark.parametrize(
    "how",
    [
        lambda net, x: net.b(F.relu(net.a(x), inplace=True)),
        lambda net, x: net.b(net.a(x).clamp(min=0)),
        lambda net, x: net.b(net.a(x).relu_().contiguous()),
        lambda net, x: net.b(F.relu(F.relu(net.a(x)))),
        lambda net, x: net.b(F.dropout(torch.relu(net.a(x)), 0.5, net.training).flatten(1)),
    ],
)
def test_ways_to_write_a_relu(how) -> None:  # type: ignore[no-untyped-def]
    found = blocks(apply_scheme(Called(how), get_scheme("int8-minmax")), (4,))
    assert [(block.name, block.activation) for block in found] == [("a", "relu"), ("b", "identity")]


@torch.no_grad()
def test_a_shared_relu_keeps_a_norm_in_its_place() -> None:
    """The BatchNorm follows the ReLU: folded into the layer before that, it would give other numbers."""
    relu = nn.ReLU()
    network = trained_like(nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 4), relu, nn.BatchNorm1d(4)))
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    expected = network(x)
    assert fold_batch_norms(network, (4,)) == []
    assert torch.equal(network(x), expected)
    apply_scheme(network, get_scheme("int8-minmax"))
    with pytest.raises(UnsupportedStructureError, match="4: a BatchNorm after another or after an activation"):
        blocks(network, (4,))
