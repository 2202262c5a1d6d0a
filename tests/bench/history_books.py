"""Books with a history in them: recorded by the ledger as for any gateway, and the projections built from it.

The events are recorded now; that they happened within the two weeks before is what they say themselves.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from time import perf_counter

import msgspec

from ledger.core.commands import Command, to_microseconds
from ledger.service import SYSTEM, Ledger, Outcome
from ledger.wallet.commands import OpenWallet
from ledger.workspace.commands import CreateProject, CreateWorkspace, IssueApiKey
from projections.rebuild import rebuild
from tests.bench.history import KEYS, History, Session, workspaces_of_history
from tests.bench.history_catalog import UNITS, catalog_of_history
from tests.bench.scene import HOT, events_of, tidy_tables
from tests.integration.scenes import PROJECT, issue_key, pay, record

BATCH_SIZE = 1000
BATCHES_AHEAD = 2
FUNDS = "1000000000"
SAMPLES = 1000
CUSTOMER_KEY = "customer"
PROJECTIONS = ("journal", "route_ledger")


class Built(msgspec.Struct, frozen=True):
    """A projection that was built anew: from how many events, and in how many seconds."""

    events: int
    seconds: float


class HistoryBooks(msgspec.Struct, frozen=True):
    """A database with a history. Samples are sessions from all over it; the token is of a key of the hot workspace.

    It began and ended at instants in microseconds.
    """

    url: str
    began_at: int
    ended_at: int
    requests: int
    commands: int
    seconds: float
    built: dict[str, Built]
    samples: list[Session]
    customer_token: str


def fill_books(url: str, requests: int) -> HistoryBooks:
    """Record a history that ended at the last midnight, build the projections, and leave all as it is after weeks."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    history = History(requests, to_microseconds(midnight))
    with Ledger.open(url) as ledger:
        record(ledger, catalog_of_history())
        record(ledger, [command for name in workspaces_of_history() for command in opening(name)])
        issued = ledger.issue_key(IssueApiKey(workspace_id=HOT, api_key_id=CUSTOMER_KEY, scopes=("read",)), SYSTEM)
        began = perf_counter()
        posted, routed = post_all(ledger, history)
        seconds = perf_counter() - began
    built = {}
    for projection in PROJECTIONS:
        began = perf_counter()
        events = rebuild(url, projection).events
        built[projection] = Built(events, perf_counter() - began)
    for schema in ("ledger", "projections"):
        tidy_tables(url, schema)
    again = History(requests, history.ends_at).begun()
    samples = list(islice(again, 0, None, max(1, history.sessions // SAMPLES)))
    return HistoryBooks(
        url, history.begins_at, history.ends_at, routed, posted, seconds, built, samples, issued.token or ""
    )


def opening(workspace_id: str) -> list[Command]:
    """Return what opens a workspace with its keys and its funds."""
    commands: list[Command] = [
        CreateWorkspace(workspace_id=workspace_id, time_zone="UTC"),
        CreateProject(workspace_id=workspace_id, project_id=PROJECT),
        *(issue_key(workspace_id, api_key_id=name) for name in KEYS),
    ]
    for bucket in UNITS:
        commands += [
            OpenWallet(workspace_id=workspace_id, bucket=bucket), pay(workspace_id, bucket, FUNDS, f"{bucket}-1")
        ]  # fmt: skip
    return commands


def post_all(ledger: Ledger, history: History) -> tuple[int, int]:
    """Post a history, and return how many commands and requests it had."""
    posted = routed = 0
    for outcomes in outcomes_of(ledger, history):
        events = events_of(outcomes)
        posted += len(events)
        routed += sum(event.version == 1 for event in events)
    return posted, routed


def outcomes_of(ledger: Ledger, history: History) -> Iterator[list[Outcome]]:
    """Post a history in batches, the next ones made while one is posted, and yield the outcomes of each."""
    waiting: deque[Future[list[Outcome]]] = deque()
    # One thread: a request's commands must come in their order.
    with ThreadPoolExecutor(1) as poster:
        for batch in batches_of(history.commands()):
            waiting.append(poster.submit(ledger.execute_many, batch, SYSTEM))
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def batches_of(commands: Iterator[Command]) -> Iterator[list[Command]]:
    """Yield commands in batches."""
    while batch := list(islice(commands, BATCH_SIZE)):
        yield batch
