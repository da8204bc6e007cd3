"""Every quantizer of the package keeps the contract, and each part of it is checked by name."""

import cheating_quantizers as cheats
import pytest
import torch

from quantizers import QUANTIZERS, LayerPlace, make, make_for_layer
from quantizers.contract import CHECKS, Candidate, check_quantizer, examine

EVERYWHERE = [
    ("int8", {}),
    ("int8", {"bits": 4, "power_of_two": True}),
    ("int8", {"full_range": True, "method": "kl"}),
    ("uint8", {}),
    ("int8_qat", {}),
    ("int8_qat", {"signed": False, "momentum": 0.5}),
    ("lsq", {}),
    ("lsq", {"signed": None, "bits": 2}),
    ("lsq", {"signed": False}),
    ("pixel8", {"multiplier": 1, "offset": 8, "divisor": 8}),
    ("pixel8", {}),
    ("sign", {}),
    ("sign", {"estimator": "identity"}),
    ("stochastic_sign", {}),
    ("tanh_sign", {}),
    ("uniform", {}),
]
OF_WEIGHTS = [
    ("int8", {"channel_axis": 0}),
    ("uint8", {"channel_axis": 0}),
    ("int8_qat", {"channel_axis": 0, "momentum": 1.0}),
    ("lsq", {"channels": 6}),
    ("scaled_sign", {}),
    ("ternary", {}),
    ("ternary", {"channel_axis": 0}),
    ("ternary", {"channel_axis": 1}),
]
BUILT_FOR_A_LAYER = [name for name in QUANTIZERS.names() if QUANTIZERS.get(name).__module__.startswith("quantizers.")]
OF_INPUTS = [
    ("int8", {"channel_axis": 1}),
    ("int8_qat", {"channel_axis": 1}),
    ("lsq", {"channels": 3, "channel_axis": 1}),
]
LINEAR = LayerPlace("fc", "activations", "linear", (8, 9), 0, 2)
CONV = LayerPlace("conv", "activations", "conv2d", (8, 3, 3, 3), 1, 2)


@pytest.mark.parametrize(("name", "options"), EVERYWHERE + OF_WEIGHTS)
def test_weights(name, options):
    assert check_quantizer(make(name, **options)) == []


@pytest.mark.parametrize("name", BUILT_FOR_A_LAYER)
@pytest.mark.parametrize(("kind", "shape"), [("linear", (6, 70)), ("conv2d", (6, 5, 3, 3)), ("conv1d", (6, 5, 3))])
def test_weights_of_every_kind_of_layer(name, kind, shape):
    place = LayerPlace("layer", "weights", kind, shape, 0, 1)
    assert check_quantizer(make_for_layer(name, place, {}), place=place) == []


@pytest.mark.parametrize(("name", "options"), EVERYWHERE + OF_INPUTS)
def test_inputs_of_a_convolution(name, options):
    assert check_quantizer(make(name, **options), place=CONV) == []


@pytest.mark.parametrize(("name", "options"), EVERYWHERE)
def test_inputs_of_a_linear_layer(name, options):
    assert check_quantizer(make(name, **options), place=LINEAR) == []


@pytest.mark.slow  # 32 quantizers in two processes
def test_zeros_and_two_processes():
    weights = [Candidate.at(make(name, **options), None) for name, options in EVERYWHERE + OF_WEIGHTS]
    inputs = [Candidate.at(make(name, **options), CONV) for name, options in EVERYWHERE + OF_INPUTS]
    found = examine([*weights, *inputs], full=True)
    assert {each.faults for each in found} == {()}
    assert {name for each in found for name in each.checks} == set(CHECKS)


# The quantizer, the checks that catch it, and words of the first one's message.
CHEATS = [
    (cheats.NeverReady, ["ready"], "is_ready is False after two training batches"),
    (cheats.OtherFormat, ["format"], "quantize returns codes of int8, but the quantizer's format is int4"),
    (cheats.OutOfRange, ["codes"], r"codes are none of int4 \(-7..7\), e.g. "),
    (cheats.ElementwiseScale, ["scale"], r"has the shape \[6, 331\] for codes \[6, 331\], 1,986 real numbers"),
    (cheats.OtherValues, ["values"], "see other numbers than kernels do"),
    (cheats.Identity, ["values", "levels"], "forward returns x itself"),
    (cheats.RoundsTwice, ["values"], r"write `q.detach\(\) \+ \(x - x.detach\(\)\)`"),
    (cheats.DetachedCodes, ["codes_and_scale"], "does not reach x through codes and scale"),
    (cheats.TwoAxes, ["levels"], r"\d+ different values at one scale, uint4 has 16 codes"),
    (cheats.Float32Alone, ["shape"], "forward of float64 .* returns float32"),
    (cheats.InPlace, ["input"], "forward changes its input in place, in training"),
    (cheats.FollowsInEvaluation, ["deterministic"], "after another tensor: draw and follow statistics in training"),
    (cheats.NoGradient, ["gradient"], "forward's result has no gradient"),
    (cheats.ZeroGradient, ["gradient"], "is 0 everywhere, as that of torch.round"),
    (cheats.NaNGradient, ["gradient"], "gradients are NaN or infinite, e.g. .* at x = 0"),
    (cheats.UnusedParameter, ["learned"], "no gradient reaches the learned parameter 'step'"),
    (cheats.LosesState, ["state_dict"], "keep what training or calibration sets in buffers"),
    (cheats.Unpicklable, ["copies"], "pickle raised .*without lambdas"),
    (cheats.HiddenTable, ["hidden"], r"self.table \(250,000 values\)"),
    (cheats.ClaimsBinary, ["is_binary"], "is_binary is True, but evaluation gives 2"),
    (cheats.ClaimsEncoding, ["encoding"], r"encoding says the scale 0.25"),
]


@pytest.mark.parametrize(("cheat", "checks", "words"), CHEATS, ids=[cheat.__name__ for cheat, _, _ in CHEATS])
def test_a_cheat_is_caught_by_its_check_alone(cheat, checks, words):
    found = check_quantizer(cheat())
    assert [fault.check for fault in found] == checks
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(found[0].message)


@pytest.mark.parametrize(
    ("cheat", "check", "words"),
    [
        (cheats.Honest, "batch", "in a batch of 4 and .* alone"),
        (cheats.RaisesOnNothing, "empty", r"raised RuntimeError: max\(\).* \(.*cheating_quantizers.py, line \d+\)"),
    ],
)
def test_inputs_must_not_depend_on_their_batch(cheat, check, words):
    (fault,) = check_quantizer(cheat(), place=LINEAR)
    assert fault.check == check
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(fault.message)


@pytest.mark.slow  # starts processes
def test_full_checks_catch_zeros_and_unequal_ranks():
    honest = Candidate.at(cheats.Honest(), None)
    zeros, follower, none = examine(
        [Candidate.at(cheats.DividesByZero(), None), Candidate.at(cheats.Follower(), LINEAR), honest], full=True
    )
    assert [fault.check for fault in zeros.faults] == ["zeros"]
    assert "a tensor of zeros gives nan" in zeros.faults[0].message
    assert [fault.check for fault in follower.faults] == ["ranks"]
    assert "after 3 training steps in two processes" in follower.faults[0].message
    assert none.faults == ()


@pytest.mark.parametrize(("quantizer", "place"), [(cheats.Honest(), None), (cheats.Follower(), LINEAR)])
def test_the_honest_pass(quantizer, place):
    assert check_quantizer(quantizer, place=place) == []


def test_every_check_has_a_cheat():
    caught = {checks[0] for _, checks, _ in CHEATS}
    assert caught | {"batch", "empty", "storage", "zeros", "ranks"} == set(CHECKS)  # storage: test_storage.py


def test_neither_the_quantizer_nor_torch_s_generator_is_changed():
    quantizer = make("lsq", bits=4).train()
    before = {name: tensor.clone() for name, tensor in quantizer.named_parameters()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert check_quantizer(quantizer) == []
    assert torch.equal(torch.rand(3), expected)
    assert quantizer.training
    assert not quantizer.is_ready
    assert all(torch.equal(tensor, before[name]) for name, tensor in quantizer.named_parameters())


def test_a_quantizer_built_for_one_shape_is_checked_with_it():
    quantizer = make("lsq", channels=70)
    assert [fault.check for fault in check_quantizer(quantizer)] == ["ready"]
    assert check_quantizer(quantizer, shape=(70, 900)) == []
    assert check_quantizer(quantizer, place=LayerPlace("fc", "weights", "linear", (70, 900), 0, 1)) == []
