"""A ledger elsewhere: what it answers to reads of its journal, and its listings. Nothing adds two buckets.

Of requests a key of the platform is told more: the answer is then a `Receipt`, a `RequestLine`, a `RunView`, a
`SpendRow`, which have the fields of what a workspace's own key gets, and `platform` beside them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypedDict, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from gateway.ledger_answers import Decoder
from ledger.core.commands import to_datetime
from projections.api.answers import BookEvent, JournalEntry, StatementLine, TrialBalance, WalletBalance
from projections.change.answers import Change
from projections.receipt.answers import CustomerReceipt, Receipt
from projections.route_ledger.answers import CustomerRequestLine, CustomerRunView, RequestLine, RunView
from projections.spend.answers import CustomerSpendRow, SpendRow

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a listing; `next_cursor` leads on while `has_more`."""

    data: list[T]
    next_cursor: str | None
    has_more: bool


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """Something that is read page by page: the names in its path, how a page is decoded, and what is asked."""

    names: tuple[str, ...]
    decode: Callable[[bytes], Page[T]]
    parameters: dict[str, str] = {}


class RequestFilters(TypedDict, total=False):
    """Which requests are asked for. They began at `begin` or later and before `end`, in microseconds since 1970."""

    workspace_id: str
    project: str
    key: str
    end_user: str
    workflow: str
    run: str
    model: str
    route: str
    tier: str
    provider: str
    bucket: str
    status: str
    fallback: bool
    begin: int
    end: int


class MomentAsked(TypedDict, total=False):
    """As of when something is asked: a position, or a time, which is an instant or a day as text; a day's zone."""

    position: int
    recorded_at: str
    effective_at: str
    zone: str


class Told(msgspec.Struct, frozen=True):
    """Whether an answer tells what is the platform's alone: itself, in its lines, or in its totals."""

    platform: msgspec.Raw | UnsetType = UNSET
    data: list["Told"] = []
    buckets: list["Told"] = []

    def is_whole(self) -> bool:
        """Return whether any part of it does."""
        return self.platform is not UNSET or any(each.is_whole() for each in (*self.data[:1], *self.buckets[:1]))


class EitherDecoder:
    """Reads an answer of which the platform gets more as the one or the other type, or says that it is neither."""

    def __init__(self, whole: Any, customers: Any) -> None:
        self._told = Decoder(Told)
        self._whole = Decoder(whole)
        self._customers = Decoder(customers)

    def __call__(self, body: bytes) -> Any:
        """Return the answer. Raises AnswerUnreadable."""
        told: Told = self._told(body)
        return self._whole(body) if told.is_whole() else self._customers(body)


decode_trial_balance = Decoder(TrialBalance)
decode_balance_at = Decoder(WalletBalance)
decode_entries = Decoder(Page[JournalEntry])
decode_events = Decoder(Page[BookEvent])
decode_statement = Decoder(Page[StatementLine])
decode_receipt = EitherDecoder(Receipt, CustomerReceipt)
decode_requests = EitherDecoder(Page[RequestLine], Page[CustomerRequestLine])
decode_run = EitherDecoder(RunView, CustomerRunView)
decode_change = Decoder(Change)
decode_spend = EitherDecoder(Page[SpendRow], Page[CustomerSpendRow])


def entries_listing(workspace_id: str) -> Listing[JournalEntry]:
    """Return the listing of a workspace's entries."""
    return Listing(("workspaces", workspace_id, "entries"), decode_entries)


def events_listing(workspace_id: str) -> Listing[BookEvent]:
    """Return the listing of a workspace's events."""
    return Listing(("workspaces", workspace_id, "events"), decode_events)


def statement_listing(workspace_id: str, bucket: str, moment: MomentAsked) -> Listing[StatementLine]:
    """Return the listing of a wallet's statement, up to a moment if one is asked for."""
    return Listing(("wallets", workspace_id, bucket, "statement"), decode_statement, moment_parameters(moment))


def moment_parameters(moment: MomentAsked) -> dict[str, str]:
    """Return a moment as it is sent."""
    return {name: str(value) for name, value in moment.items()}


def requests_listing(filters: RequestFilters) -> Listing[CustomerRequestLine]:
    """Return the listing of the requests that are asked for."""
    return Listing(("requests",), decode_requests, dict(map(parameter_of, filters.items())))


def spend_listing(asked: Mapping[str, str]) -> Listing[CustomerSpendRow]:
    """Return the listing of what was spent."""
    return Listing(("spend",), decode_spend, dict(asked))


def parameter_of(given: tuple[str, Any]) -> tuple[str, str]:
    """Return a filter as it is sent."""
    name, value = given
    if name in INSTANTS:
        return INSTANTS[name], to_datetime(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return name, "yes" if value else "no"
    return name, value


INSTANTS = {"begin": "from", "end": "to"}
"""Filters that are instants, and what they are called in a query."""
