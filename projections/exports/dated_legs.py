"""The journal's entries in the order of their days, streamed: the server sorts by days that our calendars know.

A day is the one that a time zone gives to `effective_at`. The server is told when days begin, so that no zone data but
ours decides. It makes the next rows while the caller writes these.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.days import Calendar
from projections.exports.scope import BookSpan, Scope

__all__ = ["DatedEntry", "DatedJournal"]

QUERIES = load_queries("projections.sql", "plain_text.sql")
ROWS_PER_FETCH = 2000
FETCHES_AHEAD = 3
INSTANT_MIN, INSTANT_MAX = -(2**63), 2**63 - 1

Leg = tuple[str, str, int]
"""Debit account, credit account, smallest parts."""


class DatedEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry with its day (days since 1970-01-01), its event and its legs. Instants are microseconds since 1970."""

    day: int
    workspace_id: str
    bucket: str
    position: int
    tag: str
    request_id: str | None
    effective_at: int
    recorded_at: int
    command_id: str
    digest: bytes
    legs: list[Leg]


class DatedJournal:
    """The entries of a scope by day, and which days they are on."""

    def __init__(
        self, connection: Connection[TupleRow], generation: int, scope: Scope, spans: Sequence[BookSpan]
    ) -> None:
        self._connection = connection
        self._generation = generation
        self._effective_from, self._effective_before = scope.effective_from, scope.effective_before
        self._since = INSTANT_MIN if scope.effective_from is None else scope.effective_from
        self._until = INSTANT_MAX if scope.effective_before is None else scope.effective_before
        self.spans = sorted(spans, key=lambda span: span.workspace_id)
        self._time_zones = {span.workspace_id: span.time_zone for span in self.spans}
        self.zones = {span.workspace_id: scope.zone or span.time_zone for span in self.spans}
        self.calendars = {zone: Calendar(zone) for zone in sorted(set(self.zones.values()))}
        self._bounds = self._read_bounds()

    def first_day(self, otherwise: int) -> int:
        """Return the day (since 1970-01-01) on which the scope begins, or one that no entry is before.

        Where there is neither, it is the day of an instant.
        """
        begin = self._effective_from
        if begin is None:
            begin = otherwise if self._bounds is None else self._bounds[0]
        return min((calendar.day_of(begin) for calendar in self.calendars.values()), default=0)

    def last_day(self, otherwise: int) -> int:
        """Return the last day of the scope, or the one that is given for a scope without an end."""
        if self._effective_before is None:
            return otherwise
        return max((calendar.day_of(self._effective_before - 1) for calendar in self.calendars.values()), default=0)

    def entries(self) -> Iterator[DatedEntry]:
        """Yield entries in the order of day, workspace, position and bucket, each with its legs in order.

        Raises LookupError for an entry on a day without movements: the journal contradicts itself.
        """
        if self._bounds is None:
            return
        begin, end = self._bounds
        first_day = min(calendar.day_of(begin) for calendar in self.calendars.values())
        with self._connection.cursor("dated_legs") as cursor, ThreadPoolExecutor(1) as thread:
            cursor.execute(QUERIES["read_dated_legs"], self._question(first_day, end), binary=True)
            coming = deque(thread.submit(cursor.fetchmany, ROWS_PER_FETCH) for _ in range(FETCHES_AHEAD))
            unfinished: list[TupleRow] = []
            while rows := coming.popleft().result():
                coming.append(thread.submit(cursor.fetchmany, ROWS_PER_FETCH))
                unfinished = yield from group_legs([*unfinished, *rows], first_day)
            if unfinished:
                yield entry_of(unfinished, first_day)

    def _books(self) -> dict[str, Any]:
        """Return the parameters that name the books."""
        return {"workspace_ids": [span.workspace_id for span in self.spans], "generation": self._generation}

    def _read_bounds(self) -> tuple[int, int] | None:
        """Return an instant that no entry is before, and one that all are before; None where there is no entry."""
        begins, ends = [], []
        rows = self._connection.execute(QUERIES["read_days_of_books"], self._books(), binary=True)
        for workspace_id, first, last in rows:
            calendar = Calendar(self._time_zones[workspace_id])
            begins.append(calendar.begin_of(first))
            ends.append(calendar.begin_of(last + 1))
        begin = max(min(begins, default=INSTANT_MAX), self._since)
        end = min(max(ends, default=INSTANT_MIN), self._until)
        return (begin, end) if begin < end else None

    def _question(self, first_day: int, end: int) -> dict[str, Any]:
        """Return the parameters of the entries' query. Calendars begin with the same day, and know all until `end`."""
        numbers = {zone: number for number, zone in enumerate(self.calendars)}
        edges = [
            (numbers[zone], calendar.begin_of(day))
            for zone, calendar in self.calendars.items()
            for day in range(first_day, calendar.day_of(end) + 1)
        ]
        return {
            **self._books(),
            "first_positions": [span.first_position for span in self.spans],
            "last_positions": [min(span.last_position, span.position) for span in self.spans],
            "calendars": [numbers[self.zones[span.workspace_id]] for span in self.spans],
            "calendars_of_edges": [number for number, _ in edges],
            "edges": [edge for _, edge in edges],
            "effective_from": self._since,
            "effective_before": self._until,
        }


def group_legs(rows: Sequence[TupleRow], first_day: int) -> Generator[DatedEntry, None, list[TupleRow]]:
    """Yield the entries whose legs are all there; return the rows of the last one, of which more may come."""
    start = 0
    workspace_id, bucket, position = rows[0][1:4]
    for place, row in enumerate(rows):
        if row[3] != position or row[2] != bucket or row[1] != workspace_id:
            yield entry_of(rows[start:place], first_day)
            start = place
            _, workspace_id, bucket, position, *_ = row
    return list(rows[start:])


def entry_of(rows: Sequence[TupleRow], first_day: int) -> DatedEntry:
    """Return the entry that rows are the legs of."""
    number, workspace_id, bucket, position, _, _, _, _, tag, request_id, effective_at, recorded_at, *event = rows[0]
    if number == 0:
        raise LookupError(f"entry {position} of {workspace_id} is dated before everything that moved")
    day = first_day + number - 1
    legs = [row[5:8] for row in rows]
    command_id, digest = event
    return DatedEntry(
        day, workspace_id, bucket, position, tag, request_id, effective_at, recorded_at, command_id, digest, legs
    )  # fmt: skip
