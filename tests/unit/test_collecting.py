"""The garbage collector is left alone for a while, and then is as it was."""

import gc
from contextlib import ExitStack

from projections.collecting import ALLOCATIONS, rare_collections


def test_what_it_was_is_put_back_by_the_last_to_end() -> None:
    """Blocks of several threads overlap: in whatever order they end, the collector is as it was before the first."""
    before = gc.get_threshold()
    first, second = ExitStack(), ExitStack()
    first.enter_context(rare_collections())
    second.enter_context(rare_collections())
    assert gc.get_threshold() == (ALLOCATIONS, *before[1:])
    first.close()
    assert gc.get_threshold()[0] == ALLOCATIONS
    second.close()
    assert gc.get_threshold() == before
