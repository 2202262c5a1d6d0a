"""One stretch of a book walked from its first event to its last: chain, order, and what must stand in the journal.

What an event posts is the business of `ledger.posting_rules`, what that is in rows of `projections.journal`.
"""

from bisect import bisect_left
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from ledger.events import TAGS, Fact, decode_fact
from ledger.workspace.events import PeriodClosed
from ledger.workspace.periods import end_of
from projections import journal
from projections.audit.findings import Findings
from projections.audit.stretches import END, Stretch
from projections.audit.sums import ClosedPeriod, Moment, Sums, WalletFacts, add_turnovers
from projections.chaining import ChainedEvent, find_broken_links
from projections.days import Calendar
from projections.journal import EntryRow, JournalBook, JournalWallet, LegRow
from projections.replaying import NOT_APPLICABLE, Turnovers

__all__ = ["Openings", "Predecessor", "Walk"]

Predecessor = tuple[bytes, int]
"""Digest and time of the event before a stretch."""

Openings = Mapping[str, tuple[int, int]]
"""Posted and held by bucket, as the entry before a stretch states them."""

MovementRow = tuple[str, str, int, int, int, int]
"""Bucket, account, day, block, debit, credit."""

position_of = itemgetter(1)


class Walk:
    """A stretch while its events are walked; `end` is called after the last.

    `entries`, `legs` and `movements` are what the journal must have of the stretch, up to the journal's position.
    `broken_at` is the first position whose event cannot be applied.
    """

    def __init__(
        self, stretch: Stretch, generation: int, calendar: Calendar, openings: Openings, before: Predecessor | None
    ) -> None:
        self.stretch = stretch
        self.findings = Findings(stretch.book.workspace_id)
        self.sums = Sums(stretch.book.workspace_id, stretch.book.journal_position, stretch.first)
        self.entries: list[EntryRow] = []
        self.legs: list[LegRow] = []
        self.movements: list[MovementRow] = []
        self.broken_at: int | None = None
        self._position = stretch.first - 1
        self._previous: bytes | None = before and before[0]
        self._recorded_at = before[1] if before else 0
        self._book = JournalBook(stretch.book.workspace_id, generation, calendar)
        for limit in stretch.wallets:
            posted, held = openings.get(limit.bucket, (0, 0))
            self._book.wallets[limit.bucket] = JournalWallet(
                limit.bucket, limit.unit, limit.scale, limit.credit_limit_minor, posted, held
            )
        self._marks = sorted({stretch.book.journal_position, stretch.book.routes_position})
        while self._marks and self._marks[0] < stretch.first:
            self._reach(self._marks.pop(0))

    def take(self, events: list[ChainedEvent]) -> None:
        """Check and post the next events of the stretch."""
        for position, expected, found in find_broken_links(self.stretch.book.workspace_id, self._previous, events):
            self.findings.report("event digest", expected.hex(), found.hex(), position)
        self._previous = events[-1][-1]
        while self._marks and self._marks[0] < events[-1][1]:
            cut = bisect_left(events, self._marks[0] + 1, key=position_of)
            self._post(events[:cut])
            self._reach(self._marks.pop(0))
            events = events[cut:]
        self._post(events)

    def end(self) -> None:
        """Note what the whole stretch came to, and an end that is missing."""
        for mark in self._marks:
            self._reach(mark)
        if self.stretch.last != END and self._position < self.stretch.last:
            self.findings.report("event", "an event", "nothing", self._position + 1)
        sums = self.sums
        sums.at_end.turnovers = self._turnovers()
        sums.position, sums.digest, sums.recorded_at = self._position, self._previous or b"", self._recorded_at
        sums.entries, sums.legs = len(self.entries), len(self.legs)
        sums.is_broken = self.broken_at is not None

    def _post(self, events: list[ChainedEvent]) -> None:
        book, sums, last, recorded_last = self._book, self.sums, self._position, self._recorded_at
        for _, position, stream, _, tag, _, recorded_at, content, _ in events:
            if position != last + 1:
                self.findings.report("event", "an event", f"position {position} follows", last + 1)
            if recorded_at < recorded_last:
                self.findings.report("event recorded_at", f"at least {recorded_last}", recorded_at, position)
            last, recorded_last = position, recorded_at
            try:
                fact = decode_fact(content)
                event: Any = fact.event
                if TAGS[type(event)] != tag:
                    self.findings.report("event tag", TAGS[type(event)], tag, position)
                book.apply(position, stream, tag, recorded_at, fact)
                sums.observe(stream, event)
                if type(event) is PeriodClosed:
                    self._keep_period(position, fact, event)
            except NOT_APPLICABLE as error:
                self._report_inapplicable(position, error)
        sums.events += len(events)
        self._position, self._recorded_at = last, recorded_last
        if not self._is_kept:
            book.entries.clear()
            book.legs.clear()

    def _report_inapplicable(self, position: int, error: Exception) -> None:
        self.findings.report("event", "one that can be applied", f"{type(error).__name__}: {error}", position)
        if self.broken_at is None:
            self.broken_at = position

    @property
    def _is_kept(self) -> bool:
        """Whether the journal has not been reached yet: what comes after its position is in no row."""
        return self.stretch.book.journal_position in self._marks

    def _reach(self, mark: int) -> None:
        """Keep what had happened up to a position that a projection has reached."""
        if mark == self.stretch.book.routes_position:
            self.sums.at_routes = self._moment()
        if mark == self.stretch.book.journal_position:
            self.sums.at_journal = self._moment()
            self.entries, self.legs = list(self._book.entries), list(self._book.legs)
            self.movements = list(self._book.movements())

    def _moment(self) -> Moment:
        return Moment(self._turnovers(), {name: copy(facts) for name, facts in self.sums.at_end.wallets.items()})

    def _turnovers(self) -> Turnovers:
        return {(bucket, account): [debit, credit] for bucket, account, debit, credit in self._book.turnovers()}

    def _keep_period(self, position: int, fact: Fact, closing: PeriodClosed) -> None:
        """Keep what a closing states, and what was moved before it in its own block of positions."""
        calendar, own = self._book.calendar, position >> journal.BLOCK_BITS
        day, ends_at = calendar.day_of(closing.until), end_of(closing.period, calendar.zone.key)
        moved: Turnovers = {}
        for bucket, account, its_day, block, debit, credit in self._book.movements():
            if block == own and its_day < day:
                add_turnovers(moved, {(bucket, account): [debit, credit]})
        self.sums.periods.append(ClosedPeriod(position, fact.catalog_position, closing, ends_at, day, moved))


def copy(facts: WalletFacts) -> WalletFacts:
    """Return what is known of a wallet, apart from what will be added."""
    return WalletFacts(facts.unit, facts.scale, facts.credit_limit_minor, facts.frozen, facts.version)
