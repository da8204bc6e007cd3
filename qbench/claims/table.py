"""The table of claims: each one's evidence is computed, measured or looked up, and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from qbench.claims.claim import ByMeasurement, ByTraining, Cited, Claim, Computed
from qbench.claims.judge import Values
from qbench.claims.measurements import CannotMeasureError, run_measurement
from qbench.claims.origin import origin_now
from qbench.claims.row import ClaimRow
from qbench.claims.stored import StoredMeasurement, StoredResults

_NOT_RUN = "not run"


def measure_all(
    claims: Sequence[Claim], on_step: Callable[[int, int, str], None]
) -> Iterator[tuple[str, StoredMeasurement | str]]:
    """Run each measurement that the claims need, once; yield its name, and its result or why there is none.

    `on_step` is told, before each, its number from 1, how many there are, and what it measures.
    """
    names = dict.fromkeys(claim.evidence.name for claim in claims if isinstance(claim.evidence, ByMeasurement))
    for number, name in enumerate(names, start=1):
        ids = [claim.id for claim in claims if claim.evidence == ByMeasurement(name)]
        on_step(number, len(names), f"measuring {name} ({', '.join(ids)})")
        try:
            values = run_measurement(name)
        except CannotMeasureError as reason:
            yield name, str(reason)
        else:
            yield name, StoredMeasurement(dict(values), origin_now(f"qbench claims --run --only {ids[0]}"))


def make_rows(
    claims: Sequence[Claim], results: StoredResults, measured: Mapping[str, StoredMeasurement | str]
) -> list[ClaimRow]:
    """Return a row for each claim.

    Args:
        claims: in the order of the rows.
        results: everything that is stored.
        measured: by the measurement's name, its result in this run, which takes precedence over a stored one, or why
            there is none.
    """
    return [_row(claim, *_evidence(claim, results, measured)) for claim in claims]


def _evidence(
    claim: Claim, results: StoredResults, measured: Mapping[str, StoredMeasurement | str]
) -> tuple[Values | None, str]:
    """Return a claim's values and how they were obtained; None and why, where there are none."""
    evidence = claim.evidence
    if isinstance(evidence, Computed):
        return evidence.compute(), "computed"
    if isinstance(evidence, Cited):
        return {}, _NOT_RUN
    if isinstance(evidence, ByTraining):
        found = evidence.select(results.sweeps)
        if found is None:
            return None, _NOT_RUN
        return found.values, " and ".join(map(str, found.sweeps))
    now = measured.get(evidence.name)
    if isinstance(now, StoredMeasurement):
        return now.values, "measured in this run"
    stored = results.measurement(evidence.name)
    if stored is not None:
        return stored.values, str(stored.origin)
    return None, _NOT_RUN if now is None else f"{_NOT_RUN}: {now}"


def _row(claim: Claim, values: Values | None, how: str) -> ClaimRow:
    return ClaimRow(
        id=claim.id,
        section=claim.section,
        statement=claim.statement,
        rule=claim.judge.rule,
        source=claim.source,
        paper=claim.paper,
        here="-" if values is None else claim.show(values),
        how=how,
        verdict="not run" if values is None else claim.judge.decide(values),
    )
