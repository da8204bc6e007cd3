"""Claims on run time and memory: BinaryNet, section 4."""

from __future__ import annotations

from qbench.claims.claim import ByMeasurement, ByTraining, Cited, Claim, Computed, formatted, seeds_text
from qbench.claims.judge import Judge, Values, always, at_least, at_most, holds, on_gpu, trained, within
from qbench.claims.selection import select_metrics
from qbench.claims.settings import BINARYNET_MNIST
from qbench.cost.estimate import Estimate, estimate

_SECTION = "Run time and memory (BinaryNet, section 4)"
_SOURCE = "BinaryNet, arXiv 1602.02830, section 4"


def _swar() -> Values:
    # 32 connections for xnor, popcount and accumulation: 1 + 4 + 1 clocks.
    return {"value": 32 / (1 + 4 + 1)}


def _dot_product_identity() -> Values:
    """Compare both sides of a·b = K - 2·popcount(a xor b) for all pairs of ±1 vectors of up to six values."""
    for k in range(1, 7):
        for a in range(2**k):
            for b in range(2**k):
                product = sum((1 if a >> i & 1 else -1) * (1 if b >> i & 1 else -1) for i in range(k))
                if product != k - 2 * (a ^ b).bit_count():
                    return {"value": False}
    return {"value": True}


def _network() -> Estimate:
    return estimate("cifar10-convnet", "binarynet")


def _weight_memory() -> Values:
    found = _network()
    weights = found.reference.total("weight_bytes") / found.cost.total("weight_bytes")
    return {"value": weights, "stored": found.weight_compression, "count": found.cost.total("weights")}


def _weight_energy() -> Values:
    found = _network()
    binary, reference = found.energy.weight_traffic, found.reference_energy.weight_traffic
    return {"value": 100 * (1 - binary.mid / reference.mid), "level": found.energy.weight_level}


def _speed(values: Values) -> str:
    where = "GPU" if values["device"] == "cuda" else "CPU, 1 thread"
    return (
        f"{values['value']:.1f}× ({values['low']:.1f} to {values['high']:.1f}) torch float32 on the {where}, "
        f"{values['kernels']}"
    )


def _product(values: Values) -> str:
    return f"{_speed(values)}; both operands packed before: {values['packed_value']:.1f}×"


def _rate(values: Values) -> str:
    faster = values.get("carry_gops")  # older measurements have none
    return (
        f"{values['value']:.1f}×: {values['binary_gops']:,.0f} binary by popcount, {values['float_gops']:,.0f} float32 "
        f"GOPS on one core ({values['kernels']})" + (f"; binary by carry-save popcount {faster:,.0f}" if faster else "")
    )


def _agreement(values: Values) -> str:
    notes = f"; {values['notes']}" if values["notes"] else ""
    return f"{100 * values['kernel/agreement']:.2f} % of predictions alike ({seeds_text(values['seeds'])}{notes})"


def _mlp(values: Values) -> str:
    return f"{_speed(values)}; {100 * values['agreement']:.2f} % of predictions alike"


def _is_equal(key: str) -> Judge:
    return at_least(1.0, "confirmed if every prediction on the test images is the same", key)


RUN_TIME = (
    Claim(
        "swar",
        _SECTION,
        "32 connections in 1 + 4 + 1 clocks (xnor, popcount, accumulate) speed a dot product up 5.3 times",
        _SOURCE,
        "5.3×",
        Computed(_swar),
        within(5.3, 0.05, "confirmed within 0.05, the rounding of 5.3; arithmetic on the paper's clocks"),
        formatted("32 / 6 = {value:.2f}×"),
    ),
    Claim(
        "swar-clocks",
        _SECTION,
        "32 connections take 3 instructions and 6 clocks",
        _SOURCE,
        "3 instructions, 6 clocks",
        Cited(),
        always("cited only"),
        formatted("-"),
    ),
    Claim(
        "swar-rate",
        _SECTION,
        "the same on this processor: binary multiply-adds by popcount, from registers, beside float32 ones in a matrix "
        "product",
        _SOURCE,
        "5.3×",
        ByMeasurement("product-rate"),
        always("other machine", "the paper's is a GPU's figure"),
        _rate,
    ),
    Claim(
        "dot-product",
        _SECTION,
        "a product of ±1 vectors is K - 2·popcount(a xor b)",
        _SOURCE,
        "equal",
        Computed(_dot_product_identity),
        holds("confirmed if it holds for every pair of vectors of up to six values"),
        lambda values: "equal for all 5,460 pairs" if values["value"] else "unequal",
    ),
    Claim(
        "matmul-23x",
        _SECTION,
        "8192×8192×8192: the XNOR kernel is 23 times as fast as the authors' baseline kernel (GTX 750). That baseline "
        "is not here: the value is beside torch's tuned product",
        _SOURCE,
        "23×",
        ByMeasurement("matmul-8192"),
        on_gpu(at_least(23, "confirmed at 23 or more, against a faster baseline")),
        _product,
    ),
    Claim(
        "matmul-3.4x",
        _SECTION,
        "8192×8192×8192: the XNOR kernel is 3.4 times as fast as cuBLAS in float32 (GTX 750)",
        _SOURCE,
        "3.4×",
        ByMeasurement("matmul-8192"),
        on_gpu(at_least(3.4, "confirmed at 3.4 or more, packing of one operand included")),
        _product,
    ),
    Claim(
        "mlp-7x",
        _SECTION,
        "the MNIST MLP (3×4096), 10,000 images: 7 times as fast as with the baseline kernel, its first layer left on "
        "that (GTX 750). Here all layers are packed, beside torch's tuned product",
        _SOURCE,
        "7×",
        ByMeasurement("mlp-10000"),
        on_gpu(at_least(7, "confirmed at 7 or more, against a faster baseline")),
        _mlp,
    ),
    Claim(
        "mlp-7x-accuracy",
        _SECTION,
        "the XNOR kernel loses no accuracy on the MNIST MLP: packed beside fake-quantized evaluation of a trained "
        "network",
        _SOURCE,
        "no loss",
        ByTraining(lambda sweeps: select_metrics(BINARYNET_MNIST, ("kernel/agreement",), sweeps)),
        trained(_is_equal("kernel/agreement")),
        _agreement,
    ),
    Claim(
        "mlp-7x-random",
        _SECTION,
        "the same on 10,000 random images and weights",
        _SOURCE,
        "no loss",
        ByMeasurement("mlp-10000"),
        _is_equal("agreement"),
        formatted("{agreement:.2%} of predictions alike"),
    ),
    Claim(
        "mlp-2x-critic",
        _SECTION,
        "a critic: against a good matrix product the whole MLP gains less than 2 times",
        "a critic of BinaryNet, on its section 4",
        "< 2×",
        ByMeasurement("mlp-10000"),
        on_gpu(at_most(2, "confirmed at 2 or less")),
        _mlp,
    ),
    Claim(
        "training-7x",
        _SECTION,
        "'training is 7 times faster'",
        "a summary of BinaryNet; the paper: section 4",
        "7× in run time",
        Cited(),
        always("misread", "the 7 times are the run time of a trained network; the paper claims none for training"),
        formatted("-"),
    ),
    Claim(
        "memory",
        _SECTION,
        "binary weights take 1/32 of the memory: CIFAR-10 ConvNet, weights alone",
        _SOURCE,
        "1/32",
        Computed(_weight_memory),
        within(32, 0.32, "confirmed within 1 % of 32"),
        formatted("1/{value:.2f} of {count:,} weights; with normalization 1/{stored:.2f} (counted)"),
    ),
    Claim(
        "memory-file",
        _SECTION,
        "the same network as files: packed with its thresholds, and in float32 with its normalization",
        _SOURCE,
        "1/32",
        ByMeasurement("packed-file"),
        within(32, 0.64, "confirmed within 2 % of 32: thresholds and headers are stored as well"),
        formatted("1/{value:.2f} ({packed_bytes:,} and {float_bytes:,} bytes)"),
    ),
    Claim(
        "energy",
        _SECTION,
        "31/32 of the energy of weight memory is saved: CIFAR-10 ConvNet, one read of all that is stored",
        _SOURCE,
        "31/32 = 96.88 %",
        Computed(_weight_energy),
        within(96.875, 0.1, "confirmed within 0.1 points"),
        formatted("{value:.2f} % (estimated: bytes read from {level} at Horowitz's price)"),
    ),
    Claim(
        "gates",
        _SECTION,
        "a 32-bit float multiplier takes about 200 FPGA slices, a 1-bit XNOR one",
        _SOURCE,
        "200 : 1",
        Cited(),
        always("cited only"),
        formatted("-"),
    ),
)
