"""What a module's validation measures: the right predictions and the mean loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from inspect import getattr_static
from typing import Protocol

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from qbench.data.classification import check_scores, count_right
from qbench.data.splits import Part

Loss = Callable[[Tensor, Tensor], Tensor]


class Classifier(Protocol):
    """What validation asks of a QuantModule."""

    @property
    def knows_its_loss(self) -> bool:
        """Whether `batch_loss` has all that it needs."""
        ...

    def scores(self, images: Tensor) -> Tensor:
        """Return the scores [B, classes] of a batch."""
        ...

    def batch_loss(self, scores: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch whose scores are known."""
        ...

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the training loss of a batch."""
        ...

    def silent(self) -> AbstractContextManager[None]:
        """Log nothing while the context lasts."""
        ...

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the modules within, by name."""
        ...


@torch.no_grad()
def validate(module: Classifier, part: Part) -> dict[str, float]:
    """Return `val/accuracy` and `val/loss` of a module in evaluation mode: means over the part's examples.

    The device is waited for once, at the end.

    Raises:
        ZeroDivisionError: no examples.
        ScoresError: the network gives no scores [B, classes].
    """
    right: Tensor | int = 0
    total: Tensor | float = 0.0
    count = 0
    for images, labels in part.batches():
        scores, loss = scores_and_loss(module, images, labels)
        right = right + count_right(scores, labels)
        assert loss is not None  # training has asked for a teacher
        total = total + loss.reshape(()).double() * len(labels)
        count += len(labels)
    return {"val/accuracy": int(right) / count, "val/loss": float(total) / count}


def scores_and_loss(module: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the scores of a batch, [B, classes], and its loss, [], in one forward pass.

    The loss is `batch_loss`, None where that lacks its teacher; where a subclass computes another one by overriding
    `loss`, it is that, which runs the network once more: see `_own_loss`.
    """
    scores = module.scores(images)
    check_scores(scores, labels)
    own = _own_loss(module)
    if own is not None:
        return scores, _watched(module, own, images, labels)
    return scores, module.batch_loss(scores, images, labels) if module.knows_its_loss else None


def _own_loss(module: Classifier) -> Loss | None:
    """Return the `loss` that a subclass (or the instance) has in place of QuantModule's; None where it has none.

    None as well where the same class, or one that inherits from it, says by `loss_of_scores` what evaluation takes.
    """
    own: Loss | None = vars(module).get("loss")
    own = getattr(own, "_torchdynamo_orig_callable", own)  # compiled for the training
    order = [vars(kind) for kind in type(module).__mro__]
    if getattr(own, "__func__", own) not in (None, getattr_static(type(module), "loss")):
        return own
    place, scored = (next(i for i, names in enumerate(order) if name in names) for name in ("loss", "loss_of_scores"))
    return type(module).loss.__get__(module) if place < scored else None


@torch.compiler.disable
def _watched(module: Classifier, loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
    """Return a loss that was written for training: what it logs, counts or draws at random leaves no trace.

    It may ask `self.training`, which is False.
    """
    on_cuda = [images.device.index] if images.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=on_cuda), module.silent(), _metrics_put_aside(module):
        try:
            return loss(images, labels).detach()
        except RuntimeError as error:
            error.add_note(
                f"qbench calls {type(module).__name__}.loss in evaluation too, without gradients, for val/loss; there "
                "self.training is False, or override loss_of_scores(scores, labels), which is then called in its place"
            )
            raise


@contextmanager
def _metrics_put_aside(module: Classifier) -> Iterator[None]:
    """Put copies in the places of the module's own metrics while the context lasts."""
    before = {name: each for name, each in module.named_children() if isinstance(each, Metric | MetricCollection)}
    try:
        for name, metric in before.items():
            setattr(module, name, copy.deepcopy(metric))
        yield
    finally:
        for name, metric in before.items():
            setattr(module, name, metric)
