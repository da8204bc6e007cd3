"""Losses by name: their values by formula in float64, and what is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.schemes.named import NamedSpec
from qbench.training.losses.catalogue import LOSSES, build_loss, needs_teacher
from qbench.training.losses.distillation import Distillation
from qbench.training.losses.hinge import hinge

CLASSES = 5


def batch(count: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Return (scores, labels, a teacher's scores)."""
    generator = torch.Generator().manual_seed(3)
    scores, teacher = (torch.randn(count, CLASSES, generator=generator, dtype=torch.float64) * 2 for _ in range(2))
    return scores, torch.randint(0, CLASSES, (count,), generator=generator), teacher


def cross_entropy_by_hand(scores: Tensor, labels: Tensor, smoothing: float) -> float:
    log_q = log_softmax(scores.numpy(), axis=1)
    wanted = np.full(log_q.shape, smoothing / CLASSES)
    wanted[np.arange(len(labels)), labels.numpy()] += 1 - smoothing
    return float(-(wanted * log_q).sum(1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_the_formula(smoothing: float) -> None:
    scores, labels, _ = batch()
    loss = build_loss(NamedSpec(name="cross_entropy", options={"label_smoothing": smoothing}), CLASSES)
    assert loss(scores, labels).item() == pytest.approx(cross_entropy_by_hand(scores, labels, smoothing))


def test_hinge_by_hand() -> None:
    scores = torch.tensor([[2.0, 0.5, -3.0]])
    # max(0, 1 - 2), max(0, 1 + 0.5), max(0, 1 - 3)
    assert hinge(scores, torch.tensor([0])).item() == pytest.approx((0 + 1.5 + 0) / 3)


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 1.0), (4.0, 1.0), (4.0, 0.9), (0.5, 0.25), (2.0, 0.0)])
def test_distillation_is_hintons_formula(temperature: float, weight: float) -> None:
    scores, labels, teacher = batch()
    loss = Distillation(CLASSES, temperature=temperature, weight=weight)
    p, q = (softmax(each.numpy() / temperature, axis=1) for each in (teacher, scores))
    soft = entropy(p, q, axis=1).mean()  # scipy's relative entropy, KL(p ‖ q)
    expected = weight * temperature**2 * soft + (1 - weight) * cross_entropy_by_hand(scores, labels, 0.0)
    assert loss(scores, labels, teacher).item() == pytest.approx(expected)


def test_distillation_has_no_gradient_for_a_student_that_is_its_teacher() -> None:
    scores, labels, _ = batch()
    scores.requires_grad_()
    found = Distillation(CLASSES, temperature=3.0)(scores, labels, scores.detach())
    found.backward()
    assert found.item() == pytest.approx(0, abs=1e-12)
    assert scores.grad is not None
    assert scores.grad.abs().max() < 1e-12


def test_distillation_takes_another_label_loss() -> None:
    scores, labels, teacher = batch()
    options = {"weight": 0.0, "label_loss": {"name": "cross_entropy", "options": {"label_smoothing": 0.2}}}
    loss = build_loss(NamedSpec(name="distillation", options=options), CLASSES)
    assert needs_teacher(loss)
    assert loss(scores, labels, teacher).item() == pytest.approx(cross_entropy_by_hand(scores, labels, 0.2))
    assert Distillation(CLASSES, weight=0.0, label_loss="hinge")(scores, labels, teacher) == hinge(scores, labels)


@pytest.mark.parametrize("name", list(LOSSES))
def test_losses_copy_and_pickle(name: str) -> None:
    scores, labels, teacher = batch()
    loss = build_loss(name, CLASSES)
    arguments = (scores, labels, teacher) if needs_teacher(loss) else (scores, labels)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):  # noqa: S301
        assert torch.equal(other(*arguments), loss(*arguments))


def with_margin(classes: int, margin: float) -> Any:
    assert classes == CLASSES
    return lambda scores, labels: scores.mean() + margin


def without_classes(margin: float = 1.0) -> Any:
    return lambda scores, labels: scores.mean()


def of_each(scores: Tensor, labels: Tensor) -> Tensor:
    return scores.mean(1)


@pytest.mark.parametrize(
    ("path", "options", "expected"),
    [
        ("torch.nn.CrossEntropyLoss", {"label_smoothing": 0.2}, 0.2),
        ("torch.nn.functional.cross_entropy", {}, 0.0),
        ("torch.nn.functional.cross_entropy", {"label_smoothing": 0.2}, 0.2),
    ],
)
def test_torchs_losses_by_dotted_path(path: str, options: dict[str, Any], expected: float) -> None:
    scores, labels, _ = batch()
    found = build_loss(NamedSpec(name=path, options=options), CLASSES)(scores, labels)
    assert found.item() == pytest.approx(cross_entropy_by_hand(scores, labels, expected))


def test_what_builds_a_loss_is_told_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES._items, "margin", with_margin)
    scores, labels, _ = batch()
    found = build_loss(NamedSpec(name="margin", options={"margin": 2.0}), CLASSES)(scores, labels)
    assert found.item() == pytest.approx(scores.mean().item() + 2)


def test_a_loss_is_tried_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
            self.count += 1
            return scores.mean() + torch.rand(())

    monkeypatch.setitem(LOSSES._items, "counting", Counting)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    loss: Any = build_loss("counting", CLASSES)
    assert loss.count == 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cross_entropi", {}, "loss: unknown loss 'cross_entropi'; did you mean 'cross_entropy'"),
        ("cross_entropy", {"smoothing": 0.1}, "loss 'cross_entropy' has no option 'smoothing'"),
        ("cross_entropy", {"label_smoothing": 2.0}, "fails on scores"),
        ("cross_entropy", {"scores": 1}, "has no option 'scores'"),
        ("distillation", {"temperature": 0}, "temperature must be above 0, got 0"),
        ("distillation", {"weight": 1.5}, "weight must be 0 to 1, got 1.5"),
        ("distillation", {"label_loss": "distillation"}, "takes a teacher's scores, too"),
        ("distillation", {"label_loss": "hing"}, "did you mean 'hinge'"),
        ("distillation", {"teacher": 3}, "teacher must be a scheme's name"),
        ("distillation", {"teachers": "fp32"}, "did you mean 'teacher'"),
        ("torch.nn.functional.nosuch", {}, "has no attribute 'nosuch'"),
        ("math.pi", {}, "'math.pi' is float"),
        ("margin", {}, "loss 'margin' needs its option 'margin'"),
        ("without", {}, "takes no \\(scores, labels\\); a function that builds a loss has a parameter `classes`"),
        ("each", {}, r"gives a tensor \[2\] for scores"),
    ],
)
def test_what_is_no_loss_is_refused(
    name: str, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known, found in (("margin", with_margin), ("without", without_classes), ("each", of_each)):
        monkeypatch.setitem(LOSSES._items, known, found)
    with pytest.raises(ConfigError, match=message):
        build_loss(NamedSpec(name=name, options=options), CLASSES)
