"""The registrations themselves: opcheck, and torch.compile without a graph break."""

from typing import Any

import pytest
import torch

import cuda_ext
from cuda_ext.schemas import PREPACKED_SCHEMAS, SCHEMAS

torch.manual_seed(0)
K = 70
A, B = cuda_ext.pack_signs(torch.randn(3, K)), cuda_ext.pack_signs(torch.randn(5, K))
IMAGE, FILTER = cuda_ext.pack_signs(torch.randn(2, 5, 6, 40)), cuda_ext.pack_signs(torch.randn(5, 3, 3, 40))
TAU, UP = torch.zeros(5, dtype=torch.int32), torch.tensor([1, -1, 0, 1, 1], dtype=torch.int8)
WINDOW = (40, [2, 1], [1, 1], [1, 1], 0)

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "pack_signs": (torch.randn(3, K),),
    "pack_signs_stochastic": (torch.randn(3, K), torch.tensor([1, 2])),
    "unpack_signs": (A, K),
    "xnor_matmul": (A, B, K),
    "xnor_matmul_scale": (A, B, K, torch.randn(5), torch.randn(5)),
    "xnor_matmul_sign": (A, B, K, TAU, UP),
    "xnor_conv2d": (IMAGE, FILTER, *WINDOW),
    "xnor_conv2d_scale": (IMAGE, FILTER, *WINDOW, torch.randn(5), torch.randn(5)),
    "xnor_conv2d_sign": (IMAGE, FILTER, *WINDOW, TAU, UP),
    "binary_weight_matmul": (torch.randn(3, K, requires_grad=True), B, K),
    "bitplane_matmul": (torch.randint(0, 256, (3, K), dtype=torch.uint8), B, K),
    "int8_matmul": (
        torch.randint(-128, 128, (3, K), dtype=torch.int8),
        torch.randint(-128, 128, (5, K), dtype=torch.int8),
    ),
    "sign_threshold_pack": (torch.randn(3, 5), torch.zeros(5), UP),
}


MATRIX, FILTERS = cuda_ext.prepack(B, K).data, cuda_ext.prepack(FILTER, 40).data

PREPACKED_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "xnor_matmul_prepacked": (A, MATRIX, 5, K),
    "xnor_matmul_sign_prepacked": (A, MATRIX, 5, K, TAU, UP),
    "xnor_conv2d_prepacked": (IMAGE, FILTERS, [5, 3, 3], *WINDOW),
    "xnor_conv2d_sign_prepacked": (IMAGE, FILTERS, [5, 3, 3], *WINDOW, TAU, UP),
    "binary_weight_matmul_prepacked": (torch.randn(3, K), MATRIX, 5, K),
    "bitplane_matmul_prepacked": (ARGUMENTS["bitplane_matmul"][0], MATRIX, 5, K),
    "int8_matmul_prepacked": (
        ARGUMENTS["int8_matmul"][0],
        cuda_ext.prepack_int8(ARGUMENTS["int8_matmul"][1]).data,
        5,
    ),
}


def test_every_operation_has_arguments_here() -> None:
    assert set(ARGUMENTS) == set(SCHEMAS)
    arranging = {"prepack_signs", "prepack_int8"}  # sized by the ISA: no fake kernel, never traced
    assert set(PREPACKED_ARGUMENTS) | arranging == set(PREPACKED_SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_opcheck(name: str) -> None:
    torch.library.opcheck(getattr(torch.ops.cuda_ext, name).default, ARGUMENTS[name])


@pytest.mark.skipif(not cuda_ext.backends()["cpu"].available, reason="no compiled kernels here")
@pytest.mark.parametrize("name", PREPACKED_ARGUMENTS)
def test_opcheck_of_prepacked(name: str) -> None:
    torch.library.opcheck(getattr(torch.ops.cuda_ext, name).default, PREPACKED_ARGUMENTS[name])


def network(x: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor, tau: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    hidden = cuda_ext.xnor_matmul_sign(cuda_ext.pack_signs(x), w1, K, tau, up)
    return cuda_ext.xnor_matmul(hidden, w2, 5).to(torch.float32) * 0.5


def test_compile_without_graph_breaks() -> None:
    x, w2 = torch.randn(3, K), cuda_ext.pack_signs(torch.randn(4, 5))
    # aot_eager: traces through the fake kernels and functionalizes, and needs no C++ compiler
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, B, w2, TAU, UP), network(x, B, w2, TAU, UP))
    x = torch.randn(9, K)
    assert torch.equal(compiled(x, B, w2, TAU, UP), network(x, B, w2, TAU, UP))


def test_compile_with_prepacked_weights() -> None:
    weights = cuda_ext.prepack(B, K)

    def layer(x: torch.Tensor) -> torch.Tensor:
        return cuda_ext.xnor_matmul(cuda_ext.pack_signs(x), weights, K)

    x = torch.randn(3, K)
    assert torch.equal(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), layer(x))


def test_compile_with_inductor() -> None:
    x, w2 = torch.randn(3, K), cuda_ext.pack_signs(torch.randn(4, 5))
    compiled = torch.compile(network, fullgraph=True)
    assert torch.equal(compiled(x, B, w2, TAU, UP), network(x, B, w2, TAU, UP))


def test_export() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return cuda_ext.xnor_matmul(cuda_ext.pack_signs(x), B, K)

    x = torch.randn(3, K)
    program = torch.export.export(Net(), (x,), dynamic_shapes=({0: torch.export.Dim("batch", max=1000)},))
    x = torch.randn(8, K)
    assert torch.equal(program.module()(x), Net()(x))
