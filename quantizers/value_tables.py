"""Published sets of 4-bit values."""

from __future__ import annotations

from types import MappingProxyType

_NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
_E2M1 = (-6.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

VALUE_TABLES = MappingProxyType({"nf4": _NF4, "e2m1": _E2M1})
"""Built-in tables by name.

- `nf4`, NormalFloat: quantiles of the normal distribution, so that each of 16 values serves as many of its weights.
  8 are positive, 7 negative, and one is 0. QLoRA (Dettmers et al., arXiv 2305.14314) eq. 4 and appendix E.
- `e2m1`: floating point with a sign, 2 bits of exponent and 1 of mantissa. OCP Microscaling Formats (MX) specification
  1.0 (2023) section 5.3.3. Its two zeros are one value here: there are 15.
"""
