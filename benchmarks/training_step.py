"""What a BinaryNet training step costs beside the same network's fp32 step.

    python benchmarks/training_step.py [--rounds 9] [--threads 1] [--device cpu] [--only NAME] [--json]
    python benchmarks/training_step.py --products      single products of growing size, packed beside float

Each round takes one step of each kind, in an order that rotates, on the same random batch: fp32 (ReLU), BinaryNet with
its forward products on packed bits, and BinaryNet with float products. A step is forward, backward, the optimizer's
update and the clip of the latent weights, as a trial takes them. Both BinaryNets' losses must be equal bit for bit, or
the benchmark fails. Printed: fp32's time, then medians and quartiles over the rounds of each step's ratio to the fp32
step of its round: below 1 is cheaper than fp32. On CPUs time is the process's CPU time by default (`--clock wall` for
wall time, needed with several threads), so that other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import cuda_ext
from qbench.nn import binary_product
from qbench.nn.models.catalogue import get_model
from qbench.training.module import QuantModule

CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "MNIST MLP 3x1024, batch 100": ("mnist-mlp", {"hidden": 1024, "input_dropout": 0.0, "dropout": 0.0}, 100),
    "MNIST MLP 3x4096, batch 100": ("mnist-mlp", {"input_dropout": 0.0, "dropout": 0.0}, 100),
    "digits ConvNet, batch 64": ("digits-convnet", {}, 64),
    "CIFAR-10 ConvNet, batch 50": ("cifar10-convnet", {}, 50),
}
KINDS = {"fp32": ("fp32", 0), "packed": ("binarynet", binary_product.MINIMUM_MACS), "float": ("binarynet", 2**62)}


def stepper(name: str, scheme: str, device: torch.device) -> Callable[[], Tensor]:
    """A function that takes one step and gives its loss."""
    network, options, batch = CASES[name]
    named = get_model(network)
    torch.manual_seed(0)
    module = QuantModule(named.make(options), scheme).to(device).train()
    optimizer = module.make_optimizer()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, *named.input_shape, generator=generator).to(device)
    labels = torch.randint(0, named.classes, (batch,), generator=generator).to(device)

    def step() -> Tensor:
        loss = module.loss(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.clip_latents()
        return loss.detach()

    return step


def measure(name: str, rounds: int, device: torch.device, clock: Callable[[], float]) -> dict[str, Any]:
    """One network: seconds of each kind's steps, and their ratios."""
    steps = {kind: stepper(name, scheme, device) for kind, (scheme, _) in KINDS.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    order = list(KINDS.items())
    for round_ in range(-2, rounds):  # the first two warm up
        losses = {}
        order = order[1:] + order[:1]
        for kind, (_, least) in order:
            binary_product.MINIMUM_MACS = least
            start = clock()
            losses[kind] = steps[kind]()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if round_ >= 0:
                seconds[kind].append(clock() - start)
        if not torch.equal(losses["packed"], losses["float"]):
            raise SystemExit(f"{name}: the packed and the float step differ in their loss")
    ratios = {
        kind: statistics.quantiles(
            [own / base for own, base in zip(seconds[kind], seconds["fp32"], strict=True)], n=4, method="inclusive"
        )
        for kind in ("packed", "float")
    }
    return {"case": name, "fp32_ms": 1e3 * statistics.median(seconds["fp32"]), **ratios}


def products(rounds: int, device: torch.device, clock: Callable[[], float]) -> None:
    """Print the time of dense products of 100 rows, packing included, over the float time: where packing pays."""
    print(f"{'100 x K x N':>16} {'multiply-adds':>14}  packed over float: median (quartiles)")
    for k, n in ((32, 32), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (512, 512), (1024, 1024)):
        x, weight = (torch.randn(rows, k, device=device).sign() for rows in (100, n))
        seconds: dict[int, list[float]] = {0: [], 2**62: []}
        for round_ in range(-2, rounds):
            for least in (0, 2**62) if round_ % 2 else (2**62, 0):
                binary_product.MINIMUM_MACS = least
                start = clock()
                for _ in range(200):
                    binary_product.linear(x, weight)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if round_ >= 0:
                    seconds[least].append(clock() - start)
        ratios = [packed / plain for packed, plain in zip(seconds[0], seconds[2**62], strict=True)]
        low, mid, high = statistics.quantiles(ratios, n=4, method="inclusive")
        print(f"{f'100 x {k} x {n}':>16} {100 * k * n:14,}  {mid:.2f} ({low:.2f} - {high:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=9, help="measured rounds, at least 2 (two warm-up rounds come first)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch and the kernels, for all kinds")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--clock", choices=["cpu", "wall"], help="default: cpu with one thread on the CPU, else wall")
    parser.add_argument("--only", choices=list(CASES), action="append", help="these networks alone")
    parser.add_argument("--products", action="store_true", help="time single products instead of steps")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds must be at least 2")
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    named = options.clock or ("cpu" if options.threads == 1 and device.type == "cpu" else "wall")
    clock = time.process_time if named == "cpu" else time.perf_counter
    isa = cuda_ext.backends()[device.type].selected
    if isa == "reference":
        raise SystemExit(f"{device.type}: no compiled kernels here (see `qbench doctor`): nothing would run packed")
    if options.products:
        return products(options.rounds, device, clock)
    rows = [measure(name, options.rounds, device, clock) for name in options.only or CASES]
    if options.json:
        facts = {"rounds": options.rounds, "threads": options.threads, "clock": named, "kernels": isa}
        print(json.dumps({**facts, "device": options.device, "machine": platform.machine(), "rows": rows}))
        return
    print(f"{options.rounds} rounds, {options.threads} thread(s), {named} time, kernels: {isa}; ratio to the fp32 step")
    print(f"{'network':30} {'fp32 step':>10}  {'BinaryNet, packed forward':28} BinaryNet, float products")
    for row in rows:
        texts = [f"{mid:.3f} ({low:.3f} - {high:.3f})" for low, mid, high in (row["packed"], row["float"])]
        print(f"{row['case']:30} {row['fp32_ms']:7.2f} ms  {texts[0]:28} {texts[1]}")


if __name__ == "__main__":
    main()
