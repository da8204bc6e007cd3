"""The check that two training processes stay equal; run as a module, it is one of them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from quantizers.base import Quantizer
from quantizers.contract.examples import ordinary
from quantizers.contract.fault import first, number, raised
from quantizers.contract.subject import Subject

_RANKS, _STEPS, _SECONDS = 2, 3, 120
_RATE = 0.01


def rank_faults(subjects: Sequence[Subject]) -> list[str | None]:
    """Train each quantizer in two processes, and return where they end unequal; None where they do not.

    Inputs are other ones in each process, weights the same in both, as where batches are divided; gradients are
    averaged, as `DistributedDataParallel` does it. Parameters, buffers and evaluation must then be equal.
    """
    pickled: list[bytes | str] = []
    for subject in subjects:
        try:
            pickled.append(pickle.dumps((subject.fresh(), subject.role, subject.shape)))
        except Exception as error:
            pickled.append(f"{raised(error, 'pickle')}: define the class at the top level of a module")
    sent = [each for each in pickled if isinstance(each, bytes)]
    answers = iter(_run(sent) if sent else [])
    return [each if isinstance(each, str) else next(answers) for each in pickled]


def _run(quantizers: Sequence[bytes]) -> list[str | None]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "quantizers.pickle").write_bytes(pickle.dumps(quantizers))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "quantizers.contract.processes", name]
        ranks = [
            subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True)
            for rank in range(_RANKS)
        ]
        try:
            errors = [process.communicate(timeout=_SECONDS)[1] for process in ranks]
        except subprocess.TimeoutExpired:
            for process in ranks:
                process.kill()
                process.wait()
            text = f"two processes wait for each other for more than {_SECONDS} s: every rank must reduce in every step"
            return [text] * len(quantizers)
        if any(process.returncode for process in ranks):
            last = next(error for process, error in zip(ranks, errors, strict=True) if process.returncode)
            return [f"a process ended with: {(last.strip().splitlines() or ['no message'])[-1]}"] * len(quantizers)
        found = [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(_RANKS)]  # noqa: S301
        return [_unequal(*each) for each in zip(*found, strict=True)]


def _unequal(one: dict[str, Tensor] | str, two: dict[str, Tensor] | str) -> str | None:
    if isinstance(one, str):
        return one
    if isinstance(two, str):
        return two
    for name, ours in one.items():
        theirs = two.get(name)
        if theirs is None or ours.shape != theirs.shape:
            return f"{name} exists, or has its shape, in one of two processes alone"
        if not torch.equal(ours, theirs):
            place = first(ours != theirs)
            return (
                f"after {_STEPS} training steps in two processes {name} is {number(ours, place)} in one and "
                f"{number(theirs, place)} in the other: reduce what follows a batch over the ranks "
                "(quantizers.ranks.sum_over_ranks)"
            )
    return None


def _trained(pickled: bytes, rank: int) -> dict[str, Tensor] | str:
    """Return what a quantizer is after the training of one rank; an error as its text."""
    try:
        quantizer, role, shape = pickle.loads(pickled)  # noqa: S301 - written by the process that started this one
        return _states(quantizer, role, shape, rank)
    except Exception as error:
        return raised(error, "training in two processes")


def _states(quantizer: Quantizer, role: str, shape: tuple[int, ...], rank: int) -> dict[str, Tensor]:
    if quantizer.needs_calibration:  # nothing of it is set in training
        return {}
    quantizer.train()
    if role == "weights":
        quantizer.expect_shape(shape)
    quantizer.on_epoch(0, 1)
    for step in range(_STEPS):
        seed = step if role == "weights" else step * _RANKS + rank
        x = ordinary(shape, seed).mul_(1 + seed).requires_grad_()
        torch.manual_seed(1000 * rank + step)
        result = quantizer(x)
        if result.requires_grad:
            result.sum().backward()
        with torch.no_grad():
            for parameter in quantizer.parameters():
                grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                dist.all_reduce(grad)
                parameter.sub_(grad, alpha=_RATE / _RANKS)
                parameter.grad = None
    with torch.no_grad():
        values = {"evaluation": quantizer.eval()(ordinary(shape, 99))}
    own: list[tuple[str, Any]] = [*quantizer.named_parameters(), *quantizer.named_buffers()]
    return values | {name: tensor.detach() for name, tensor in own}


def _main(folder: Path, rank: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=_RANKS)
    quantizers = pickle.loads((folder / "quantizers.pickle").read_bytes())  # noqa: S301 - see `_trained`
    found = [_trained(each, rank) for each in quantizers]
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
