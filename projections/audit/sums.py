"""What the events of a part of a book come to. Parts of one book are added in their order. Pure.

Everything here is a sum over events that stand for themselves, so that a large book can be cut anywhere.
"""

from typing import Any

import msgspec

from ledger.events import CATALOG_STREAM, REQUEST_STREAM, WALLET_STREAM, WORKSPACE_STREAM
from ledger.request import events as request
from ledger.wallet import events as wallet
from ledger.workspace.events import PeriodClosed
from projections.replaying import Turnovers

__all__ = ["ClosedPeriod", "Moment", "Sums", "WalletFacts", "add_turnovers"]

OPEN = "open"
COUNTED_STREAMS = (WORKSPACE_STREAM, CATALOG_STREAM)


class WalletFacts(msgspec.Struct):
    """What events say of a wallet beside its balances. None is what this part of the book does not mention."""

    unit: str | None = None
    scale: int | None = None
    credit_limit_minor: int | None = None
    frozen: bool | None = None
    version: int = 0

    def add(self, later: "WalletFacts") -> None:
        """Add what later events say."""
        self.unit = self.unit if later.unit is None else later.unit
        self.scale = self.scale if later.scale is None else later.scale
        self.credit_limit_minor = (
            self.credit_limit_minor if later.credit_limit_minor is None else later.credit_limit_minor
        )
        self.frozen = self.frozen if later.frozen is None else later.frozen
        self.version += later.version


class Moment(msgspec.Struct):
    """What had gone through the accounts at some position, and the wallets there were."""

    turnovers: Turnovers = {}
    wallets: dict[str, WalletFacts] = {}

    def add(self, later: "Moment") -> None:
        """Add what the next part of the book came to."""
        add_turnovers(self.turnovers, later.turnovers)
        for bucket, facts in later.wallets.items():
            self.wallets.setdefault(bucket, WalletFacts()).add(facts)


class ClosedPeriod(msgspec.Struct, frozen=True):
    """A closing of a period: where it stands, and which position of the platform's book its decision knew.

    `ends_at` is where the month ends in the book's time zone, `day` the one that begins with `until`; `own_block` is
    what went through the accounts before that day in the event's own block of positions, up to the event.
    """

    position: int
    catalog_position: int
    closing: PeriodClosed
    ends_at: int
    day: int
    own_block: Turnovers


class Sums(msgspec.Struct):
    """A part of a book, or all of it once its parts are added."""

    workspace_id: str
    journal_position: int = 0
    first: int = 1
    position: int = 0
    digest: bytes = b""
    recorded_at: int = 0
    events: int = 0
    entries: int = 0
    legs: int = 0
    streams: dict[str, int] = {}
    budgets: dict[str, list[int]] = {}
    """[held, charged] by name."""
    open_requests: int = 0
    at_end: Moment = msgspec.field(default_factory=Moment)
    at_journal: Moment = msgspec.field(default_factory=Moment)
    at_routes: Moment = msgspec.field(default_factory=Moment)
    periods: list[ClosedPeriod] = []
    is_broken: bool = False

    def add(self, later: "Sums") -> None:
        """Add the next part of the same book."""
        if later.events:
            self.position, self.digest, self.recorded_at = later.position, later.digest, later.recorded_at
        self.events += later.events
        self.entries += later.entries
        self.legs += later.legs
        for stream, count in later.streams.items():
            self.streams[stream] = self.streams.get(stream, 0) + count
        for name, (held, charged) in later.budgets.items():
            self._count(name, held, charged)
        self.open_requests += later.open_requests
        self.at_end.add(later.at_end)
        self.at_journal.add(later.at_journal)
        self.at_routes.add(later.at_routes)
        self.periods += later.periods
        self.is_broken = self.is_broken or later.is_broken

    def observe(self, stream: str, event: Any) -> None:
        """Count an event."""
        if stream.startswith(REQUEST_STREAM):
            self._observe_request(event)
        elif stream.startswith(WALLET_STREAM):
            self._observe_wallet(stream[len(WALLET_STREAM) :], event)
        elif stream in COUNTED_STREAMS:
            self.streams[stream] = self.streams.get(stream, 0) + 1

    def _observe_request(self, event: Any) -> None:
        kind = type(event)
        if kind is request.RequestRouted:
            self.open_requests += 1
            if event.budgets:
                self._spend(event.budgets, event.hold_minor, 0)
        elif kind is request.TokensSettled:
            if event.status_before == OPEN:
                self.open_requests -= 1
            if event.budgets:
                paid = event.captured_minor + event.from_available_minor
                self._spend(event.budgets, -event.captured_minor - event.released_minor, paid)
        elif kind is request.HoldExtended:
            self._spend(event.budgets, event.hold_minor, 0)
        elif kind is request.RequestReleased:
            self.open_requests -= 1
            self._spend(event.budgets, -event.released_minor, 0)
        elif kind is request.FallbackTaken:
            self._spend(event.released_budgets, -event.released_minor, 0)
            self._spend(event.budgets, event.hold_minor, 0)
        elif kind is request.ChargeRefunded:
            self._spend(event.budgets, 0, -event.refund_minor)
        elif kind is request.ChargeCorrected:
            self._spend(event.budgets, 0, event.difference_minor + event.overrun_minor)

    def _spend(self, names: tuple[str, ...], held_minor: int, charged_minor: int) -> None:
        for name in names:
            self._count(name, held_minor, charged_minor)

    def _count(self, name: str, held_minor: int, charged_minor: int) -> None:
        budget = self.budgets.setdefault(name, [0, 0])
        budget[0] += held_minor
        budget[1] += charged_minor

    def _observe_wallet(self, bucket: str, event: Any) -> None:
        facts = self.at_end.wallets.setdefault(bucket, WalletFacts())
        facts.version += 1
        match event:
            case wallet.WalletOpened():
                facts.add(WalletFacts(event.unit, event.scale, event.credit_limit_minor, False))
            case wallet.CreditLimitChanged(credit_limit_minor=limit):
                facts.credit_limit_minor = limit
            case wallet.WalletFrozen() | wallet.WalletUnfrozen():
                facts.frozen = isinstance(event, wallet.WalletFrozen)


def add_turnovers(sums: Turnovers, more: Turnovers) -> None:
    """Add turnovers to others."""
    for account, (debit, credit) in more.items():
        turnover = sums.setdefault(account, [0, 0])
        turnover[0] += debit
        turnover[1] += credit
