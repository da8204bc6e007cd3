"""The contestants of the products: their sizes, their rows, and that they compute the same."""

import json

import pytest

import cuda_ext
from qbench.bench import products
from qbench.bench.timing import BASELINE, compare

SIZE = products.MatmulSize(m=3, k=70, n=5)


def test_sizes_of_products_have_names() -> None:
    assert products.MatmulSize(m=3, k=70, n=5).operations == 2 * 3 * 70 * 5
    with pytest.raises(TypeError, match="positional"):
        products.MatmulSize(3, 70, 5)  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot unpack"):
        _, _, _ = products.MatmulSize(m=3, k=70, n=5)  # type: ignore[misc]


def test_rows_of_a_case() -> None:
    contestants = {k: v for k, v in products.matmul_contestants(SIZE).items() if "bf16" not in k}
    rows = {r.name: r for r in compare("tiny", contestants, SIZE.operations, 1, peak=100.0)}
    assert rows[BASELINE].ratio == 1.0
    assert rows["xnor plain"].share_of_peak is not None
    assert rows["xnor plain"].gops == pytest.approx(2 * 3 * 70 * 5 / rows["xnor plain"].seconds / 1e9)
    assert rows[BASELINE].share_of_peak is None
    assert rows[BASELINE].weight_bytes == 4 * 70 * 5
    assert rows["xnor plain"].weight_bytes == 4 * 5 * cuda_ext.packed_words(70)
    json.dumps([r.to_dict() for r in rows.values()])


def test_the_packed_network_scores_as_the_float_network() -> None:
    # made only if every score is equal
    assert set(products.mlp_contestants(7, inputs=50, hidden=80, outputs=3)) == {BASELINE, "packed"}


def test_an_unknown_case_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"case: expected one of square-8192, .*mlp-BATCH, got 'conv-x'"):
        next(products.cases(["conv-x"]))
