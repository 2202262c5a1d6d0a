"""The route ledger over random histories: the same in whatever pages, the sum of its rows, level with the journal."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from ledger.core.commands import Command, to_datetime
from ledger.core.refusals import Refused
from ledger.events import EVENT_TYPES, TAGS
from ledger.posting_rules import post
from ledger.request import commands as request
from ledger.request.state import Status
from projections.route_ledger.folding import entries_of, touches_wallet
from tests import strategies
from tests.property.book_draws import numbers, picks
from tests.property.test_book_machine import BookMachine
from tests.unit.route_rows import (
    KeptRows,
    balances_in,
    balances_of,
    balances_of_spending,
    events_of,
    kept_of,
    spending_of,
)
from tests.unit.story import ACME, catalog_commands, record_attempt, told, workspace_commands
from tests.unit.world import World

HAPPENS_NOW = (
    request.SettleRequest, request.ReleaseRequest, request.RecordAttempt, request.RefundCharge, request.CorrectCharge,
)  # fmt: skip
"""Commands that the story dates to one moment: here they happen when the clock says, quarters apart."""


class RouteMachine(BookMachine):
    """The machine of the book without its oracle, followed event by event and late."""

    @initialize()
    def open_the_book(self) -> None:
        """Start with the story's workspace, and a follower that has seen nothing."""
        self.world = World().all(*catalog_commands(), *workspace_commands())
        self.told: list[Command] = list(workspace_commands())
        self.number = 0
        self.by_events, self.late = KeptRows(ACME), KeptRows(ACME)

    def do(self, command: Command, *, known_to_oracle: bool = True) -> None:
        """Do a command, refused or not, and follow it at once."""
        if isinstance(command, HAPPENS_NOW) and command not in self.told:
            command = msgspec.structs.replace(command, effective_at=to_datetime(self.world.now))
        try:
            self.world.do(command)
        except Refused:
            return
        self.told.append(command)
        self.by_events.take(events_of(self.world, ACME, self.by_events.position))

    @rule()
    def follow_late(self) -> None:
        """Let the other follower catch up, in one page."""
        self.late.take(events_of(self.world, ACME, self.late.position))

    @rule(pick=picks, number=numbers)
    def fail_after_the_end(self, pick: int, number: int) -> None:
        """Record a failed attempt of a request that was settled meanwhile."""
        self.do(record_attempt(self.known(pick, "settled"), attempt=10 + number, retried=False))

    @invariant()
    def rows_are_what_the_journal_says(self) -> None:
        """Accounts of revenue, overrun, refunds and held are the sums of the rows, by bucket and route."""
        if not hasattr(self, "by_events"):
            return
        rows = self.by_events.read()
        assert balances_of(rows) == balances_in(self.world, ACME)
        assert balances_of_spending(self.by_events.spending) == balances_in(self.world, ACME, held=False)
        assert self.by_events.spending == spending_of(rows)

    @invariant()
    def rows_are_what_the_ledger_decides_on(self) -> None:
        """Status, route, bucket and money of every row are those of the write side, and only voids have no row."""
        if not hasattr(self, "by_events"):
            return
        requests = self.world.books[ACME].requests
        rows = {row.request_id: row for row in self.by_events.read()}
        assert rows.keys() == {name for name, state in requests.items() if state.status is not Status.VOIDED}
        for name, row in rows.items():
            state = requests[name]
            money = (row.held_minor, row.charge_minor or 0, row.paid_minor or 0, row.refunded_minor)
            assert money == (state.held_minor, state.charge_minor, state.paid_minor, state.refunded_minor)
            assert (row.charge_minor or 0) == (row.paid_minor or 0) + (row.overrun_minor or 0)
            assert (row.status, row.route, row.bucket) == (state.status.value, state.route, state.bucket)
            assert (row.tier, row.rate_card, row.expires_at) == (state.tier, state.rate_card, state.expires_at)

    def teardown(self) -> None:
        """Followed by events, in random pages or all at once, rows and spend are the same."""
        if hasattr(self, "late"):
            self.follow_late()
            once = kept_of(self.world, ACME)
            assert self.by_events.rows == self.late.rows == once.rows
            assert self.by_events.spending == self.late.spending == once.spending


RouteMachine.TestCase.settings = settings(
    max_examples=max(strategies.EXAMPLES // 2, 20), stateful_step_count=40, deadline=None
)
TestRouteMachine = RouteMachine.TestCase


@given(st.lists(st.integers(1, 12), max_size=12))
def test_the_story_is_the_same_in_whatever_pages(sizes: list[int]) -> None:
    """Every kind of event, in pages of any sizes: the same rows and the same spend."""
    world, _ = told()
    once, paged = kept_of(world, ACME), kept_of(world, ACME, sizes)
    assert (paged.rows, paged.spending) == (once.rows, once.spending)
    assert once.spending == spending_of(once.read())


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=TAGS.get)
@given(data=st.data())
def test_entries_are_those_of_the_posting_rules(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    """The short way to tell which entries an event makes says what the posting rules say."""
    event = data.draw(strategies.event_of(kind))
    assert list(entries_of(event)) == [(entry.bucket, touches_wallet(entry)) for entry in post(event)]
