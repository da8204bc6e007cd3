"""A whole network in its forms on the same images: float32, fake-quantized, packed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qbench.bench.timing import BASELINE, Contestant
from qbench.data.classification import count_right, predicted_classes
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.network import PackedNetwork
from qbench.nn.models.catalogue import get_model
from qbench.nn.trace import trace
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import initialize
from quantizers import Pixels

# Sums of multiples of 1/8 are exact in float32, so that packed and module must agree on every score.
_PIXELS = Pixels(multiplier=1, offset=8, divisor=8)


@dataclass(frozen=True)
class NetworkContestants:
    """A network's forms, and whether they predict alike.

    Attributes:
        contestants: by name; each call gives the scores, on the CPU.
        agreement: share of images that the packed and the fake-quantized network predict alike.
        operations: of one call; a multiply-add is 2.
    """

    contestants: dict[str, Contestant]
    agreement: float
    operations: float


def network_contestants(name: str, batch: int, device: str = "cpu") -> NetworkContestants:
    """Build a registered model with random weights and norms: float32, fake-quantized (BinaryNet) and packed."""
    model, scheme = get_model(name), get_scheme("binarynet")
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    plain = model.make({})
    module = apply_scheme(copy.deepcopy(plain), scheme).eval()
    initialize(module, scheme, 0)
    _randomize_norms(module, generator)
    pixels = torch.randint(0, 17, (batch, *model.input_shape), dtype=torch.uint8, generator=generator)
    packed = PackedNetwork(pack(module, model.input_shape, _PIXELS), device)
    operations = 2.0 * batch * sum(traced.layer_shape.macs for traced in trace(module, model.input_shape))

    float32 = apply_scheme(plain, get_scheme("fp32")).eval().to(device)
    module, pixels = module.to(device), pixels.to(device)
    images = _PIXELS.decode(pixels)
    contestants = _float32_contestants(float32, images)
    weights = contestants[BASELINE].weight_bytes
    contestants["fake-quantized"] = Contestant(_inference(module, images), weights)
    contestants["packed, pixels in"] = Contestant(_inference(packed, pixels), packed.resident_bytes, True)
    contestants["packed, float in"] = Contestant(_inference(packed, images), packed.resident_bytes, True)
    return NetworkContestants(contestants, _agreement(contestants), operations)


def _randomize_norms(network: nn.Module, generator: torch.Generator) -> None:
    """Give each BatchNorm what it has after training: statistics of the size of the sums, γ of both signs."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 5, generator=generator)
            module.running_var.uniform_(50, 1000, generator=generator)
            with torch.no_grad():
                module.weight.normal_(generator=generator)
                module.bias.normal_(generator=generator)


def _float32_contestants(network: nn.Module, images: Tensor) -> dict[str, Contestant]:
    weights = sum(parameter.nbytes for parameter in network.parameters())
    found = {BASELINE: Contestant(_inference(network, images), weights)}
    if any(isinstance(part, nn.Conv2d) for part in network.modules()):
        last = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images_last = images.to(memory_format=torch.channels_last)
        found["torch fp32, channels last"] = Contestant(_inference(last, images_last), weights)
    return found


def _inference(network: Callable[[Tensor], Tensor], images: Tensor) -> Callable[[], Tensor]:
    def call() -> Tensor:
        with torch.inference_mode():
            return network(images).cpu()  # a GPU's time ends when the scores are here

    return call


def _agreement(contestants: dict[str, Contestant]) -> float:
    """Return the share of equal predictions of the packed contestants and the fake-quantized one."""
    expected = predicted_classes(contestants["fake-quantized"].call())
    packed = [contestant for name, contestant in contestants.items() if name.startswith("packed")]
    equal = sum(int(count_right(contestant.call(), expected)) for contestant in packed)
    return equal / (len(packed) * len(expected))
