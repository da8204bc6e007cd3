"""What several tests of the quantizers share."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

# The same examples every time, and no deadline: a busy machine is no failure.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run on one thread, as a worker of a sweep does: a timing then depends on no other core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
