"""The matrix as text."""

from __future__ import annotations

from qbench.conformance.cell import Cell
from qbench.conformance.text import LEGEND, matrix_text

RIGHT = Cell("net", "fp32", "right", error=2.3e-7, error_at="fc", quantized_share=0.0)
PACKED = Cell("net", "sign", "right", error=1e-6, packed_layers=2, agreement=0.999, quantized_share=1.0)
REFUSED = Cell("lstm", "sign", "refused", "lstm (LSTM) would stay float32")
ALLOWED = Cell("lstm", "sign", "right", allow_float=("lstm",), error=1e-7, quantized_share=0.0036)
WRONG = Cell("lstm", "fp32", "wrong", "fc: off by 0.5")


def test_a_row_for_each_network_and_a_second_for_what_was_allowed() -> None:
    assert (
        matrix_text([RIGHT, PACKED, WRONG, REFUSED, ALLOWED])
        == f"""\
          fp32         sign
net       right 2e-07  right 1e-06
          - / 0%       99% / 100%
lstm      WRONG [1]    refused [2]
  + lstm               right 1e-07
                       - / 0%

{LEGEND}

[1] fc: off by 0.5
[2] lstm (LSTM) would stay float32

3 right, 1 refused by name, 1 wrong"""
    )


def test_equal_messages_have_one_number() -> None:
    cells = [Cell("net", scheme, "refused", "fc is shared") for scheme in ("a", "b")]
    text = matrix_text(cells)
    assert text.count("[1] fc is shared") == 1
    assert "[2]" not in text


def test_what_was_allowed_from_the_first_on_names_the_network() -> None:
    assert matrix_text([ALLOWED]).splitlines()[1].startswith("lstm  right 1e-07")
