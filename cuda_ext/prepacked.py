"""Weights arranged once for the kernels of this machine; the plain layout remains the form to exchange and save."""

from dataclasses import dataclass

from torch import Tensor

from cuda_ext import runtime


@dataclass(frozen=True)
class Prepacked:
    """Weights in the arrangement of one ISA; made by `prepack` and `prepack_int8`, taken wherever weights are.

    Attributes:
        data: the arrangement, int32 [size], opaque; or the plain tensor.
        shape: that of the plain weights without the packed dimension, [N] or [O, kh, kw].
        k: signs of a row (of a pixel for convolutions), or int8 values.
        kind: `matrix`, `filter` or `int8`: which operations take it.
        isa: the CPU's ISA that the arrangement belongs to, or `reference` where data is the plain tensor itself, as it
            is on every other device.
    """

    data: Tensor
    shape: tuple[int, ...]
    k: int
    kind: str
    isa: str

    @property
    def plain(self) -> bool:
        """Whether `data` is the plain tensor."""
        return self.isa == runtime.REFERENCE

    @property
    def nbytes(self) -> int:
        """Resident bytes of `data`."""
        return self.data.numel() * self.data.element_size()
