"""One book folded from its events alone, its hash chain recomputed on the way. No I/O but one rare look back."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ledger.book import BookState
from ledger.core.identifiers import PLATFORM
from ledger.events import CATALOG_STREAM, REQUEST_STREAM, TAGS, WORKSPACE_STREAM, Fact, decode_fact
from ledger.posting_rules import RULES
from ledger.request.state import RequestState, Status, fold_request
from ledger.store.chain import start_digest
from ledger.workspace.events import PeriodClosed, PeriodReopened
from ledger.workspace.periods import begin_of, end_of, period_at
from projections.chaining import ChainedEvent, find_broken_links
from projections.closed_periods import Buckets, Turnovers, closing_differences, sums_before, turnovers_of

__all__ = ["BookReplay", "Difference", "Earlier", "ReplayedEvent", "Turnovers"]

ReplayedEvent = ChainedEvent

Earlier = Callable[[str, str, int], list[tuple[int, bytes]]]
"""Returns version and state of a stream's events below a version: (workspace, stream, version)."""

DIFFERENCES_PER_BOOK_MAX = 100
NOT_APPLICABLE = (
    msgspec.MsgspecError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError,
)  # fmt: skip
"""What comes of an event that is no event, or does not fit what was before it."""


class Difference(msgspec.Struct, frozen=True):
    """Something live that is not what the events say: what they say, and what was found."""

    workspace_id: str
    what: str
    expected: str
    found: str


class BookReplay:
    """A book while its events are folded. `differences` names what is wrong with the events themselves.

    Ended requests are forgotten, so that memory does not grow with the book; an event on one of them folds its
    few earlier events again.
    """

    def __init__(self, workspace_id: str, earlier: Earlier, marks: Iterable[int] = ()) -> None:
        self.state = BookState(workspace_id)
        self.months: dict[int, Buckets] = {}
        """What went through the accounts by the first instant of the month that it was posted in."""
        self.period_events: list[Fact] = []
        """What closed and reopened periods, behind the fact that the book began with."""
        self._buckets: Buckets = defaultdict(dict)
        self._month_begin = self._month_end = 0
        self.turnovers_at: dict[int, Turnovers] = {}
        """What had gone through the accounts at each of the marks that was reached."""
        self.digest = start_digest(workspace_id)
        self.differences: list[Difference] = []
        self.is_broken = False
        self._earlier = earlier
        self._marks = frozenset(marks)

    def apply(self, events: Sequence[ReplayedEvent]) -> None:
        """Check and fold events in order."""
        book = self.state
        for position, computed, stored in find_broken_links(book.workspace_id, self.digest, events):
            self.report(f"event {position} digest", computed.hex(), stored.hex())
        for _, position, stream, version, tag, _, recorded_at, content, digest in events:
            if position != book.position + 1 or recorded_at < book.recorded_at:
                self._report_order(position, recorded_at)
            self.digest = digest
            if not self.is_broken:
                try:
                    self._fold(position, stream, version, tag, recorded_at, decode_fact(content))
                    continue
                except NOT_APPLICABLE as error:
                    self.report(f"event {position}", "one that can be applied", f"{type(error).__name__}: {error}")
                    self.is_broken = True
            book.position, book.recorded_at = position, recorded_at

    def _report_order(self, position: int, recorded_at: int) -> None:
        book = self.state
        if position != book.position + 1:
            self.report(f"event {book.position + 1}", "an event", f"position {position}")
        if recorded_at < book.recorded_at:
            self.report(f"event {position} recorded_at", f"at least {book.recorded_at}", recorded_at)

    def report(self, what: str, expected: object, found: object) -> None:
        """Note a difference, unless there are very many already."""
        if len(self.differences) < DIFFERENCES_PER_BOOK_MAX:
            self.differences.append(Difference(self.state.workspace_id, what, str(expected), str(found)))

    def _fold(self, position: int, stream: str, version: int, tag: str, recorded_at: int, fact: Fact) -> None:
        """Fold one event into the book and its accounts."""
        book = self.state
        event: Any = fact.event
        if not self._month_begin <= fact.effective_at < self._month_end:
            self._turn_to_month(position, fact.effective_at)
        if TAGS[type(event)] != tag:
            self.report(f"event {position} tag", TAGS[type(event)], tag)
        if stream.startswith(REQUEST_STREAM):
            requests = book.requests
            request_id = stream[len(REQUEST_STREAM) :]
            if version > 1 and request_id not in requests:
                requests[request_id] = self._look_back(stream, version)
            book.apply(stream, fact, position, recorded_at)
            state = requests[request_id]
            reached = state.version
            if state.status is not Status.OPEN:
                del requests[request_id]
        else:
            reached = self._fold_other(stream, fact, position, recorded_at)
        if reached != version:
            self.report(f"event {position} version", reached, version)
        for entry in RULES[type(event)](event):
            turnovers = self._buckets[entry.bucket]
            for leg in entry.legs:
                minor = leg.minor
                try:
                    turnovers[leg.debit_account][0] += minor
                except KeyError:
                    turnovers[leg.debit_account] = [minor, 0]
                try:
                    turnovers[leg.credit_account][1] += minor
                except KeyError:
                    turnovers[leg.credit_account] = [0, minor]
        if position in self._marks:
            self.turnovers_at[position] = self.turnovers

    def _fold_other(self, stream: str, fact: Fact, position: int, recorded_at: int) -> int:
        """Fold an event that is on no request, and return the version that its stream has reached."""
        self.state.apply(stream, fact, position, recorded_at)
        if stream == WORKSPACE_STREAM:
            self._note_workspace(fact)
        return self.state.version_of(stream)

    def _turn_to_month(self, position: int, instant: int) -> None:
        """Post to the accounts of the month of an instant, which must be open."""
        workspace = self.state.workspace
        if instant < workspace.closed_until:
            # Looked at here alone: a month is open or closed as a whole, and is turned to anew after each closing.
            self.report(f"event {position} effective_at", f"at least {workspace.closed_until}", instant)
        period = period_at(instant, workspace.time_zone)
        self._month_begin, self._month_end = begin_of(period, workspace.time_zone), end_of(period, workspace.time_zone)
        self._buckets = self.months.setdefault(self._month_begin, defaultdict(dict))

    def _note_workspace(self, fact: Fact) -> None:
        """Check what closes a period, and turn to the month anew: its zone is known now, or its end is closed."""
        self._month_begin = self._month_end = 0
        if not self.period_events or isinstance(fact.event, PeriodClosed | PeriodReopened):
            self.period_events.append(fact)
        if isinstance(fact.event, PeriodClosed) and self.state.workspace_id != PLATFORM:
            closing = fact.event
            expected = sums_before(self.months, closing.until)
            ends_at = end_of(closing.period, self.state.workspace.time_zone)
            for what, wanted, found in closing_differences(closing, ends_at, expected):
                self.report(what, wanted, found)

    def _look_back(self, stream: str, version: int) -> RequestState:
        """Return a request that had ended, folded from the events before this version."""
        state: RequestState | None = None
        for _, content in self._earlier(self.state.workspace_id, stream, version):
            fact = decode_fact(content)
            event: Any = fact.event
            state = fold_request(state, event, fact.happened_at)
        # Counted, not believed: a version that is missing is missed here.
        if state is None or state.version != version - 1:
            raise LookupError(f"the events of {stream} before version {version} are not all there")
        return state

    @property
    def turnovers(self) -> Turnovers:
        """What went through each account so far."""
        return turnovers_of(self.months.values())

    @property
    def stream_versions(self) -> tuple[int, int]:
        """The versions of the workspace's and the catalog's stream."""
        return self.state.version_of(WORKSPACE_STREAM), self.state.version_of(CATALOG_STREAM)
