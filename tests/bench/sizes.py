"""How much is measured: `full` for figures, `tiny` so that the benchmarks can't rot, `middle` to try the long ones."""

import os

import msgspec

VARIABLE = "ROUTE_LEDGER_BENCH"
BATCH_SIZES = (1, 64, 1000)
CALLERS = 64


class Size(msgspec.Struct, frozen=True):
    """Commands, requests and events of each measurement; every one of them is repeated `rounds` times."""

    name: str
    rounds: int
    workspaces: int
    lag: int
    commands: dict[int, int]
    """Commands of a round by the size of its batches."""
    caller_commands: int
    naive_commands: int
    naive_threads: tuple[int, ...]
    posts: dict[int, int]
    """Single posts of a round by the number of connections."""
    bodies: int
    process_commands: int
    read_events: int
    memory_marks: tuple[int, int]
    calls: dict[int, int]
    """Calls of a round through the gateway by the number of connections; of streams it is half."""
    call_marks: tuple[int, int, int]
    """Calls through the gateway after which its memory is looked at."""

    lag_commands: int
    lag_calls: int
    """Commands in process and calls through the gateway while the followers' lag is watched."""

    history_requests: int
    receipts: int
    pages: int
    changes: int
    """Requests of the history; receipts, pages of each kind and explanations of each kind that are read of it."""

    past_events: int
    past_days: int
    past_workspaces: int
    moments: int
    """Events of the past, its days and workspaces; balances at moments of each kind that are read of it."""


FULL = Size(
    name="full", rounds=5, workspaces=10_000, lag=500,
    commands={1: 600, 64: 6_400, 1000: 16_000},
    caller_commands=7_680, naive_commands=1_920, naive_threads=(4, 8, 16, 32, 64),
    posts={1: 500, 64: 5_120}, bodies=8, process_commands=7_680,
    read_events=120_000, memory_marks=(100_000, 1_000_000),
    calls={1: 300, 16: 3_200, 64: 6_400}, call_marks=(1_024, 10_240, 101_376),
    lag_commands=200_000, lag_calls=25_600,
    history_requests=1_000_000, receipts=1_000, pages=200, changes=5,
    past_events=5_000_000, past_days=365, past_workspaces=100, moments=50,
)  # fmt: skip
TINY = Size(
    name="tiny", rounds=1, workspaces=50, lag=20,
    commands={1: 10, 64: 128, 1000: 1000},
    caller_commands=256, naive_commands=128, naive_threads=(8,),
    posts={1: 10, 64: 128}, bodies=2, process_commands=256,
    read_events=1_000, memory_marks=(500, 2_000),
    calls={1: 10, 16: 64, 64: 256}, call_marks=(64, 128, 256),
    lag_commands=2_000, lag_calls=256,
    history_requests=800, receipts=20, pages=5, changes=1,
    past_events=3_000, past_days=70, past_workspaces=5, moments=3,
)  # fmt: skip
MIDDLE = msgspec.structs.replace(
    FULL, name="middle", lag_commands=60_000, lag_calls=6_400, history_requests=100_000, past_events=400_000
)


def read_size() -> Size:
    """Return the size that the environment asks for, the tiny one when it says nothing."""
    return {"full": FULL, "middle": MIDDLE, "tiny": TINY}[os.environ.get(VARIABLE, "tiny")]
