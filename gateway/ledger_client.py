"""A ledger elsewhere, over HTTP: what another gateway installs. Neither server nor database is loaded for it.

    with LedgerClient("http://127.0.0.1:8080", key) as ledger:
        ledger.post(RouteRequest(…))
        ledger.post(SettleRequest(…))

Every post carries its identity, so that it is sent again when its outcome is not known, and counts once. What is
decided without I/O is in `ledger_calls` and `ledger_exchange`; both clients here only send, wait and close.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from copy import copy
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from gateway.ledger_answers import event_of
from gateway.ledger_calls import PostOutcome, Steps
from gateway.ledger_errors import AnswerUnreadable, LedgerError, LedgerUnavailable, RefusedByLedger
from gateway.ledger_exchange import Lost, Pause, Reply, Retrying, Send, Timing
from gateway.ledger_http import DICE, RETRYING, client_settings, lost, reply_of, request_settings
from gateway.ledger_journal import (
    Listing,
    MomentAsked,
    RequestFilters,
    entries_listing,
    events_listing,
    requests_listing,
    spend_listing,
    statement_listing,
)
from gateway.ledger_operating import OperatingCalls
from ledger.api.answers import Balance, Balances, CommandAnswer, KeyAnswer
from ledger.api.period_answers import PeriodsView
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.operating import MOMENT_MAX, Caller, Health, PinnedResponse, RefusedCalls, RefusedCallsPage
from ledger.workspace.commands import IssueApiKey
from projections.api.answers import BookEvent, JournalEntry, StatementLine, TrialBalance, WalletBalance
from projections.change.answers import Change
from projections.receipt.answers import CustomerReceipt, Receipt
from projections.route_ledger.answers import CustomerRequestLine, CustomerRunView, RequestLine, RunView
from projections.spend.answers import CustomerSpendRow, SpendRow

__all__ = [
    "AnswerUnreadable", "AsyncLedgerClient", "Balance", "Balances", "BookEvent", "Change", "CommandAnswer",
    "CustomerReceipt", "CustomerRequestLine", "CustomerRunView", "CustomerSpendRow", "JournalEntry", "KeyAnswer",
    "LedgerClient", "LedgerError", "LedgerUnavailable", "MomentAsked", "PostOutcome", "Receipt", "RefusedByLedger",
    "RequestFilters", "RequestLine", "Retrying", "RunView", "SpendRow", "StatementLine", "TrialBalance",
    "WalletBalance", "event_of",
]  # fmt: skip

T = TypeVar("T")


class LedgerClient:
    """The client for threads: several may share one."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retrying: Retrying = RETRYING,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = DICE,
    ) -> None:
        self._calls = OperatingCalls(retrying, Timing(monotonic, dice))
        self._sleep = sleep
        self._http = httpx.Client(transport=transport, **client_settings(url, key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def post(self, command: Command) -> CommandAnswer:
        """Post a command; return what was recorded, now or before. Raises LedgerError."""
        return self._run(self._calls.post(command))

    def issue_key(self, command: IssueApiKey) -> KeyAnswer:
        """Issue a key. Its token is in the first answer only: when that is lost, issue another. Raises LedgerError."""
        return self._run(self._calls.issue_key(command))

    def post_many(self, commands: Sequence[Command]) -> list[PostOutcome]:
        """Post commands in few bodies; return their outcomes in order.

        Raises LedgerError when a body got no answer at all: post all of them again, those recorded count once.
        """
        return self._run(self._calls.post_many(commands))

    def wallets(self, workspace_id: str) -> Balances:
        """Return all balances of a workspace. Raises LedgerError."""
        return self._run(self._calls.wallets(workspace_id))

    def wallet(self, workspace_id: str, bucket: str) -> Balance:
        """Return the balance in one bucket. Raises LedgerError."""
        return self._run(self._calls.wallet(workspace_id, bucket))

    def periods(self, workspace_id: str) -> PeriodsView:
        """Return the months that a book has closed, the latest first. Raises LedgerError."""
        return self._run(self._calls.periods(workspace_id))

    def catalog(self) -> Catalog:
        """Return the catalog, as far as the key may see it. Raises LedgerError."""
        return self._run(self._calls.catalog())

    def balance(self, workspace_id: str, bucket: str, **moment: Unpack[MomentAsked]) -> WalletBalance:
        """Return the balances of a wallet at a moment, as far as the journal is without one. Raises LedgerError."""
        return self._run(self._calls.balance(workspace_id, bucket, moment))

    def trial_balance(
        self, workspace_id: str | None = None, *, at_least_position: int = 0, **moment: Unpack[MomentAsked]
    ) -> TrialBalance:
        """Return the trial balance of a workspace, or over all books, now or at a moment. Raises LedgerError."""
        return self._run(self._calls.trial_balance(workspace_id, at_least_position, moment))

    def receipt(
        self, request_id: str, workspace_id: str | None = None, *, at_least_position: int = 0
    ) -> CustomerReceipt:
        """Return a request's receipt as the key may see it; the platform's names the workspace. Raises LedgerError."""
        return self._run(self._calls.receipt(request_id, workspace_id, at_least_position))

    def run(self, run: str, workspace_id: str | None = None, cursor: str | None = None) -> CustomerRunView | RunView:
        """Return a run's totals as they are now, and a page of its requests in order of time. Raises LedgerError."""
        return self._run(self._calls.run(run, workspace_id, cursor))

    def change(self, asked: Mapping[str, str]) -> Change:
        """Return why charge or cost differs between two periods; `asked` as in a query. Raises LedgerError."""
        return self._run(self._calls.change(asked))

    def spend(self, asked: Mapping[str, str]) -> Iterator[CustomerSpendRow]:
        """Yield what was spent in the order of time; `asked` as in a query. Raises LedgerError."""
        return self._pages(spend_listing(asked), 0)

    def requests(
        self, *, at_least_position: int = 0, **filters: Unpack[RequestFilters]
    ) -> Iterator[CustomerRequestLine]:
        """Yield the route ledger's requests, the latest first, as the key may see them. Raises LedgerError."""
        return self._pages(requests_listing(filters), at_least_position)

    def entries(self, workspace_id: str, *, at_least_position: int = 0) -> Iterator[JournalEntry]:
        """Yield a workspace's entries in order. Raises LedgerError."""
        return self._pages(entries_listing(workspace_id), at_least_position)

    def events(self, workspace_id: str, *, at_least_position: int = 0) -> Iterator[BookEvent]:
        """Yield a workspace's events in order. Raises LedgerError."""
        return self._pages(events_listing(workspace_id), at_least_position)

    def statement(
        self, workspace_id: str, bucket: str, *, at_least_position: int = 0, **moment: Unpack[MomentAsked]
    ) -> Iterator[StatementLine]:
        """Yield a wallet's statement, oldest first, up to a moment if one is named. Raises LedgerError."""
        return self._pages(statement_listing(workspace_id, bucket, moment), at_least_position)

    def listing(self, listing: Listing[T]) -> Iterator[T]:
        """Yield the lines of any listing, page by page. Raises LedgerError."""
        return self._pages(listing, 0)

    def _pages(self, listing: Listing[T], at_least_position: int) -> Iterator[T]:
        cursor = None
        while True:
            page = self._run(self._calls.page(listing, cursor, at_least_position))
            yield from page.data
            if not page.has_more:
                return
            cursor = page.next_cursor

    def _run(self, steps: Steps[T]) -> T:
        answer: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = None
            if isinstance(step, Pause):
                self._sleep(step.seconds)
            else:
                answer = self._send(step)

    def _send(self, send: Send) -> Reply | Lost:
        try:
            return reply_of(self._http.request(**request_settings(send)))
        except httpx.RequestError as error:
            return lost(error)


class AsyncLedgerClient:
    """The client for event loops: one per loop."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retrying: Retrying = RETRYING,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = DICE,
    ) -> None:
        self._calls = OperatingCalls(retrying, Timing(monotonic, dice))
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport, **client_settings(url, key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def with_retrying(self, retrying: Retrying) -> Self:
        """Return a client that is more or less persistent, on the same connections: closing one closes both."""
        other = copy(self)
        other._calls = OperatingCalls(retrying, self._calls.timing)
        return other

    async def post(self, command: Command) -> CommandAnswer:
        """Post a command; return what was recorded, now or before. Raises LedgerError."""
        return await self._run(self._calls.post(command))

    async def issue_key(self, command: IssueApiKey) -> KeyAnswer:
        """Issue a key. Its token is in the first answer only: when that is lost, issue another. Raises LedgerError."""
        return await self._run(self._calls.issue_key(command))

    async def post_many(self, commands: Sequence[Command]) -> list[PostOutcome]:
        """Post commands in few bodies; return their outcomes in order. Raises LedgerError as the other client."""
        return await self._run(self._calls.post_many(commands))

    async def wallets(self, workspace_id: str) -> Balances:
        """Return all balances of a workspace. Raises LedgerError."""
        return await self._run(self._calls.wallets(workspace_id))

    async def wallet(self, workspace_id: str, bucket: str) -> Balance:
        """Return the balance in one bucket. Raises LedgerError."""
        return await self._run(self._calls.wallet(workspace_id, bucket))

    async def catalog(self) -> Catalog:
        """Return the catalog, as far as the key may see it. Raises LedgerError."""
        return await self._run(self._calls.catalog())

    async def identify(self, token: str) -> Caller | None:
        """Return whose key a token is and what it may do; None for an unknown or revoked one. Raises LedgerError."""
        return await self._run(self._calls.identify(token))

    async def hash_end_user(self, workspace_id: str, end_user: str) -> str:
        """Return what stands for an end user in a book. Raises LedgerError."""
        return await self._run(self._calls.hash_end_user(workspace_id, end_user))

    async def count_refused_calls(self, counts: Sequence[RefusedCalls]) -> None:
        """Add to the calls that gateways refused; what is sent twice may count twice. Raises LedgerError."""
        await self._run(self._calls.count_refused_calls(counts))

    async def refused_calls(
        self, workspace_id: str | None = None, begin: int = 0, end: int = MOMENT_MAX, cursor: str | None = None
    ) -> RefusedCallsPage:
        """Return how many calls were refused in the hours from `begin` until before `end`. Raises LedgerError.

        `cursor` is the `next_cursor` of the page before.
        """
        return await self._run(self._calls.refused_calls(workspace_id, begin, end, cursor))

    async def health(self) -> Health:
        """Return what gateways reported last of routes and providers. Raises LedgerError."""
        return await self._run(self._calls.health())

    async def report_health(self, health: Health) -> None:
        """Replace what is known of some routes and providers. Raises LedgerError."""
        await self._run(self._calls.report_health(health))

    async def pin_response(self, pinned: PinnedResponse) -> None:
        """Keep for thirty days which route a stored response is on. Raises LedgerError."""
        await self._run(self._calls.pin_response(pinned))

    async def pinned_response(self, workspace_id: str, response_id: str) -> PinnedResponse | None:
        """Return which route a stored response is on; None when that is not known. Raises LedgerError."""
        return await self._run(self._calls.pinned_response(workspace_id, response_id))

    async def balance(self, workspace_id: str, bucket: str, **moment: Unpack[MomentAsked]) -> WalletBalance:
        """Return the balances of a wallet at a moment, as far as the journal is without one. Raises LedgerError."""
        return await self._run(self._calls.balance(workspace_id, bucket, moment))

    async def trial_balance(
        self, workspace_id: str | None = None, *, at_least_position: int = 0, **moment: Unpack[MomentAsked]
    ) -> TrialBalance:
        """Return the trial balance of a workspace, or over all books, now or at a moment. Raises LedgerError."""
        return await self._run(self._calls.trial_balance(workspace_id, at_least_position, moment))

    async def receipt(
        self, request_id: str, workspace_id: str | None = None, *, at_least_position: int = 0
    ) -> CustomerReceipt:
        """Return a request's receipt as the key may see it; the platform's names the workspace. Raises LedgerError."""
        return await self._run(self._calls.receipt(request_id, workspace_id, at_least_position))

    async def run(
        self, run: str, workspace_id: str | None = None, cursor: str | None = None
    ) -> CustomerRunView | RunView:
        """Return a run's totals as they are now, and a page of its requests in order of time. Raises LedgerError."""
        return await self._run(self._calls.run(run, workspace_id, cursor))

    async def change(self, asked: Mapping[str, str]) -> Change:
        """Return why charge or cost differs between two periods; `asked` as in a query. Raises LedgerError."""
        return await self._run(self._calls.change(asked))

    def spend(self, asked: Mapping[str, str]) -> AsyncIterator[CustomerSpendRow]:
        """Yield what was spent in the order of time; `asked` as in a query. Raises LedgerError."""
        return self._pages(spend_listing(asked), 0)

    def requests(
        self, *, at_least_position: int = 0, **filters: Unpack[RequestFilters]
    ) -> AsyncIterator[CustomerRequestLine]:
        """Yield the route ledger's requests, the latest first, as the key may see them. Raises LedgerError."""
        return self._pages(requests_listing(filters), at_least_position)

    def entries(self, workspace_id: str, *, at_least_position: int = 0) -> AsyncIterator[JournalEntry]:
        """Yield a workspace's entries in order. Raises LedgerError."""
        return self._pages(entries_listing(workspace_id), at_least_position)

    def events(self, workspace_id: str, *, at_least_position: int = 0) -> AsyncIterator[BookEvent]:
        """Yield a workspace's events in order. Raises LedgerError."""
        return self._pages(events_listing(workspace_id), at_least_position)

    def statement(
        self, workspace_id: str, bucket: str, *, at_least_position: int = 0, **moment: Unpack[MomentAsked]
    ) -> AsyncIterator[StatementLine]:
        """Yield a wallet's statement, oldest first, up to a moment if one is named. Raises LedgerError."""
        return self._pages(statement_listing(workspace_id, bucket, moment), at_least_position)

    def listing(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Yield the lines of any listing, page by page. Raises LedgerError."""
        return self._pages(listing, 0)

    async def _pages(self, listing: Listing[T], at_least_position: int) -> AsyncIterator[T]:
        cursor = None
        while True:
            page = await self._run(self._calls.page(listing, cursor, at_least_position))
            for line in page.data:
                yield line
            if not page.has_more:
                return
            cursor = page.next_cursor

    async def _run(self, steps: Steps[T]) -> T:
        answer: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = None
            if isinstance(step, Pause):
                await self._sleep(step.seconds)
            else:
                answer = await self._send(step)

    async def _send(self, send: Send) -> Reply | Lost:
        try:
            return reply_of(await self._http.request(**request_settings(send)))
        except httpx.RequestError as error:
            return lost(error)
