"""Distillation: a loss that compares with a teacher's scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from qbench.schemes.named import NamedSpec
from qbench.training.losses.registry import LOSSES, build_loss, needs_teacher


@LOSSES.register("distillation")
class Distillation:
    """The loss of a student that imitates a teacher: `w·T²·KL(p ‖ q) + (1 - w)·label loss`.

    p = softmax(t/T) are the teacher's classes and q = softmax(y/T) the student's; KL(p ‖ q) = Σ_c p_c·log(p_c/q_c), the
    mean over examples. T² keeps its gradient's size as T grows. With w = 1 and T = 1, the defaults, it is ReActNet's
    distributional loss.

    Args:
        classes: of the data.
        teacher: the scheme that a trial trains first, on the same data, for as long, from the same seed.
        teacher_options: fields of that scheme to replace; of the training keys, learning_rate and learning_rate_end.
        temperature: T, above 0.
        weight: w, 0 to 1.
        label_loss: of the scores and labels, a name or `{name, options}`; at w = 1 it is not computed.

    Raises:
        ValueError: an option out of range.

    Source: Hinton et al., Distilling the knowledge in a neural network, arXiv 1503.02531, section 2; Liu et al.,
    ReActNet, arXiv 2003.03488, section 4.3.
    """

    needs_teacher = True

    def __init__(
        self,
        classes: int,
        *,
        teacher: str = "fp32",
        teacher_options: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        weight: float = 1.0,
        label_loss: str | Mapping[str, Any] = "cross_entropy",
    ) -> None:
        if not isinstance(teacher, str):
            raise ValueError(f"teacher must be a scheme's name, got {teacher!r}")
        if not isinstance(teacher_options or {}, Mapping):
            raise ValueError(f"teacher_options must be a mapping, got {teacher_options!r}")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must be 0 to 1, got {weight}")
        self.teacher = teacher
        self.teacher_options = dict(teacher_options or {})
        self.temperature = float(temperature)
        self.weight = float(weight)
        named = label_loss if isinstance(label_loss, str) else NamedSpec.model_validate(label_loss)
        self.label_loss = build_loss(named, classes)
        if needs_teacher(self.label_loss):
            raise ValueError(f"label_loss {named} takes a teacher's scores, too")

    def __call__(self, scores: Tensor, labels: Tensor, teacher_scores: Tensor) -> Tensor:
        """Return the loss of a batch, []: scores and the teacher's, float [B, classes], labels int64 [B]."""
        student = F.log_softmax(scores / self.temperature, dim=1)
        teacher = F.log_softmax(teacher_scores / self.temperature, dim=1)
        divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
        soft = self.weight * self.temperature**2 * divergence
        if self.weight == 1:
            return soft
        return soft + (1 - self.weight) * self.label_loss(scores, labels)
