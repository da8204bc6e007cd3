"""ZCA whitening: a linear map after which pixels are uncorrelated and that changes images least."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from torch import Tensor

from qbench.data.folder import statistics_folder
from qbench.io import load_tensors, save_tensors

_log = logging.getLogger(__name__)
_CHUNK = 2500
_VERSION = "zca 1"  # part of the stored file's name: to be raised when the arithmetic changes

Normalize = Callable[[Tensor], Tensor]
"""Maps some images [n, ...] to float32 of the same shape."""


@dataclass(frozen=True)
class Whitening:
    """The map `y = (x - mean)·matrix` of flattened images x, with `matrix = V·diag(1/sqrt(λ + ε))·Vᵀ`.

    λ and V are the eigenvalues and eigenvectors of the covariance (over N, not N - 1) of the images it was computed
    from.

    Attributes:
        mean: float64 [D].
        matrix: float64 [D, D], symmetric.

    Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009, appendix A; pylearn2's ZCA.
    """

    mean: Tensor
    matrix: Tensor

    @staticmethod
    def of(images: Tensor, normalize: Normalize, epsilon: float) -> Whitening:
        """Compute the whitening of `normalize(images)`, in float64, from 2,500 images at a time.

        Args:
            images: [N, ...].
            normalize: what is done to images first.
            epsilon: ε, added to each variance.
        """
        size = images[0].numel()
        total = torch.zeros(size, dtype=torch.float64)
        products = torch.zeros(size, size, dtype=torch.float64)
        for chunk in images.split(_CHUNK):
            x = normalize(chunk).flatten(1).double()
            total += x.sum(0)
            products.addmm_(x.T, x)
        mean = total / len(images)
        covariance = products / len(images) - torch.outer(mean, mean)
        values, vectors = torch.linalg.eigh(covariance)
        # The smallest eigenvalues can come out near -1e-12.
        matrix = (vectors * (values.clamp_min(0) + epsilon).rsqrt()) @ vectors.T
        return Whitening(mean, (matrix + matrix.T) / 2)

    def apply(self, images: Tensor, normalize: Normalize) -> Tensor:
        """Return the whitened `normalize(images)`, float32 in the images' shape."""
        mean, matrix = self.mean.float(), self.matrix.float()
        white = torch.empty(images.shape, dtype=torch.float32)
        for start in range(0, len(images), _CHUNK):
            part = slice(start, start + _CHUNK)
            torch.mm(normalize(images[part]).flatten(1) - mean, matrix, out=white[part].view(-1, len(mean)))
        return white


def whitening_of(images: Tensor, normalize: Normalize, kind: str, epsilon: float) -> Whitening:
    """Return `Whitening.of(images, normalize, epsilon)`, from disk if it was computed before.

    The file's name is a hash of the images' bytes, `kind` and ε. One process computes; others wait for it. Where
    nothing can be written the result is computed and not kept, with a warning.

    Args:
        images, normalize, epsilon: as in `Whitening.of`.
        kind: the name of what `normalize` does.
    """
    hashed = hashlib.sha256(f"{_VERSION}\0{kind}\0{epsilon}\0{images.dtype}\0{tuple(images.shape)}\0".encode())
    hashed.update(images.contiguous().numpy().data)
    path = statistics_folder() / f"whitening-{hashed.hexdigest()[:32]}.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _stored(path, images[0].numel())
            if found is None:
                found = Whitening.of(images, normalize, epsilon)
                save_tensors({"mean": found.mean, "matrix": found.matrix}, path)
            return found
    except OSError as error:
        _log.warning("%s: the whitening cannot be kept: %s; computed for this run alone", path, error)
        return Whitening.of(images, normalize, epsilon)


def _stored(path: Path, size: int) -> Whitening | None:
    if not path.exists():
        return None
    try:
        tensors = load_tensors(path)
        found = Whitening(tensors["mean"], tensors["matrix"])
    except (SafetensorError, KeyError) as error:
        _log.warning("%s: damaged (%s); computed anew", path, error)
        return None
    if found.mean.shape != (size,) or found.matrix.shape != (size, size) or found.matrix.dtype != torch.float64:
        _log.warning("%s: damaged (other shapes); computed anew", path)
        return None
    return found
