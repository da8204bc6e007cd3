"""One network under one scheme: what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["right", "refused", "wrong"]
"""What came of a network under a scheme."""


@dataclass(frozen=True)
class Cell:
    """One network under one scheme.

    Attributes:
        network, scheme: by name.
        verdict: "right": every call of a layer, and the result, are those of the reference. "refused": the network is
            refused by an error that names a layer or an operation. "wrong": anything else.
        message: the refusal, or what is wrong; "" where all is right.
        allow_float: what was allowed to stay in float32.
        error: the largest difference between the network's and the reference's values, over the largest of its tensor.
        error_at: where that was.
        packed_layers: layers that run packed, each of whose results was compared too.
        agreement: share of examples of which packed execution predicts the same classes; None where nothing is packed.
        quantized_share: share of the multiply-accumulates that have a quantized operand.
    """

    network: str
    scheme: str
    verdict: Verdict
    message: str = ""
    allow_float: tuple[str, ...] = ()
    error: float | None = None
    error_at: str = ""
    packed_layers: int = 0
    agreement: float | None = None
    quantized_share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {**asdict(self), "allow_float": list(self.allow_float)}
