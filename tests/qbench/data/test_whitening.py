"""ZCA whitening: what it does to a covariance, and how it is kept."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from qbench.data import whitening
from qbench.data.whitening import Whitening, whitening_of


def as_floats(images):
    return images.to(torch.float32)


def correlated(count=600):
    mix = torch.randn(12, 12) * torch.logspace(-1, 1, 12)
    return (torch.randn(count, 12) @ mix + torch.arange(12)).reshape(count, 3, 2, 2)


def test_the_covariance_becomes_the_shrunk_identity():
    """λ / (λ + ε) in each principal direction; nearly the identity for a small ε."""
    images = correlated()
    for epsilon in (1e-9, 0.5):
        fitted = Whitening.of(images, as_floats, epsilon)
        white = fitted.apply(images, as_floats).flatten(1).double().numpy()
        x = images.flatten(1).double().numpy()
        values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
        expected = (vectors * (values / (values + epsilon))) @ vectors.T
        np.testing.assert_allclose(np.cov(white.T, bias=True), expected, atol=2e-3)
        np.testing.assert_allclose(white.mean(0), 0, atol=1e-3)
    assert torch.equal(fitted.matrix, fitted.matrix.T)


def test_passes_over_parts_are_one_pass(monkeypatch):
    images = correlated(101)
    whole = Whitening.of(images, as_floats, 0.1)
    monkeypatch.setattr(whitening, "_CHUNK", 7)
    parts = Whitening.of(images, as_floats, 0.1)
    torch.testing.assert_close(parts.matrix, whole.matrix, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(parts.apply(images, as_floats), whole.apply(images, as_floats), rtol=1e-4, atol=1e-4)


def test_fewer_images_than_pixels():
    fitted = Whitening.of(torch.randn(3, 20), as_floats, 0.1)
    assert bool(fitted.matrix.isfinite().all())
    assert torch.linalg.eigvalsh(fitted.matrix).max() == pytest.approx(0.1**-0.5)


@pytest.fixture
def counted(monkeypatch):
    calls = []
    original = Whitening.of

    def of(*arguments):
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(Whitening, "of", of)
    return calls


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "statistics").glob("*.safetensors"))


def test_it_is_computed_once_for_the_same_images(data_folder, tmp_path, counted):
    pixels = (correlated() * 10).to(torch.uint8)
    first, again = (whitening_of(pixels, as_floats, "plain", 0.1) for _ in range(2))
    assert len(counted) == 1
    assert torch.equal(first.matrix, again.matrix)
    assert torch.equal(first.mean, again.mean)
    assert again.matrix.dtype == torch.float64
    assert len(kept(tmp_path)) == 1


def test_every_part_of_its_identity_counts(data_folder, tmp_path, counted):
    pixels = (correlated() * 10).to(torch.uint8)
    changed = pixels.clone()
    changed[0, 0, 0, 0] += 1
    whitening_of(pixels, as_floats, "plain", 0.1)
    whitening_of(changed, as_floats, "plain", 0.1)
    whitening_of(pixels, as_floats, "other", 0.1)
    whitening_of(pixels, as_floats, "plain", 0.2)
    whitening_of(pixels.reshape(-1, 2, 3, 2), as_floats, "plain", 0.1)
    assert len(counted) == len(kept(tmp_path)) == 5


def test_several_processes_compute_it_once(data_folder, counted):
    pixels = (correlated() * 10).to(torch.uint8)
    threads = [threading.Thread(target=whitening_of, args=(pixels, as_floats, "plain", 0.1)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counted) == 1


@pytest.mark.parametrize("content", [b"", b"no safetensors", None])
def test_a_damaged_file_is_computed_anew_and_said(data_folder, tmp_path, counted, caplog, content):
    pixels = (correlated() * 10).to(torch.uint8)
    first = whitening_of(pixels, as_floats, "plain", 0.1)
    (path,) = kept(tmp_path)
    if content is None:
        whitening.save_tensors({"mean": first.mean, "matrix": first.matrix[:3]}, path)
    else:
        path.write_bytes(content)
    assert torch.equal(whitening_of(pixels, as_floats, "plain", 0.1).matrix, first.matrix)
    assert len(counted) == 2
    assert "damaged" in caplog.text
    whitening_of(pixels, as_floats, "plain", 0.1)
    assert len(counted) == 2


def test_a_cache_that_cannot_be_written_is_said(data_folder, tmp_path, caplog):
    (tmp_path / "cache").write_text("in the way")
    pixels = (correlated() * 10).to(torch.uint8)
    found = whitening_of(pixels, as_floats, "plain", 0.1)
    assert torch.equal(found.matrix, Whitening.of(pixels, as_floats, 0.1).matrix)
    assert "cannot be kept" in caplog.text
