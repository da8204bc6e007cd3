"""Independent random streams from one seed."""

from __future__ import annotations

from qbench.seeds import derive


def test_seeds_are_the_same_everywhere_and_apart() -> None:
    # The first four bytes of SHA-256 of the text `(0, 'order', 1)`, little-endian.
    assert derive(0, "order", 1) == 2720397604
    seeds = {
        derive(seed, purpose, epoch) for seed in range(20) for purpose in ("order", "weight") for epoch in range(20)
    }
    assert len(seeds) == 800
    assert all(0 <= seed < 2**32 for seed in seeds)
