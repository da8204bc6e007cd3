"""Graphs of networks whose operations are known: by hand, from their forward."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.activation import Activation
from qbench.nn.graph.capture import UncapturedError, capture
from qbench.nn.graph.graph import Graph
from qbench.nn.quant_linear import QuantLinear


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in graph.nodes]


class Functions(nn.Module):
    """Layers as modules, everything between them as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        x = F.max_pool2d(x, 2)
        x = torch.cat([x, x * 2], 1) + 1
        return self.fc(F.dropout(x[:, :4].flatten(1), 0.5, self.training))


def test_functions_and_modules_are_nodes_in_the_order_they_run() -> None:
    graph = capture(Functions(), (3, 8, 8))
    assert kinds(graph) == [
        *("input", "layer", "norm", "activation", "max_pool", "other", "concatenate", "add"),
        *("other", "reshape", "identity", "layer", "output"),
    ]
    conv, fc = graph.layers
    assert (conv.path, fc.path) == ("conv", "fc")
    assert conv.shape == (2, 4, 8, 8)
    assert fc.input_shapes == ((2, 64),)
    assert [node.label for node in graph.of_kind("max_pool")] == ["aten.max_pool2d.default in Functions.forward"]


def test_a_node_knows_its_arguments_and_who_feeds_whom() -> None:
    graph = capture(Functions(), (3, 8, 8))
    (pool,) = graph.of_kind("max_pool")
    assert pool.arguments["kernel_size"] == [2, 2]
    assert pool.arguments["ceil_mode"] is False
    assert [user.kind for user in graph.users(pool)] == ["other", "concatenate"]
    assert graph.sole_user(pool) is None
    (relu,) = graph.of_kind("activation")
    assert graph.sole_user(relu) == pool
    assert graph.producers(relu) == graph.of_kind("norm")


def test_sources_walks_back_past_what_it_is_told_to_pass() -> None:
    graph = capture(Functions(), (3, 8, 8))
    passed = ("identity", "reshape", "other", "concatenate", "add", "max_pool")
    assert graph.sources(graph.layers[1], lambda node: node.kind in passed) == graph.of_kind("activation")
    assert graph.sources(graph.layers[0], lambda node: True) == graph.of_kind("input")


def test_a_module_in_two_places_is_called_twice_under_its_first_name() -> None:
    relu, layer = nn.ReLU(), nn.Linear(4, 4)
    graph = capture(nn.Sequential(layer, relu, layer, relu), (4,))
    assert [(node.kind, node.path) for node in graph.nodes[1:-1]] == [
        ("layer", "0"),
        ("activation", "1"),
        ("layer", "0"),
        ("activation", "1"),
    ]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.relu, "relu"),
        (torch.relu, "relu"),
        (lambda x: x.relu(), "relu"),
        (lambda x: x.clone().relu_(), "relu"),
        (lambda x: x.clamp(min=0), "relu"),
        (lambda x: torch.clamp(x, 0, 6), "relu6"),
        (lambda x: x.clamp(-1, 1), "hardtanh"),
        (F.relu6, "relu6"),
        (F.gelu, "gelu"),
        (lambda x: x.softmax(-1), "softmax"),
        (F.hardswish, "hardswish"),
        (torch.sigmoid, "sigmoid"),
    ],
)
def test_every_spelling_of_an_activation_is_one(function: object, expected: str) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)  # type: ignore[operator]

    found = capture(Net(), (4,)).of_kind("activation")
    assert [node.function for node in found] == [expected]


def test_an_identity_slot_and_dropout_are_identities() -> None:
    graph = capture(nn.Sequential(nn.Linear(4, 4), Activation("identity"), nn.Dropout(0.5)), (4,))
    assert kinds(graph) == ["input", "layer", "identity", "identity", "output"]


def test_a_weight_read_without_its_layer_is_told() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = QuantLinear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x) + F.linear(x, self.fc.weight)

    graph = capture(Tied(), (4,))
    (reader,) = graph.readers(["fc.weight"])
    assert reader.kind == "product"
    assert reader.macs == 16


class Products(nn.Module):
    """One product of another kind each time; the counts beside them are by hand, for one example of [6, 8]."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.weight = nn.Parameter(torch.randn(8, 8))
        makers = {
            "lstm": lambda: nn.LSTM(8, 5, num_layers=2, bidirectional=True, batch_first=True),
            "gru": lambda: nn.GRU(8, 5, batch_first=True),
            "rnn": lambda: nn.RNN(8, 5, batch_first=True),
            "cell": lambda: nn.LSTMCell(8, 5),
            "bilinear": lambda: nn.Bilinear(8, 8, 3),
            "conv3d": lambda: nn.Conv3d(1, 2, 3, padding=1),
            "transposed": lambda: nn.ConvTranspose1d(6, 4, 3),
            "encoder": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        }
        self.part = makers[name]() if name in makers else None

    def forward(self, x: Tensor) -> Tensor:
        match self.name:
            case "matmul":
                return x @ self.weight
            case "einsum":
                return torch.einsum("btk,nk->btn", x, self.weight)
            case "scores":
                return x @ x.transpose(1, 2)
            case "attention":
                return F.scaled_dot_product_attention(x, x, x)
            case "linear":
                return F.linear(x, self.weight)
            case "weights alone":
                return x + self.weight @ self.weight @ torch.ones(8)
        assert self.part is not None
        match self.name:
            case "cell":
                return self.part(x[:, 0])[0]
            case "bilinear":
                return self.part(x, x)
            case "conv3d":
                return self.part(x.reshape(-1, 1, 2, 3, 8))
            case "lstm" | "gru" | "rnn":
                return self.part(x)[0]
        return self.part(x)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("matmul", 6 * 8 * 8),
        ("einsum", 6 * 8 * 8),
        ("linear", 6 * 8 * 8),
        ("scores", 6 * 6 * 8),
        ("attention", 2 * 6 * 6 * 8),
        ("weights alone", 8 * 8 * 8 + 8 * 8),  # once, however many examples
        ("lstm", 2 * 6 * 4 * 5 * (8 + 5) + 2 * 6 * 4 * 5 * (10 + 5)),
        ("gru", 6 * 3 * 5 * (8 + 5)),
        ("rnn", 6 * 5 * (8 + 5)),
        ("cell", 4 * 5 * (8 + 5)),
        ("bilinear", 6 * 3 * 8 * 8),
        ("conv3d", 2 * (2 * 3 * 8) * 27),
        ("transposed", 6 * 4 * 3 * 8),
    ],
)
def test_products_that_are_no_layers_are_counted(name: str, expected: int) -> None:
    graph = capture(Products(name), (6, 8))
    assert sum(node.macs for node in graph.nodes) == expected
    assert {node.kind for node in graph.nodes if node.macs} == {"product"}


def test_an_encoder_layer_is_counted_in_evaluation_and_in_training() -> None:
    # in_proj 24·8, out_proj 8·8, scores and values 2·6·8 for each of 6 tokens; its two Linear are layers.
    expected = 6 * (24 * 8 + 8 * 8 + 2 * 6 * 8)
    for training in (False, True):
        graph = capture(Products("encoder"), (6, 8), training=training)
        assert sum(node.macs for node in graph.nodes) == expected
        assert [node.path for node in graph.layers] == ["part.linear1", "part.linear2"]


class Depends(nn.Module):
    """A forward whose path depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        return y if y.sum() > 0 else -y


def test_control_flow_by_data_is_refused_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UncapturedError, match=r"operations of Depends cannot be read \(Depends\.forward, line \d+\)"):
        capture(Depends(), (4,))
    assert capsys.readouterr() == ("", "")


class Branches(nn.Module):
    """A forward whose branches are in the exported program itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y - 1, (x,))


def test_branches_within_the_program_are_refused() -> None:
    with pytest.raises(UncapturedError, match="whose branches the data chooses between"):
        capture(Branches(), (4,))


def test_an_example_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UncapturedError, match="expected 3 inputs, got shape"):
        capture(nn.Sequential(nn.Linear(3, 4)), (4,))


def test_token_numbers_are_an_example() -> None:
    network = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    graph = capture(network, torch.zeros(3, 7, dtype=torch.int64))
    assert [node.shape for node in graph.layers] == [(2, 7, 4), (2, 7, 2)]


def test_the_network_stays_as_it_was() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Functions(), nn.ReLU(), nn.Unflatten(1, (5, 1)), nn.LSTM(1, 2, batch_first=True))
    network[0].train()
    assert isinstance(network[0], Functions)
    network[0].norm.eval()
    network[1].eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    forwards = [vars(module).get("forward") for module in network.modules()]
    random = torch.get_rng_state()
    for training in (False, True):
        capture(network, (3, 8, 8), training=training)
    assert [module.training for module in network.modules()] == modes
    assert [vars(module).get("forward") for module in network.modules()] == forwards
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    x = torch.randn(2, 3, 8, 8)
    network.eval()
    expected = network(x)[0]
    copied = copy.deepcopy(network)
    assert torch.equal(copied(x)[0], expected)


def test_a_counter_of_calls_is_put_back() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0
            self.seen: list[int] = []

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.seen.append(1)
            return x + 1

    network = Counts()
    capture(network, (4,))
    assert (network.calls, network.seen) == (0, [])


@pytest.mark.parametrize("rectify", [nn.ReLU(inplace=True), F.relu_, Activation(inplace=True)])
def test_what_is_written_in_place_is_read_as_it_is_then(rectify: object) -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.rectify = rectify

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x)
            z = self.rectify(y)  # type: ignore[operator]
            return z + y  # y is the ReLU's result, too

    graph = capture(Shortcut(), (4,))
    (activation,), (add,) = graph.of_kind("activation"), graph.of_kind("add")
    assert graph.producers(add) == [activation, activation]
    assert [user.kind for user in graph.users(graph.layers[0])] == ["activation"]


def test_a_write_into_a_part_is_refused_where_the_whole_is_read() -> None:
    class Writes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x + 1
            y[:, 0].relu_()
            return y * 2

    with pytest.raises(UncapturedError, match="writes in place into a view of add"):
        capture(Writes(), (4,))


def test_a_layer_with_a_forward_set_on_it_is_looked_into() -> None:
    network = nn.Sequential(nn.Linear(4, 4))
    network[0].forward = lambda x: x @ network[0].weight  # type: ignore[method-assign]
    graph = capture(network, (4,))
    assert [(node.kind, node.path, node.macs) for node in graph.of_kind("layer", "product")] == [("product", "0", 16)]


def test_threads_capture_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Layers of one name and of different sizes; and the standard streams are the process's own again."""
    networks = {width: nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2)) for width in (4, 5, 6)}
    found: dict[int, Graph] = {}
    threads = [
        threading.Thread(target=lambda width, network: found.__setitem__(width, capture(network, (3,))), args=each)
        for each in networks.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {width: [node.shape for node in graph.layers] for width, graph in found.items()} == {
        width: [(2, width), (2, 2)] for width in (4, 5, 6)
    }
    print("heard")
    assert capsys.readouterr().out == "heard\n"


def test_a_capture_within_a_capture_is_refused() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            capture(nn.Sequential(nn.Linear(3, 3)), (3,))
            return self.fc(x)

    network = Nested()
    with pytest.raises(UncapturedError, match="one capture within another"):
        capture(network, (3,))
    assert "forward" not in vars(network.fc)
    assert len(capture(network.fc, (3,)).layers) == 1
