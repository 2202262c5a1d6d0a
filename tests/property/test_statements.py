"""Statements, funding and margins over random histories: they tie out to the last unit, and closed months stand."""

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from ledger.core.accounts import overrun, refunds, revenue
from ledger.core.amounts import StatedAmount, count_minor
from ledger.core.commands import Command, to_datetime
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refused
from ledger.wallet import commands as wallet
from ledger.wallet.events import Paid
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from projections.funding.telling import funding_page
from projections.margin.telling import margin_page
from projections.spend.asking import PeriodAsked
from projections.statements.answers import Statement, StatementChanges
from projections.statements.asking import month_of
from tests import strategies
from tests.property.book_draws import amount, numbers, picks, routes, signed, sizes, tokens
from tests.property.test_book_machine import BookMachine
from tests.unit.route_rows import KeptRows, events_of
from tests.unit.statements import UNITS, funding_in, margin_in, months_of, statement_in
from tests.unit.story import ACME, ZONE, catalog_commands, workspace_commands
from tests.unit.world import SECOND, World

EVER = PeriodAsked(0, 4 * 10**15)
Kept = dict[tuple[str, str], Statement]


class StatementMachine(BookMachine):
    """The machine of the book without its oracle, whose months are closed and reopened; everything is dated freely."""

    @initialize()
    def open_the_book(self) -> None:
        """Start with the story's workspace, followed from its first event."""
        self.world = World().all(*catalog_commands(), *workspace_commands())
        self.told: list[Command] = list(workspace_commands())
        self.number = 0
        self.ago = 0
        self.followed = KeptRows(ACME)
        self.kept: Kept = {}
        self.statements: Kept = {}
        self.told_at = 0

    def do(self, command: Command, *, known_to_oracle: bool = True) -> None:
        """Do a command, refused or not, as if it had happened some time ago, and follow it at once."""
        is_of_periods = isinstance(command, ClosePeriod | ReopenPeriod)
        if command not in self.told and not is_of_periods:
            happened_at = to_datetime(self.world.now - self.ago * SECOND)
            command = msgspec.structs.replace(command, effective_at=happened_at)
        try:
            self.world.do(command)
        except Refused:
            return
        if not is_of_periods:
            # The same words close a month anew once it was reopened.
            self.told.append(command)
        self.followed.take(events_of(self.world, ACME, self.followed.position))

    @rule(ago=st.sampled_from((0, 1, 20 * 86_400, 35 * 86_400)) | st.integers(0, 70 * 86_400))
    def look_back(self, ago: int) -> None:
        """From now on what is told happened so many seconds ago."""
        self.ago = ago

    @rule(route=routes, size=sizes, counts=st.tuples(tokens, tokens), ago=st.integers(0, 45))
    def burn_late(self, route: str, size: str, counts: tuple[int, int], ago: int) -> None:
        """Route and settle at once what happened days ago."""
        before, self.ago = self.ago, ago * 86_400
        self.burn(route, size, counts)
        self.ago = before

    @rule(pick=picks, number=numbers, size=sizes, change=signed)
    def amend(self, pick: int, number: int, size: str, change: str) -> None:
        """Refund and correct."""
        self.refund(pick % 9, number, size)
        self.correct(pick % 9, number, change)

    @rule(
        bucket=st.sampled_from(("credit", "rmb")), size=sizes, number=numbers,
        currency=st.sampled_from(("CNY", "USD", "JPY")), fee=st.none() | st.sampled_from(("0.1", "3")),
        external_id=st.none() | st.sampled_from(("x-1", "x-2")),
    )  # fmt: skip
    def pay(self, bucket: str, size: str, number: int, currency: str, fee: str | None, external_id: str | None) -> None:
        """Record a payment with a memo."""
        stated: dict[str, Any] = {"workspace_id": ACME, "bucket": bucket, "amount": amount(bucket, size)}
        memo = Paid(size, currency, fee, external_id)
        self.do(wallet.AddFunds(**stated, source="bank", reference=f"B-{number}", paid=memo))

    @rule(size=signed)
    def adjust_points(self, size: str) -> None:
        """Adjust the wallet that has no decimals."""
        whole = str(int(float(size)) or 1)
        self.do(
            wallet.PostAdjustment(
                workspace_id=ACME, bucket="points", adjustment_id=self.fresh(), amount=amount("points", whole),
                reason="typo",
            )
        )  # fmt: skip

    @rule(pick=picks)
    def close(self, pick: int) -> None:
        """Let a month end, mostly the earliest that is open, close it, and keep its statements."""
        months = [name for name in self.months() if name not in self.closed()]
        if not months:
            return
        name = months[pick % len(months)] if pick > 8 else months[0]
        self.world.now = max(self.world.now, month_of(name, ZONE).end + pick * SECOND)
        self.do(ClosePeriod(workspace_id=ACME, period=name))
        if name in self.closed():
            for bucket in UNITS:
                for month in self.months():
                    if month <= name:
                        self.kept[bucket, month] = self.statement(bucket, month)

    @precondition(lambda self: self.kept)
    @rule()
    def reopen(self) -> None:
        """Open the last closed month again: its statements may change from now on."""
        name = max(self.closed(), default="")
        if name:
            self.do(ReopenPeriod(workspace_id=ACME, period=name, reason="an error"))
            last = max(self.closed(), default="")
            self.kept = {key: kept for key, kept in self.kept.items() if key[1] <= last}

    def closed(self) -> set[str]:
        """Return the months that are closed."""
        return set(self.world.books[ACME].workspace.closed_periods)

    def months(self) -> list[str]:
        """Return the months that have postings."""
        return months_of(self.world)

    def statement(self, bucket: str, month: str) -> Statement:
        """Return a statement as it is now, made once for each position of the book."""
        if self.told_at != self.followed.position:
            self.told_at, self.statements = self.followed.position, {}
        if (bucket, month) not in self.statements:
            self.statements[bucket, month] = statement_in(self.world, self.followed.spending, bucket, month)
        return self.statements[bucket, month]

    @invariant()
    def every_month_ties_out(self) -> None:
        """Opening and all changes are the closing balance, which the next month opens with; the last one is live."""
        if not hasattr(self, "followed"):
            return
        for bucket, unit in UNITS.items():
            before = 0
            for month in self.months():
                told = self.statement(bucket, month)
                assert (told.problems, told.complete, count_minor(told.difference)) == ([], True, 0)
                assert told.status == ("closed" if month <= max(self.closed(), default="") else "open")
                assert count_minor(told.opening.balance) == before
                changes = [getattr(told.changes, name) for name in StatementChanges.__struct_fields__]
                before = count_minor(told.closing.balance)
                assert before == count_minor(told.opening.balance) + sum(map(count_minor, changes))
                assert {each.unit for each in changes} == {unit.code}
                lines_are_the_changes(told)
            state = self.world.books[ACME].wallets.get(bucket)
            assert before == (0 if state is None else state.posted_minor)

    @invariant()
    def closed_months_stand(self) -> None:
        """What was told of a month when it was closed is told for ever, but for the position that it holds for."""
        if not hasattr(self, "followed"):
            return
        for (bucket, month), kept in self.kept.items():
            now = self.statement(bucket, month)
            assert msgspec.structs.replace(now, position=0) == msgspec.structs.replace(kept, position=0)

    @invariant()
    def what_was_moved_is_of_closed_months(self) -> None:
        """A moved posting stands at the begin of its new month and says a time before it."""
        if not hasattr(self, "followed"):
            return
        for bucket in UNITS:
            for month in self.months():
                told = self.statement(bucket, month)
                assert all(moved.served_at < told.period.begins_at for moved in told.moved)
                assert all(line.served_at is None or line.served_at < told.period.begins_at for line in told.funds)

    @invariant()
    def funding_ties_out(self) -> None:
        """In any month, and over all of them, each source's account is its payments less what went back."""
        if not hasattr(self, "followed"):
            return
        for name in (*self.months(), None):
            month = None if name is None else month_of(name, ZONE)
            period = EVER if month is None else PeriodAsked(month.begin, month.end)
            page = funding_page(ACME, period, ZONE, funding_in(self.world, period), UNITS)
            assert page.ties_out
            for row in page.rows:
                assert {count_minor(row.difference), count_minor(row.balance_difference)} == {0}

    @invariant()
    def margins_are_the_accounts(self) -> None:
        """What is owed and unpaid on a route over all time is what the accounts of revenue, refunds and overrun say."""
        if not hasattr(self, "followed"):
            return
        catalog = self.world.books[PLATFORM].catalog
        found = margin_in(self.followed.spending, EVER.begin, EVER.end)
        page = margin_page(ACME, EVER, ZONE, found, catalog, complete=True)
        owed: dict[tuple[str, str], int] = {}
        unpaid: dict[tuple[str, str], int] = {}
        for row in page.rows:
            key = (row.bucket, row.route)
            owed[key] = owed.get(key, 0) + count_minor(row.charge.owed)
            unpaid[key] = unpaid.get(key, 0) + count_minor(row.charge.overrun)
            cards = [count_minor(card.charge.paid) for card in row.cards]
            assert sum(cards) == count_minor(row.charge.paid)
        for (bucket, route), minor in owed.items():
            accounts = self.world.accounts
            expected = -accounts[ACME, bucket, revenue(route)] - accounts[ACME, bucket, refunds(route)]
            assert minor == expected
            assert unpaid[bucket, route] == accounts[ACME, bucket, overrun(route)]


def lines_are_the_changes(told: Statement) -> None:
    """Check that each list comes to what the changes say of it."""
    charged = [count_minor(line.charged) for line in told.charges]
    assert -sum(charged) == count_minor(told.changes.charges)
    assert -sum(count_minor(line.corrected) for line in told.charges) == count_minor(told.changes.corrections)
    assert sum(count_minor(line.refunded) for line in told.charges) == count_minor(told.changes.refunds)
    for kind, column in (
        ("payment", "payments"), ("grant", "grants"), ("reversal", "reversals"), ("withdrawal", "withdrawals"),
        ("exchange", "exchanges"), ("adjustment", "adjustments"),
    ):  # fmt: skip
        listed = sum(count_minor(line.amount) for line in told.funds if line.kind == kind)
        change: StatedAmount = getattr(told.changes, column)
        assert listed == count_minor(change)


StatementMachine.TestCase.settings = settings(
    max_examples=max(strategies.EXAMPLES, 20), stateful_step_count=50, deadline=None
)
TestStatementMachine = StatementMachine.TestCase
