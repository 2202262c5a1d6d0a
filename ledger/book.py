"""One workspace's book as it stands: the fold of its events, and what every decision looks at.

The same fold serves the write path (over the rows that a batch has read) and the replay (over every event),
so that what is live and what is replayed can only differ by a defect, which `replay --verify` then shows.
"""

from typing import Any

import msgspec

from ledger.catalog.state import Catalog, fold_catalog
from ledger.core.identifiers import PLATFORM
from ledger.events import CATALOG_STREAM, REQUEST_STREAM, WALLET_STREAM, WORKSPACE_STREAM, Fact, request_of
from ledger.request import events as request
from ledger.request.state import RequestState, fold_request
from ledger.wallet.events import FundsAdded, FundsReversed, WalletEvent
from ledger.wallet.state import Payment, WalletState, buckets_of, fold_payment, fold_wallet, move
from ledger.workspace.budgets import Budget
from ledger.workspace.pace import UNREAD, MinuteUse, add_use, is_key_paced, minute_of
from ledger.workspace.state import WorkspaceState, fold_workspace

NO_CATALOG = Catalog()
"""What every book but the platform's has: one for all, because a catalog is never changed in place."""


class BookState:
    """What is known of one book. Changed in place by `apply`; `position` is that of the last event applied.

    `requests` may hold open and ended requests; `budgets` counts from what was read at the start of a batch. `pace`
    has the latest minute of keys that have limits per minute, counted from what was read as well.
    """

    __slots__ = (
        "budgets", "catalog", "pace", "payments", "position", "recorded_at", "requests", "wallets", "workspace",
        "workspace_id",
    )  # fmt: skip

    def __init__(self, workspace_id: str) -> None:
        self.workspace_id = workspace_id
        self.position = 0
        self.recorded_at = 0
        self.workspace = WorkspaceState(workspace_id)
        self.catalog = NO_CATALOG
        self.wallets: dict[str, WalletState] = {}
        self.requests: dict[str, RequestState] = {}
        self.budgets: dict[str, Budget] = {}
        self.pace: dict[str, MinuteUse] = {}
        self.payments: dict[tuple[str, str], Payment] = {}

    def apply(self, stream: str, fact: Fact, position: int, recorded_at: int) -> None:
        """Fold one event of this book, the next one by position."""
        self.position = position
        self.recorded_at = recorded_at
        # The stream tells which events it holds. Not cast: this is the inner loop of a replay.
        event: Any = fact.event
        if stream.startswith(REQUEST_STREAM):
            self._apply_request(stream[len(REQUEST_STREAM) :], event, fact.happened_at)
        elif stream.startswith(WALLET_STREAM):
            self._apply_wallet(stream, event)
        elif stream == WORKSPACE_STREAM:
            self.workspace = fold_workspace(self.workspace, event)
            if self.workspace_id == PLATFORM:
                # What the platform has closed is closed in books that are yet to be made.
                self.catalog = msgspec.structs.replace(self.catalog, closed_period=self.workspace.closed_period)
        elif stream == CATALOG_STREAM:
            self.catalog = fold_catalog(self.catalog, event, position)
        else:
            raise ValueError(f"no stream of a book is named {stream!r}")

    def _apply_request(self, request_id: str, event: request.RequestEvent, happened_at: int) -> None:
        before = self.requests.get(request_id)
        self.requests[request_id] = fold_request(before, event, happened_at)
        if before is not None and before.minute:
            self._end_minute(request_id, before, event)
        match event:
            case request.RequestRouted():
                self._move(event.bucket, 0, event.hold_minor, event.budgets)
                if is_key_paced(self.workspace, event.api_key_id):
                    self._begin_minute(request_id, event)
            case request.HoldExtended():
                self._move(event.bucket, 0, event.hold_minor, event.budgets)
            case request.TokensSettled():
                paid = event.captured_minor + event.from_available_minor
                self._move(event.bucket, -paid, -event.captured_minor - event.released_minor, event.budgets)
            case request.RequestReleased():
                self._move(event.bucket, 0, -event.released_minor, event.budgets)
            case request.FallbackTaken():
                self._move(event.from_bucket, 0, -event.released_minor, event.released_budgets)
                self._move(event.to_bucket, 0, event.hold_minor, event.budgets)
            case request.ChargeRefunded():
                self._move(event.bucket, event.refund_minor, 0, event.budgets)
            case request.ChargeCorrected():
                self._move(event.bucket, -event.difference_minor - event.overrun_minor, 0, event.budgets)

    def _move(self, bucket: str, posted_minor: int, held_minor: int, budgets: tuple[str, ...]) -> None:
        self.wallets[bucket] = move(self.wallets[bucket], posted_minor, held_minor)
        for name in budgets:
            budget = self.budgets.get(name) or Budget()
            self.budgets[name] = Budget(budget.held_minor + held_minor, budget.charged_minor - posted_minor)

    def _begin_minute(self, request_id: str, event: request.RequestRouted) -> None:
        """Count a routing in its key's minute, with the tokens that it was estimated at."""
        minute, tokens = minute_of(self.recorded_at), request.estimated_tokens(event.estimate)
        routed = self.requests[request_id]
        self.requests[request_id] = msgspec.structs.replace(routed, minute=minute, minute_tokens=tokens)
        self._use(event.api_key_id, minute, 1, tokens)

    def _end_minute(self, request_id: str, before: RequestState, event: request.RequestEvent) -> None:
        """Put what a request used in the place of its estimate, when it ends in the minute in which it began."""
        if isinstance(event, request.TokensSettled):
            used = request.settled_tokens(event)
        elif isinstance(event, request.RequestReleased):
            used = 0
            # Released requests are forgotten and folded again from their events alone: they count no more.
            self.requests[request_id] = msgspec.structs.replace(self.requests[request_id], minute=0, minute_tokens=0)
        else:
            return
        if before.minute == minute_of(self.recorded_at):
            self._use(before.api_key_id, before.minute, 0, used - before.minute_tokens)

    def _use(self, api_key_id: str, minute: int, requests: int, tokens: int) -> None:
        self.pace[api_key_id] = add_use(self.pace.get(api_key_id, UNREAD), minute, requests, tokens)

    def _apply_wallet(self, stream: str, event: WalletEvent) -> None:
        own = stream[len(WALLET_STREAM) :]
        for bucket in buckets_of(event):
            wallet = fold_wallet(self.wallets.get(bucket), event, bucket)
            if bucket == own:
                wallet = with_version(wallet, wallet.version + 1)
            self.wallets[bucket] = wallet
        if isinstance(event, FundsAdded | FundsReversed):
            key = (event.source, event.reference)
            self.payments[key] = fold_payment(self.payments.get(key), event)

    def version_of(self, stream: str) -> int:
        """Return the version of a stream's last event, 0 for a stream without events."""
        request_id = request_of(stream)
        if request_id is not None:
            state = self.requests.get(request_id)
            return 0 if state is None else state.version
        if stream.startswith(WALLET_STREAM):
            wallet = self.wallets.get(stream[len(WALLET_STREAM) :])
            return 0 if wallet is None else wallet.version
        return self.workspace.version if stream == WORKSPACE_STREAM else self.catalog.version


def with_version(wallet: WalletState, version: int) -> WalletState:
    """Return a wallet at another version of its stream."""
    return WalletState(
        wallet.bucket,
        wallet.unit,
        wallet.scale,
        wallet.posted_minor,
        wallet.held_minor,
        wallet.credit_limit_minor,
        wallet.frozen,
        version,
    )


def stream_of_request(request_id: str) -> str:
    """Return the name of a request's stream."""
    return REQUEST_STREAM + request_id


def stream_of_wallet(bucket: str) -> str:
    """Return the name of a wallet's stream."""
    return WALLET_STREAM + bucket
