"""What the tie-out is made of: turnovers of the accounts, and the events of wallets, in smallest parts. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from ledger.core.accounts import funding
from ledger.events import TAGS, Fact
from ledger.wallet.events import FundsAdded, FundsReversed, FundsWithdrawn, Paid
from projections.funding.answers import FundingKind

__all__ = ["FUNDING_TAGS", "AccountFound", "EventFound", "FundingFound", "events_found"]

KINDS: dict[type, FundingKind] = {FundsAdded: "payment", FundsReversed: "reversal", FundsWithdrawn: "withdrawal"}
FUNDING_TAGS = [TAGS[kind] for kind in KINDS]
ACCOUNT_PREFIX = funding("")


class AccountFound(msgspec.Struct, frozen=True):
    """A `funding.<source>` account of one book: what went through it before the period, and until its end."""

    workspace_id: str
    bucket: str
    account: str
    debit_before_minor: int
    credit_before_minor: int
    debit_minor: int
    credit_minor: int

    @property
    def source(self) -> str:
        """The source of payments that the account is of."""
        return self.account.removeprefix(ACCOUNT_PREFIX)


class EventFound(msgspec.Struct, frozen=True):
    """A payment, reversal or withdrawal, whenever it happened."""

    workspace_id: str
    position: int
    kind: FundingKind
    effective_at: int
    bucket: str
    source: str
    reference: str
    minor: int
    paid: Paid | None


class FundingFound(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one book or of all, each at the position that the journal has followed it to.

    `events_behind` is how many events it has not followed; `position` is the one book's, None of several.
    """

    position: int | None
    books: int
    events_behind: int
    accounts: list[AccountFound]
    events: list[EventFound]


def events_found(facts: Iterable[tuple[str, int, Fact]]) -> Iterator[EventFound]:
    """Yield what moves a source of payments, out of facts with their workspaces and positions."""
    for workspace_id, position, fact in facts:
        event = fact.event
        if isinstance(event, FundsAdded | FundsReversed | FundsWithdrawn):
            yield EventFound(
                workspace_id, position, KINDS[type(event)], fact.effective_at, event.bucket, event.source,
                event.reference, event.amount_minor, event.paid,
            )  # fmt: skip
