"""Verdicts, and the rules by which they are reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Values = Mapping[str, Any]
Verdict = Literal[
    "confirmed", "not confirmed", "differs", "short run", "other settings", "incomplete", "other machine", "misread",
    "cited only", "not run",
]  # fmt: skip
VERDICTS: dict[Verdict, str] = {
    "confirmed": "the figure here meets the claim's rule",
    "not confirmed": "the figure here, obtained as the claim asks, does not meet the rule",
    "differs": "the figure here lies outside the stated tolerance, to either side",
    "short run": "trained for fewer epochs than the paper: shown, never judged",
    "other settings": "obtained otherwise than the claim asks, or its settings are not published: shown, not judged",
    "incomplete": "a planned seed failed or has not run, or there is only one: shown, not judged",
    "other machine": "a figure of a GPU, measured on a CPU: shown, not judged",
    "misread": "the statement says something else than its source",
    "cited only": "a figure of others, quoted: this project does not train or measure it",
    "not run": "nothing here yet",
}
SIGNIFICANCE = 0.05
LEAST_SEEDS = 2  # one has no spread: it neither confirms nor refutes a mean


@dataclass(frozen=True)
class Judge:
    """A rule in words, and as a function of the values that a claim's evidence holds."""

    rule: str
    decide: Callable[[Values], Verdict]


def within(expected: float, tolerance: float, rule: str, key: str = "value") -> Judge:
    """Confirmed where |value - expected| <= tolerance, else it differs."""

    def decide(values: Values) -> Verdict:
        return "confirmed" if abs(values[key] - expected) <= tolerance else "differs"

    return Judge(rule, decide)


def all_of(rule: str, *judges: Judge) -> Judge:
    """Confirmed where every one of `judges` confirms, else the first other verdict."""

    def decide(values: Values) -> Verdict:
        verdicts = [judge.decide(values) for judge in judges]
        return next((verdict for verdict in verdicts if verdict != "confirmed"), "confirmed")

    return Judge(rule, decide)


def at_most(limit: float, rule: str, key: str = "value") -> Judge:
    """Confirmed where value <= limit."""

    def decide(values: Values) -> Verdict:
        return "confirmed" if values[key] <= limit else "not confirmed"

    return Judge(rule, decide)


def at_least(limit: float, rule: str, key: str = "value") -> Judge:
    """Confirmed where value >= limit."""

    def decide(values: Values) -> Verdict:
        return "confirmed" if values[key] >= limit else "not confirmed"

    return Judge(rule, decide)


def holds(rule: str, key: str = "value") -> Judge:
    """Confirmed where the value is true; for identities, which hold or do not."""

    def decide(values: Values) -> Verdict:
        return "confirmed" if values[key] is True else "not confirmed"

    return Judge(rule, decide)


def trained(inner: Judge) -> Judge:
    """Applies `inner` only to trainings at the paper's settings, of two seeds or more, all that were planned.

    Others are `short run`, `other settings` or `incomplete`, in this order.
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
    """Applies `inner` only to what a GPU ran."""

    def decide(values: Values) -> Verdict:
        return inner.decide(values) if values["device"] == "cuda" else "other machine"

    return Judge(f"{inner.rule}; judged on a GPU only", decide)


def beats() -> Judge:
    """Confirmed where the first has the lower error by both paired tests (see `qbench.claims.significance`).

    Over seeds: t-test, p < 0.05. Over images: the first is better in at least one seed by McNemar's
    exact test with p·seeds < 0.05 (Bonferroni), and the second in none.
    """

    def decide(values: Values) -> Verdict:
        by_seeds = values["p_seeds"] is not None and values["p_seeds"] < SIGNIFICANCE
        by_images = values["p_images"] < SIGNIFICANCE and not values["p_images_against"] < SIGNIFICANCE
        return "confirmed" if values["difference"] > 0 and by_seeds and by_images else "not confirmed"

    return Judge("confirmed if better with p < 0.05 both over seeds (paired t) and over images (McNemar)", decide)


def always(verdict: Verdict, rule: str = "") -> Judge:
    """One verdict, whatever the values."""
    return Judge(rule, lambda _: verdict)


def quoted(expected: Any, key: str = "value") -> Judge:
    """`cited only` where the program's constant is the figure that it quotes, else it differs."""

    def decide(values: Values) -> Verdict:
        return "cited only" if values[key] == expected else "differs"

    return Judge("", decide)
