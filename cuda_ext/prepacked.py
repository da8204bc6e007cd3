"""Weights arranged once for the kernels of this machine; the plain layout remains the form to exchange and save."""

from dataclasses import dataclass

from torch import Tensor

from cuda_ext import runtime


@dataclass(frozen=True)
class Prepacked:
    """Weights in the arrangement of one path; made by `prepack` and `prepack_int8`, taken wherever weights are.

    data: the arrangement, int32 [size], opaque; shape: that of the plain weights without the packed dimension, [N] or
    [O, kh, kw]; k: signs of a row (of a pixel for convolutions), or int8 values; path: the CPU path it belongs to, or
    `reference` where data is the plain tensor itself, as it is on every other device.
    """

    data: Tensor
    shape: tuple[int, ...]
    k: int
    kind: str
    path: str

    @property
    def plain(self) -> bool:
        return self.path == runtime.REFERENCE

    @property
    def nbytes(self) -> int:
        """Resident bytes of the arrangement."""
        return self.data.numel() * self.data.element_size()
