"""All claims, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.claims import energy_prices, repeated_filters, reported_errors, run_time, statements
from qbench.claims.claim import Claim
from qbench.errors import ConfigError, nearest

CLAIMS: tuple[Claim, ...] = (
    *reported_errors.CLAIMS,
    *run_time.CLAIMS,
    *repeated_filters.CLAIMS,
    *energy_prices.CLAIMS,
    *statements.CLAIMS,
)


def chosen(only: Sequence[str]) -> tuple[Claim, ...]:
    """The claims of these ids, in the order of CLAIMS; all for none.

    Raises:
        ConfigError: an unknown id, with the nearest.
    """
    known = [claim.id for claim in CLAIMS]
    for id in only:
        if id not in known:
            raise ConfigError(f"unknown claim {id!r}{nearest(id, known)}", "--only")
    return tuple(claim for claim in CLAIMS if not only or claim.id in only)
