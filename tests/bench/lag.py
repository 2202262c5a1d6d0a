"""How far the projections are behind the books while these are written: looked at every few milliseconds.

Some books are watched. Where one has moved between two looks, its new position is followed until each projection has
it, and the time is counted from the look before: it is too long by a look at most, and never too short.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from math import ceil
from time import monotonic, sleep

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.bench.following import PATIENCE_SECONDS, read_behind

LOOK_SECONDS = 0.005
COUNT_SECONDS = 0.5
"""How often all books are counted, which costs more than a look."""

WATCHED = """
select active.projection, book.workspace_id, book.position, coalesce(progress.position, 0)
from ledger.book
cross join projections.generation as active
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = active.projection and progress.generation = active.generation
where book.workspace_id = any(%s) and active.status = 'active'
"""


class Lag(msgspec.Struct):
    """What was seen of one projection: seconds until rows could be read, and events behind, in the order of time."""

    seconds: list[float] = []
    behind: list[int] = []
    level_seconds: float = 0.0
    """How long it took to be level with the books after the last of them was written."""

    def quantile_ms(self, part: float) -> float:
        """Return the milliseconds that a part of what was followed stayed within."""
        return sorted(self.seconds)[max(0, ceil(part * len(self.seconds)) - 1)] * 1000


class LagWatch:
    """Watches some books on a connection of its own."""

    def __init__(self, url: str, workspace_ids: Sequence[str]) -> None:
        self._url = url
        self._workspace_ids = list(workspace_ids)
        self._lags: dict[str, Lag] = defaultdict(Lag)
        self._reached: dict[tuple[str, str], int] = {}
        self._waiting: dict[tuple[str, str], deque[tuple[int, float]]] = defaultdict(deque)

    def watch(self, is_over: Callable[[], bool]) -> dict[str, Lag]:
        """Look until the writing is over and all of it has been followed; return what was seen of each projection."""
        with psycopg.connect(self._url, autocommit=True, prepare_threshold=0) as connection:
            before = self._look(connection, monotonic())
            counted_at = before
            while not is_over():
                sleep(LOOK_SECONDS)
                before = self._look(connection, before)
                if before - counted_at > COUNT_SECONDS:
                    self._count(connection)
                    counted_at = before
            behind = self._count(connection)
            ended_at = monotonic()
            while any(behind.values()) or any(self._waiting.values()):
                assert monotonic() - ended_at < PATIENCE_SECONDS, f"the followers do not follow: {behind}"
                sleep(LOOK_SECONDS)
                before = self._look(connection, before)
                behind = read_behind(connection)
                for projection in [name for name, events in behind.items() if not events]:
                    lag = self._lags[projection]
                    lag.level_seconds = lag.level_seconds or monotonic() - ended_at
        return dict(self._lags)

    def _look(self, connection: Connection[TupleRow], before: float) -> float:
        """Look at the watched books; `before` is when the last look began. Return when this look began."""
        began = monotonic()
        rows = connection.execute(WATCHED, (self._workspace_ids,)).fetchall()
        ended = monotonic()
        for projection, workspace_id, position, followed in rows:
            key = (projection, workspace_id)
            waiting = self._waiting[key]
            if position > self._reached.setdefault(key, position):
                waiting.append((position, before))
                self._reached[key] = position
            while waiting and waiting[0][0] <= followed:
                self._lags[projection].seconds.append(ended - waiting.popleft()[1])
        return began

    def _count(self, connection: Connection[TupleRow]) -> dict[str, int]:
        """Note how far each projection is behind all books together."""
        behind = read_behind(connection)
        for projection, events in behind.items():
            self._lags[projection].behind.append(events)
        return behind
