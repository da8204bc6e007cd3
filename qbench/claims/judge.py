"""The verdict on a claim, and the rules that lead to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qbench.report.statistics.significance import SIGNIFICANCE

Values = Mapping[str, Any]
"""What evidence gives for a claim: plain values by name."""
Verdict = Literal[
    "confirmed", "not confirmed", "differs", "short run", "other settings", "incomplete", "other machine", "misread",
    "cited only", "not run",
]  # fmt: skip
VERDICTS: dict[Verdict, str] = {
    "confirmed": "the value here meets the claim's rule",
    "not confirmed": "the value here, obtained as the claim asks, does not meet the rule",
    "differs": "the value here lies outside the stated tolerance, to either side",
    "short run": "trained for fewer epochs than the paper: shown, never judged",
    "other settings": "obtained otherwise than the claim asks, or its settings are not published: shown, not judged",
    "incomplete": "a planned seed failed or has not run, or there is only one: shown, not judged",
    "other machine": "a GPU's value, measured on a CPU: shown, not judged",
    "misread": "the statement says something else than its source",
    "cited only": "a value of others, quoted: this project does not train or measure it",
    "not run": "nothing here yet",
}
LEAST_SEEDS = 2  # a single seed has no spread: it can neither confirm nor refute a mean


@dataclass(frozen=True)
class Judge:
    """A rule for a verdict.

    Attributes:
        rule: the rule in words.
        decide: the rule as a function of the evidence's values.
    """

    rule: str
    decide: Callable[[Values], Verdict]


def within(expected: float, tolerance: float, rule: str, key: str = "value") -> Judge:
    """Return the rule: `confirmed` where |value - expected| <= tolerance, else `differs`."""
    return Judge(rule, lambda values: "confirmed" if abs(values[key] - expected) <= tolerance else "differs")


def all_of(rule: str, *judges: Judge) -> Judge:
    """Return the rule: `confirmed` where every one of `judges` confirms, else their first other verdict."""

    def decide(values: Values) -> Verdict:
        verdicts = [judge.decide(values) for judge in judges]
        return next((verdict for verdict in verdicts if verdict != "confirmed"), "confirmed")

    return Judge(rule, decide)


def at_most(limit: float, rule: str, key: str = "value") -> Judge:
    """Return the rule: `confirmed` where value <= limit, else `not confirmed`."""
    return Judge(rule, lambda values: "confirmed" if values[key] <= limit else "not confirmed")


def at_least(limit: float, rule: str, key: str = "value") -> Judge:
    """Return the rule: `confirmed` where value >= limit, else `not confirmed`."""
    return Judge(rule, lambda values: "confirmed" if values[key] >= limit else "not confirmed")


def holds(rule: str, key: str = "value") -> Judge:
    """Return the rule for an identity: `confirmed` where the value is True, else `not confirmed`."""
    return Judge(rule, lambda values: "confirmed" if values[key] is True else "not confirmed")


def trained(inner: Judge) -> Judge:
    """Return `inner` for trainings alone: it judges those at the paper's settings, of two seeds or more, all finished.

    Others are `short run`, `other settings` or `incomplete`; the first of these that applies.
    """

    def decide(values: Values) -> Verdict:
        if values["standing"] == "short":
            return "short run"
        if values["standing"] == "other":
            return "other settings"
        if not values["complete"] or values["seeds"] < LEAST_SEEDS:
            return "incomplete"
        return inner.decide(values)

    return Judge(f"{inner.rule}; two seeds or more, none planned that failed or is missing", decide)


def on_gpu(inner: Judge) -> Judge:
    """Return `inner` for a GPU's times alone: what a CPU ran is `other machine`."""
    return Judge(
        f"{inner.rule}; judged on a GPU only",
        lambda values: inner.decide(values) if values["device"] == "cuda" else "other machine",
    )


def beats() -> Judge:
    """Return the rule: `confirmed` where the first has the lower error by both tests of `PairedTest`.

    Over seeds: t-test, p < 0.05. Over images: by McNemar's exact test with p·seeds < 0.05 (Bonferroni), the first is
    better in at least one seed, and the second in none.
    """

    def decide(values: Values) -> Verdict:
        by_seeds = values["p_seeds"] is not None and values["p_seeds"] < SIGNIFICANCE
        by_images = values["p_images"] < SIGNIFICANCE and not values["p_images_against"] < SIGNIFICANCE
        return "confirmed" if values["difference"] > 0 and by_seeds and by_images else "not confirmed"

    return Judge("confirmed if better with p < 0.05 both over seeds (paired t) and over images (McNemar)", decide)


def always(verdict: Verdict, rule: str = "") -> Judge:
    """Return the rule that gives one verdict, whatever the values."""
    return Judge(rule, lambda _: verdict)


def quoted(expected: Any, key: str = "value") -> Judge:
    """Return the rule: `cited only` where the program's constant is the value that it quotes, else `differs`."""
    return Judge("", lambda values: "cited only" if values[key] == expected else "differs")
