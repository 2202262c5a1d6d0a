"""The book's machine with months that are closed and reopened in between: what was closed stays as it was stated."""

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from ledger.core.commands import Command, to_datetime, to_microseconds
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refused
from ledger.events import encode_fact
from ledger.wallet import commands as wallet
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from ledger.workspace.events import AccountBalance, PeriodClosed
from ledger.workspace.periods import AccountSums, add_sums, balances_of, end_of, numbered, open_from
from tests import strategies
from tests.property.book_draws import amount, picks, sizes, tokens
from tests.property.test_book_machine import BookMachine
from tests.unit.story import ACME, ZONE, settle_request
from tests.unit.world import SECOND, Recording

MONTHS = ("2026-06", "2026-07", "2026-08", "2026-09", "2026-10")
whose = st.sampled_from((ACME, ACME, PLATFORM))
long_ago = st.integers(0, 100 * 86_400)


class PeriodMachine(BookMachine):
    """The book's machine, with finance at its months. The oracle knows nothing of them, and is right all the same."""

    @initialize()
    def remember(self) -> None:
        """Nothing is closed yet."""
        self.closed: dict[tuple[str, str], tuple[AccountBalance, ...]] = {}

    def do(self, command: Command, *, known_to_oracle: bool = True) -> None:
        """Tell a command, and look at where its event is posted."""
        is_on_periods = isinstance(command, ClosePeriod | ReopenPeriod)
        if is_on_periods:
            known_to_oracle = False
        recorded = dict(self.world.recorded)
        workspaces = {name: book.workspace for name, book in self.world.books.items()}
        catalog = self.world.books[PLATFORM].catalog
        super().do(command, known_to_oracle=known_to_oracle)
        for key, done in self.world.recorded.items():
            if key not in recorded and key[0] in workspaces:
                self.look_at(command, done, open_from(workspaces[key[0]], catalog))

    def look_at(self, command: Command, done: Recording, opens: int) -> None:
        """Check that an event is posted when it happened, or at the first instant that was open."""
        fact = done.fact
        stated = command.effective_at
        assert fact.happened_at == (self.world.now if stated is None else to_microseconds(stated))
        assert fact.effective_at == max(fact.happened_at, opens)
        assert (b'"served_at"' in encode_fact(fact)) == (fact.happened_at < opens)

    @rule(days=st.integers(1, 30))
    def let_a_month_pass(self, days: int) -> None:
        """Move the clock by days."""
        self.world.now += days * 86_400 * SECOND

    @rule(period=st.sampled_from(MONTHS), name=whose)
    def close(self, period: str, name: str) -> None:
        """Close a month, which may not be to be closed."""
        self.tell(ClosePeriod(workspace_id=name, period=period))

    @rule(pick=picks, name=whose)
    def reopen(self, pick: int, name: str) -> None:
        """Reopen the last closed month, now and then another one."""
        period = self.world.books[name].workspace.closed_period
        self.tell(ReopenPeriod(workspace_id=name, period=period if period and pick else MONTHS[2], reason="late"))

    @rule(name=whose)
    def close_all_that_is_over(self, name: str) -> None:
        """Close what has ended, month by month: first the book's, then perhaps the platform's."""
        for owner in (ACME, name):
            for period in MONTHS:
                self.tell(ClosePeriod(workspace_id=owner, period=period))

    def tell(self, command: ClosePeriod | ReopenPeriod) -> None:
        """Do a command on periods under its number, and note what is closed."""
        asked = numbered(command, self.world.books[command.workspace_id].workspace)
        try:
            done = self.world.do(asked)
        except Refused:
            return
        self.told += [asked] * (not done.repeated)
        key = (asked.workspace_id, asked.period)
        if isinstance(done.fact.event, PeriodClosed):
            self.closed[key] = done.fact.event.balances
        elif not done.repeated:
            del self.closed[key]

    @rule(bucket=st.sampled_from(("credit", "rmb")), size=sizes, ago=long_ago)
    def pay_late(self, bucket: str, size: str, ago: int) -> None:
        """Add funds that came in long ago."""
        self.do(
            wallet.AddFunds(
                workspace_id=ACME, bucket=bucket, amount=amount(bucket, size), source="alipay",
                reference=self.fresh(), effective_at=self.before(ago),
            )
        )  # fmt: skip

    @rule(size=sizes, counts=st.tuples(tokens, tokens), ago=long_ago)
    def burn_late(self, size: str, counts: tuple[int, int], ago: int) -> None:
        """Route and settle a request of long ago."""
        self.route(0, "gpt-direct", size, "k1", ago, 1)
        name = f"n{self.number}"
        usage: Any = settle_request().usage
        self.do(settle_request(name, usage=usage, provider_cost=None, effective_at=self.before(ago)))

    def before(self, seconds: int) -> Any:
        """Return a moment so many seconds ago."""
        return to_datetime(self.world.now) - timedelta(seconds=seconds)

    @invariant()
    def what_is_closed_stays_as_it_was_stated(self) -> None:
        """All that is effective before the end of a closed month is what its closing says, whatever came since."""
        for (name, period), stated in getattr(self, "closed", {}).items():
            sums: AccountSums = {}
            until = end_of(period, ZONE)
            for posted in self.world.posted:
                if posted.effective_at < until and posted.workspace_id == ACME:
                    add_sums(sums, posted.changes)
            assert balances_of(sums) == stated, (name, period)

    @invariant()
    def what_the_platform_has_closed_is_closed_in_the_book(self) -> None:
        """The platform's closed months are the book's own too, and each book opens where the last one ends."""
        if not hasattr(self, "closed"):
            return
        own, platform = (self.world.books[name].workspace for name in (ACME, PLATFORM))
        assert platform.closed_periods.keys() <= own.closed_periods.keys()
        assert {key for key in self.closed if key[0] == ACME} == {(ACME, name) for name in own.closed_periods}
        assert own.closed_until == max(own.closed_periods.values(), default=0)
        assert self.world.books[PLATFORM].catalog.closed_period == platform.closed_period


PeriodMachine.TestCase.settings = settings(
    max_examples=max(strategies.EXAMPLES, 60), stateful_step_count=40, deadline=None
)
TestPeriodMachine = PeriodMachine.TestCase
