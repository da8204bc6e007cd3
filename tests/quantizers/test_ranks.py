"""Two processes that train together: what is set from data is equal on both, and as one process would set it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from quantizers import make
from quantizers.ranks import largest_over_ranks, sum_over_ranks, world_size

pytestmark = pytest.mark.slow  # two processes that load torch

# Each rank trains every quantizer on its batches, and stores what it then is; errors are stored, too.
PROGRAM = """
import sys
import torch
from torch import distributed as dist
from quantizers import make

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
cases = torch.load(f"{folder}/cases.pt")
found = []
for name, options, batches in cases:
    quantizer = make(name, **options)
    quantizer.layer_name = "fc.input"
    try:
        values = [quantizer(batch).detach() for batch in batches[rank]]
    except ValueError as error:
        found.append(str(error))
        continue
    state = {key: tensor for key, tensor in quantizer.state_dict().items() if not key.endswith("_extra_state")}
    found.append((values, state, quantizer.format.name, quantizer.is_ready))
torch.save(found, f"{folder}/{rank}.pt")
dist.barrier()
dist.destroy_process_group()
"""


def batches(*shapes, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) + shift for shape in shapes]


EMPTY, NAN = torch.empty(0, 3), torch.full((2, 3), torch.nan)
FIRST, SECOND = batches((8, 3), (6, 3)), batches((4, 3), (8, 3), seed=1, shift=2.0)
EQUAL = {
    "lsq": ("lsq", {"batch_axis": 0}, (FIRST, SECOND)),
    "lsq per channel": ("lsq", {"channels": 3, "channel_axis": 1}, (FIRST, SECOND)),
    "lsq, negative on one rank": ("lsq", {"signed": None}, ([x.abs() for x in FIRST], SECOND)),
    "lsq, empty on one rank": ("lsq", {"signed": None}, ([EMPTY, *FIRST], [x.abs() for x in (*SECOND, SECOND[0])])),
    "lsq, empty on both, then not": ("lsq", {}, ([EMPTY, *FIRST], [EMPTY, *SECOND])),
    "int8_qat": ("int8_qat", {"momentum": 0.25}, (FIRST, SECOND)),
    "int8_qat unsigned": ("int8_qat", {"momentum": 0.25, "signed": False}, (FIRST, SECOND)),
    "int8_qat per channel": ("int8_qat", {"momentum": 0.25, "channel_axis": 1}, (FIRST, SECOND)),
    "int8_qat, empty on one rank": ("int8_qat", {}, ([EMPTY, *FIRST], [*SECOND, SECOND[0]])),
    "int8_qat, empty on both": ("int8_qat", {}, ([EMPTY, *FIRST], [EMPTY, *SECOND])),
}
REFUSED = {
    "lsq": ("lsq", {}, ([NAN], [FIRST[0]])),
    "int8_qat": ("int8_qat", {}, ([FIRST[0]], [NAN])),
}
SAME_DRAWS = ("stochastic_sign", {"seed": 3}, (FIRST, FIRST))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two ranks stored, a pair for each case."""
    folder = tmp_path_factory.mktemp("ranks")
    cases = [*EQUAL.values(), *REFUSED.values(), SAME_DRAWS]
    torch.save(cases, folder / "cases.pt")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM]
    ranks = [subprocess.Popen([*command, str(rank), str(folder)], cwd=root) for rank in (0, 1)]
    try:
        assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    found = zip(*(torch.load(folder / f"{rank}.pt") for rank in (0, 1)), strict=True)
    return dict(zip([*EQUAL, *(f"refused {name}" for name in REFUSED), "draws"], found, strict=True))


@pytest.mark.parametrize("case", EQUAL)
def test_ranks_are_equal_and_as_one_process_with_the_whole_batch(both, case):
    name, options, (first, second) = EQUAL[case]
    alone = make(name, **options)
    whole = [alone(torch.cat(pair)).detach() for pair in zip(first, second, strict=True)]
    (values0, state0, *said0), (values1, state1, *said1) = both[case]
    assert said0 == said1 == [alone.format.name, True]
    for key, tensor in state0.items():
        assert torch.equal(tensor, state1[key]), key
        # The mean of magnitudes adds in another order.
        torch.testing.assert_close(tensor, alone.state_dict()[key], rtol=1e-6, atol=0)
    for pair, expected in zip(zip(values0, values1, strict=True), whole, strict=True):
        torch.testing.assert_close(torch.cat(pair), expected)


@pytest.mark.parametrize("case", REFUSED)
def test_nan_on_one_rank_is_an_error_on_both(both, case):
    assert both[f"refused {case}"] == ("fc.input: NaN or infinity among the observed values",) * 2


def test_equal_weights_get_equal_draws(both):
    (values0, *_), (values1, *_) = both["draws"]
    for one, other in zip(values0, values1, strict=True):
        assert torch.equal(one, other)


def test_one_process_needs_no_others():
    x = torch.ones(2)
    assert world_size() == 1
    assert sum_over_ranks(x) is x
    assert largest_over_ranks(x) is x
