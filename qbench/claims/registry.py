"""All claims, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.claims.claim import Claim
from qbench.claims.energy_prices import ENERGY_PRICES
from qbench.claims.repeated_filters import REPEATED_FILTERS
from qbench.claims.reported_errors import REPORTED_ERRORS
from qbench.claims.run_time import RUN_TIME
from qbench.claims.statements import STATEMENTS
from qbench.errors import ConfigError, nearest

CLAIMS: tuple[Claim, ...] = (
    *REPORTED_ERRORS,
    *RUN_TIME,
    *REPEATED_FILTERS,
    *ENERGY_PRICES,
    *STATEMENTS,
)


def chosen(only: Sequence[str]) -> tuple[Claim, ...]:
    """Return the claims of these ids, in the order of CLAIMS; all claims if none is named.

    Raises:
        ConfigError: an unknown id; the message names the nearest known one.
    """
    known = [claim.id for claim in CLAIMS]
    for id in only:
        if id not in known:
            raise ConfigError(f"unknown claim {id!r}{nearest(id, known)}", "--only")
    return tuple(claim for claim in CLAIMS if not only or claim.id in only)
