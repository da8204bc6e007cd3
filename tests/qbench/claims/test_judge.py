"""Each rule at its borders."""

import math

import pytest

from qbench.claims.judge import (
    VERDICTS,
    all_of,
    always,
    at_least,
    at_most,
    beats,
    holds,
    on_gpu,
    quoted,
    trained,
    within,
)


def above(value):
    return math.nextafter(value, math.inf)


def below(value):
    return math.nextafter(value, -math.inf)


@pytest.mark.parametrize(
    ("judge", "value", "verdict"),
    [
        (within(32, 0.5, ""), 32.5, "confirmed"),
        (within(32, 0.5, ""), 31.5, "confirmed"),
        (within(32, 0.5, ""), above(32.5), "differs"),
        (within(32, 0.5, ""), below(31.5), "differs"),
        (within(512, 0, ""), 512, "confirmed"),
        (within(512, 0, ""), 511, "differs"),
        (at_most(0.96, ""), 0.96, "confirmed"),
        (at_most(0.96, ""), above(0.96), "not confirmed"),
        (at_most(0.96, ""), math.nan, "not confirmed"),
        (at_least(3.4, ""), 3.4, "confirmed"),
        (at_least(3.4, ""), below(3.4), "not confirmed"),
        (at_least(3.4, ""), math.nan, "not confirmed"),
        (holds(""), True, "confirmed"),
        (holds(""), False, "not confirmed"),
        (holds(""), 1, "not confirmed"),
        (quoted((10, 10)), (10, 10), "cited only"),
        (quoted((10, 10)), (10, 11), "differs"),
        (always("misread"), None, "misread"),
    ],
)
def test_rules_at_their_borders(judge, value, verdict):
    assert judge.decide({"value": value}) == verdict


def test_nan_is_never_within():
    assert within(1, 10, "").decide({"value": math.nan}) == "differs"


def test_all_of_needs_all():
    judge = all_of("", within(1, 0, ""), at_most(2, "", "times"))
    assert judge.decide({"value": 1, "times": 2}) == "confirmed"
    assert judge.decide({"value": 1, "times": 3}) == "not confirmed"
    assert judge.decide({"value": 2, "times": 3}) == "differs"


@pytest.mark.parametrize("value", [0.5, 5.0])
def test_only_the_papers_settings_are_judged(value):
    judge = trained(at_most(0.96, ""))
    values = {"value": value, "standing": "paper", "seeds": 2, "complete": True}
    assert judge.decide(values | {"standing": "short"}) == "short run"
    assert judge.decide(values | {"standing": "other"}) == "other settings"
    assert judge.decide(values | {"seeds": 1}) == "incomplete"
    assert judge.decide(values | {"complete": False}) == "incomplete"
    assert judge.decide(values | {"standing": "short", "complete": False}) == "short run"
    assert judge.decide(values) == ("confirmed" if value < 0.96 else "not confirmed")


def test_a_cpu_never_confirms_a_gpus_figure():
    judge = on_gpu(at_least(3.4, ""))
    assert judge.decide({"value": 1000, "device": "cpu"}) == "other machine"
    assert judge.decide({"value": 3.4, "device": "cuda"}) == "confirmed"
    assert judge.decide({"value": 3.3, "device": "cuda"}) == "not confirmed"


BETTER = {"difference": 0.1, "p_seeds": 0.049, "p_images": 0.049, "p_images_against": 1.0}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "confirmed"),
        ({"p_seeds": 0.05}, "not confirmed"),
        ({"p_seeds": None}, "not confirmed"),
        ({"p_images": 0.05}, "not confirmed"),
        ({"p_images_against": 0.049}, "not confirmed"),
        ({"p_images_against": 0.05}, "confirmed"),
        ({"difference": 0.0}, "not confirmed"),
        ({"difference": -0.1}, "not confirmed"),
    ],
)
def test_beating_takes_both_tests(change, verdict):
    assert beats().decide(BETTER | change) == verdict


def test_every_verdict_is_explained():
    assert set(VERDICTS) >= {"confirmed", "not confirmed", "differs", "short run", "cited only", "not run"}
    assert all(VERDICTS.values())
