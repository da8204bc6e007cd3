"""The measurements that claims need on this machine: what `qbench claims --run` runs.

Each function returns plain values, among them `device` where a GPU would give other ones. Ratios of times are medians
over interleaved rounds (`qbench.bench.timing`); `low` and `high` are their quartiles.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

import cuda_ext
from qbench.bench.networks import network_contestants
from qbench.bench.products import MATMULS, matmul_contestants
from qbench.bench.timing import BASELINE, interleave, keep_freed_memory, peak_gops, quartiles
from qbench.claims.judge import Values
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.file import save
from qbench.io import save_tensors
from qbench.nn.models.catalogue import get_model
from qbench.nn.shift_batch_norm import ShiftBatchNorm2d
from qbench.training.module import QuantModule
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial
from quantizers import Pixels, Sign, StochasticSign

_Call = Callable[[], Any]


class CannotMeasureError(Exception):
    """Raised for a measurement that this machine cannot make; the message says why."""


def packed_file() -> Values:
    """Compare BinaryNet's CIFAR-10 network in two files: packed, and its float32 weights and norms.

    `value`: bytes of the second over bytes of the first. The weights are random: the sizes do not depend on them.
    """
    named = get_model("cifar10-convnet")
    module = QuantModule(named.make({}), "binarynet").eval()
    with tempfile.TemporaryDirectory() as folder:
        packed, floats = Path(folder) / "packed.safetensors", Path(folder) / "float.safetensors"
        save(pack(module, named.input_shape, Pixels(multiplier=2, offset=255, divisor=255)), packed)
        save_tensors(
            {name: value for name, value in module.model.state_dict().items() if value.is_floating_point()}, floats
        )
        sizes = {"packed_bytes": packed.stat().st_size, "float_bytes": floats.stat().st_size}
    return {"value": sizes["float_bytes"] / sizes["packed_bytes"], **sizes}


def product_rate() -> Values:
    """Compare multiply-adds per second on one core: binary ones, from registers, and those of torch's float32 product.

    `value`, `binary_gops`: of the direct kernel, which counts bits as the paper does. `carry_gops`: of the carry-save
    popcount, which takes fewer instructions for as many multiply-adds; None where the ISA has none.
    """
    _need_kernels("cpu")
    peak = peak_gops()
    if peak is None:
        raise CannotMeasureError(
            f"the ISA {cuda_ext.backends()['cpu'].selected} has no loop for its direct kernel's peak"
        )
    carry_save = peak_gops(carry_save=True)
    size = 1024
    a, b = torch.randn(size, size), torch.randn(size, size)
    times = interleave({BASELINE: lambda: a @ b}, 50)
    gops = 2 * size**3 / min(times[BASELINE]) / 1e9  # the best round, as the peak is the best of its rounds
    rates = {"binary_gops": peak, "carry_gops": carry_save, "float_gops": gops}
    return {"value": peak / gops, **rates, "device": "cpu", **_execution("cpu")}


def matmul_8192() -> Values:
    """Time an 8192×8192×8192 product of ±1 matrices beside torch's float32 product.

    `value`: with the activations packed within the call; `packed_value`: with both operands packed before.
    """
    device = _device()
    _need_kernels(device)
    if device == "cuda":
        calls = _cuda_matmul(8192)
    else:
        made = matmul_contestants(MATMULS["square-8192"])
        calls = {name: made[name].call for name in (BASELINE, "xnor, float in", "xnor prepacked")}
    found = _ratios(calls, 3)
    return {
        **found["xnor, float in"],
        "packed_value": found["xnor prepacked"]["value"],
        "device": device,
        **_execution(device),
    }


def _cuda_matmul(size: int) -> Mapping[str, _Call]:
    generator = torch.Generator("cuda").manual_seed(0)
    x, w = (torch.randn(size, size, device="cuda", generator=generator) for _ in range(2))
    bits, w_bits = cuda_ext.pack_signs(x), cuda_ext.pack_signs(w)
    return {
        BASELINE: _synchronized(lambda: x @ w.T),
        "xnor, float in": _synchronized(lambda: cuda_ext.xnor_matmul(cuda_ext.pack_signs(x), w_bits, size)),
        "xnor prepacked": _synchronized(lambda: cuda_ext.xnor_matmul(bits, w_bits, size)),
    }


def mlp_10000() -> Values:
    """Time BinaryNet's MNIST network on 10,000 images, from pixels to scores: packed beside float32, random weights.

    `agreement`: fraction of the images whose packed prediction is the fake-quantized module's.
    """
    device = _device()
    _need_kernels(device)
    made = network_contestants("mnist-mlp", 10_000, device)
    calls = {name: made.contestants[name].call for name in (BASELINE, "packed, pixels in")}
    found = _ratios(calls, 3)["packed, pixels in"]
    return {**found, "agreement": made.agreement, "device": device, **_execution(device)}


RATES_WITHOUT_NORM = (1e-2, 1e-3, 1e-4)
_SEEDS = (0, 1)


def without_batch_norm() -> Values:
    """Train a BinaryNet MLP on digits with and without BatchNorm: ten epochs, two seeds.

    With BatchNorm the initial learning rate is the scheme's. Without it, it is the one of `RATES_WITHOUT_NORM` with the
    best mean validation accuracy, or the higher one of equals. The rate ends at a hundredth, as the scheme's does.

    `value`: the last epoch's mean training loss without BatchNorm over that with it, the smaller of the two seeds.
    Losses and test errors (percent) are means over the seeds.
    """
    with tempfile.TemporaryDirectory() as folder:
        batch = [_train_digits("batch", None, seed, Path(folder)) for seed in _SEEDS]
        tried = {
            rate: [_train_digits("none", rate, seed, Path(folder)) for seed in _SEEDS] for rate in RATES_WITHOUT_NORM
        }
    best = max(tried, key=lambda rate: fmean(row["val/accuracy"] for row in tried[rate]))
    found: dict[str, Any] = {}
    for norm, rows in (("batch", batch), ("none", tried[best])):
        found[f"{norm}_loss"] = fmean(row["training/loss"] for row in rows)
        found[f"{norm}_error"] = fmean(100 * (1 - row["test/accuracy"]) for row in rows)
    ratios = [a["training/loss"] / b["training/loss"] for a, b in zip(tried[best], batch, strict=True)]
    return {"value": min(ratios), **found, "none_rate": best, "seeds": len(_SEEDS)}


def _train_digits(norm: str, rate: float | None, seed: int, folder: Path) -> Values:
    """Return the row of one training; the initial learning rate is the scheme's where `rate` is None."""
    config = TrialConfig(
        scheme="binarynet",
        scheme_options={"norm": norm},
        seed=seed,
        model="digits-mlp",
        model_options={"hidden": 512},
        epochs=10,
        learning_rate=rate,
        learning_rate_end=None if rate is None else rate / 100,
    )
    return run_trial(resolve(config), folder).row


def stochastic_sign_time() -> Values:
    """Time the stochastic sign of a 4096×4096 weight beside the deterministic one; `value`: first over second."""
    device = _device()
    weight = torch.empty(4096, 4096, device=device).uniform_(-1, 1)
    sign, stochastic = Sign(estimator="identity").train(), StochasticSign(estimator="identity").train()

    def quantize(quantizer: nn.Module) -> _Call:
        with_device = quantizer.to(device)

        def call() -> Tensor:
            with torch.no_grad():
                return with_device(weight)

        return _on(device, call)

    calls = {BASELINE: quantize(stochastic), "deterministic": quantize(sign)}
    return {**_ratios(calls, 9)["deterministic"], "device": device}


def shift_batch_norm_time() -> Values:
    """Time BatchNorm beside shift-based BatchNorm, forward and backward in training, on [50, 128, 32, 32].

    `value`: time of BatchNorm over that of the shift-based one.
    """
    device = _device()
    x = torch.randn(50, 128, 32, 32, device=device, requires_grad=True)
    gradient = torch.randn_like(x)

    def step(norm: nn.Module) -> _Call:
        norm = norm.to(device).train()
        return _on(device, lambda: norm(x).backward(gradient))

    calls = {BASELINE: step(nn.BatchNorm2d(128)), "shift-based": step(ShiftBatchNorm2d(128))}
    return {**_ratios(calls, 9)["shift-based"], "device": device}


MEASUREMENTS: dict[str, Callable[[], Values]] = {
    "packed-file": packed_file,
    "product-rate": product_rate,
    "matmul-8192": matmul_8192,
    "mlp-10000": mlp_10000,
    "without-batch-norm-at-its-best-rate": without_batch_norm,
    "stochastic-sign": stochastic_sign_time,
    "shift-batch-norm": shift_batch_norm_time,
}


def run_measurement(name: str) -> Values:
    """Run one of MEASUREMENTS on one CPU thread and return its values.

    Raises:
        CannotMeasureError: this machine lacks what the measurement needs.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    try:
        return MEASUREMENTS[name]()
    finally:
        torch.set_num_threads(before)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _need_kernels(device: str) -> None:
    backend = cuda_ext.backends()[device]
    if not backend.available:
        raise CannotMeasureError(f"no compiled kernels here: {backend.reason}")


def _execution(device: str) -> Values:
    return {"kernels": cuda_ext.backends()[device].selected}


def _on(device: str, call: _Call) -> _Call:
    """Return `call`, made to end with its work on the device."""
    return _synchronized(call) if device == "cuda" else call


def _synchronized(call: _Call) -> _Call:
    def timed() -> None:
        call()
        torch.cuda.synchronize()

    return timed


def _ratios(calls: Mapping[str, _Call], rounds: int) -> dict[str, Values]:
    """Time the contestants in interleaved rounds; return for each how many times as fast as BASELINE it is.

    `value`, `low`, `high`: median and quartiles of the rounds' ratios; `seconds`: median time of a call.
    """
    times = interleave(calls, rounds)
    found: dict[str, Values] = {}
    for name in calls:
        low, middle, high = quartiles([base / own for base, own in zip(times[BASELINE], times[name], strict=True)])
        seconds = quartiles(times[name])[1]
        found[name] = {"value": middle, "low": low, "high": high, "seconds": seconds, "rounds": rounds}
    return found
