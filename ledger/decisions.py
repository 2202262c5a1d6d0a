"""Command → fact: the one decision that the write path makes, pure and in order.

A repeat is recognised before anything else and compared with what was recorded; only a new one is decided.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from ledger.book import BookState, stream_of_request, stream_of_wallet
from ledger.catalog import commands as catalog_commands
from ledger.catalog import events as catalog_events
from ledger.catalog.commands import CatalogCommand
from ledger.catalog.decide import decide_catalog
from ledger.catalog.state import Catalog
from ledger.commands import stated_fields
from ledger.core.amounts import Amount, StatedAmount, Unit, parse_minor
from ledger.core.commands import Command, to_microseconds
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.events import CATALOG_STREAM, WORKSPACE_STREAM, Event, Fact
from ledger.request import commands as request_commands
from ledger.request import events as request_events
from ledger.request.commands import RequestCommand
from ledger.request.decide import decide_request
from ledger.request.situation import Situation
from ledger.wallet import commands as wallet_commands
from ledger.wallet import events as wallet_events
from ledger.wallet.commands import ExchangeBuckets, WalletCommand
from ledger.wallet.decide import decide_wallet
from ledger.workspace import commands as workspace_commands
from ledger.workspace import events as workspace_events
from ledger.workspace.commands import (
    CreateWorkspace,
    IssueApiKey,
    StatedKeyLimits,
    StatedSpendLimit,
    WorkspaceCommand,
)
from ledger.workspace.decide import decide_workspace, key_limits, spend_limits
from ledger.workspace.periods import StateBalances, open_from

CLOCK_SKEW_MICROSECONDS = 60_000_000
"""A caller's clock may be this far ahead of the database's."""


class Decision(msgspec.Struct, frozen=True):
    """A fact and the stream that it belongs to."""

    stream: str
    fact: Fact


def decide(
    command: Command,
    actor: str,
    book: BookState,
    catalog: Catalog,
    now: int,
    state_balances: StateBalances | None = None,
) -> Decision:
    """Return the fact that a new command makes of a book at `now` (microseconds), or refuse.

    What happened in a closed period is decided as of then and posted at the first instant that is open.
    `state_balances` is needed where a period is closed. Raises NotLoaded where a spend limit is concerned whose budget
    was not read.
    """
    if command.valid_until is not None and to_microseconds(command.valid_until) < now:
        raise Refused(Refusal.VALID_UNTIL_PASSED, "valid_until has passed: nothing was decided", field="valid_until")
    happened_at = effective_time(command, now)
    if not book.workspace.version and not isinstance(command, CreateWorkspace):
        raise Refused(Refusal.WORKSPACE_UNKNOWN, f"there is no workspace {command.workspace_id}", field="workspace_id")
    stream, event = event_of(command, book, catalog, now, happened_at, state_balances)
    posted_at = open_from(book.workspace, catalog)
    if happened_at >= posted_at:
        fact = Fact(actor, happened_at, catalog.position, event, command.trace_id, command.reason)
    else:
        fact = Fact(actor, posted_at, catalog.position, event, command.trace_id, command.reason, happened_at)
    return Decision(stream, fact)


def effective_time(command: Command, now: int) -> int:
    """Return when the command's content happened: stated and not in the future, or now."""
    if command.effective_at is None:
        return now
    stated = to_microseconds(command.effective_at)
    if not 0 <= stated <= now + CLOCK_SKEW_MICROSECONDS:
        raise Refused(
            Refusal.EFFECTIVE_AT_OUT_OF_RANGE,
            "effective_at lies in the future or before 1970",
            field="effective_at",
        )
    return stated


def event_of(
    command: Command,
    book: BookState,
    catalog: Catalog,
    now: int,
    happened_at: int,
    state_balances: StateBalances | None = None,
) -> tuple[str, Event]:
    """Return the stream and the event of a command, by the part of the domain that decides it."""
    event: Any
    match command:
        case RequestCommand(request_id=request_id):
            require_wallets(command)
            situation = Situation(now, happened_at, catalog, book.workspace, book.wallets, book.budgets, book.pace)
            event = decide_request(command, book.requests.get(request_id), situation)
            return stream_of_request(request_id), event
        case WalletCommand(bucket=bucket):
            require_wallets(command)
            event = decide_wallet(command, book.wallets, catalog, book.payments)
            return stream_of_wallet(bucket), event
        case WorkspaceCommand():
            event = decide_workspace(command, book.workspace, catalog, now, state_balances)
            return WORKSPACE_STREAM, event
        case CatalogCommand():
            if command.workspace_id != PLATFORM:
                raise Refused(Refusal.WORKSPACE_UNKNOWN, "the catalog is in the platform's book", field="workspace_id")
            event = decide_catalog(command, catalog)
            return CATALOG_STREAM, event
    raise TypeError(f"{type(command).__name__} is no command")


def require_wallets(command: Command) -> None:
    """Refuse a command on a wallet or a request in the platform's own book, which has neither."""
    if command.workspace_id == PLATFORM:
        raise Refused(Refusal.WORKSPACE_UNKNOWN, "the platform's own book has no wallets", field="workspace_id")


EVENT_OF: dict[type[Command], tuple[type[Any], ...]] = {
    request_commands.RouteRequest: (request_events.RequestRouted,),
    request_commands.ExtendHold: (request_events.HoldExtended,),
    request_commands.RecordAttempt: (request_events.AttemptFailed,),
    request_commands.TakeFallback: (request_events.FallbackTaken,),
    request_commands.SettleRequest: (request_events.TokensSettled,),
    request_commands.ReleaseRequest: (
        request_events.RequestReleased,
        request_events.RequestVoided,
    ),
    request_commands.ExpireRequest: (request_events.RequestReleased,),
    request_commands.RefundCharge: (request_events.ChargeRefunded,),
    request_commands.CorrectCharge: (request_events.ChargeCorrected,),
    wallet_commands.OpenWallet: (wallet_events.WalletOpened,),
    wallet_commands.SetCreditLimit: (wallet_events.CreditLimitChanged,),
    wallet_commands.FreezeWallet: (wallet_events.WalletFrozen,),
    wallet_commands.UnfreezeWallet: (wallet_events.WalletUnfrozen,),
    wallet_commands.AddFunds: (wallet_events.FundsAdded,),
    wallet_commands.GrantFunds: (wallet_events.FundsGranted,),
    wallet_commands.ReverseFunds: (wallet_events.FundsReversed,),
    wallet_commands.WithdrawFunds: (wallet_events.FundsWithdrawn,),
    wallet_commands.PostAdjustment: (wallet_events.AdjustmentPosted,),
    wallet_commands.ExchangeBuckets: (wallet_events.BucketExchanged,),
    workspace_commands.CreateWorkspace: (workspace_events.WorkspaceCreated,),
    workspace_commands.CreateProject: (workspace_events.ProjectCreated,),
    workspace_commands.SetProjectLimits: (workspace_events.ProjectLimitsChanged,),
    workspace_commands.IssueApiKey: (workspace_events.ApiKeyIssued,),
    workspace_commands.SetApiKeyLimits: (workspace_events.ApiKeyLimitsChanged,),
    workspace_commands.RevokeApiKey: (workspace_events.ApiKeyRevoked,),
    workspace_commands.ClosePeriod: (workspace_events.PeriodClosed,),
    workspace_commands.ReopenPeriod: (workspace_events.PeriodReopened,),
    workspace_commands.PublishSigningKey: (workspace_events.SigningKeyPublished,),
    catalog_commands.DefineBucket: (catalog_events.BucketDefined,),
    catalog_commands.PublishProvider: (catalog_events.ProviderPublished,),
    catalog_commands.PublishRoute: (catalog_events.RoutePublished,),
    catalog_commands.PublishModel: (catalog_events.ModelPublished,),
    catalog_commands.PublishRateCard: (catalog_events.RateCardPublished,),
    catalog_commands.SuspendRoute: (catalog_events.RouteSuspended,),
    catalog_commands.ResumeRoute: (catalog_events.RouteResumed,),
    catalog_commands.RecordConfig: (catalog_events.ConfigApplied,),
}
"""Which event each kind of command makes: the table that `ledger/README.md` shows to people."""

RENAMED: dict[type[Command], dict[str, str]] = {
    ExchangeBuckets: {"bucket": "from_bucket", "amount": "from", "to_amount": "to"},
    IssueApiKey: {"secret_hash": ""},
}
"""Where a command's field has another name in its event; the empty name is never compared."""

CHOSEN_BY_LEDGER = frozenset({"rate_card", "charge", "difference"})
"""Fields that the ledger fills when the caller leaves them out."""


def is_chosen_by_ledger(name: str, event: Any) -> bool:
    """Return whether the ledger, and not the caller, filled a field of this event."""
    match name:
        case "charge":
            return bool(event.priced_by == "ledger")
        case "difference":
            return event.rate_card is not None
    return name in CHOSEN_BY_LEDGER


def require_same(command: Command, fact: Fact, catalog: Catalog) -> None:
    """Refuse a command whose identity is taken by other content, naming the first field that differs."""
    if not isinstance(fact.event, EVENT_OF[type(command)]):
        raise conflict("kind")
    if command.reason != fact.reason:
        raise conflict("reason")
    if command.effective_at is not None and to_microseconds(command.effective_at) != fact.happened_at:
        raise conflict("effective_at")
    renamed = RENAMED.get(type(command), {})
    for field, stated in stated_fields(command).items():
        name = renamed.get(field, field)
        if name and not same(name, stated, fact.event, catalog):
            raise conflict(field)


def conflict(field: str) -> Refused:
    """Return the refusal of a repeat with other content."""
    return Refused(
        Refusal.IDENTITY_CONFLICT,
        f"this identity was used before with another {field}: the first one stands",
        field=field,
    )


def same(name: str, stated: Any, event: Any, catalog: Catalog) -> bool:
    """Return whether a stated value is what the event recorded under that name."""
    if stated is None and is_chosen_by_ledger(name, event):
        return True
    in_minor = getattr(event, f"{name}_minor", None)
    if name == "charge_limit":
        # No limit is another content than a limit of zero.
        if stated is None or in_minor is None:
            return stated is None and in_minor is None
    elif name == "charge":
        in_minor += event.waived_minor
    if in_minor is not None:
        return same_amount(stated, in_minor, unit_of(name, event), catalog)
    if not hasattr(event, name):
        return True
    recorded = getattr(event, name)
    match stated:
        case StatedAmount():
            if not isinstance(recorded, Amount):
                return False
            return same_amount(stated, recorded.minor, recorded.unit, catalog)
        case StatedKeyLimits():
            return same_limits(lambda: key_limits(stated, catalog), recorded)
        case tuple() if stated and isinstance(stated[0], StatedSpendLimit):
            return same_limits(lambda: spend_limits(stated, catalog), recorded)
    return bool(stated == recorded or (name == "scopes" and set(stated) == set(recorded)))


def same_limits(limits: Callable[[], Any], recorded: Any) -> bool:
    """Return whether stated limits are the recorded ones. Those that could not be set are others."""
    try:
        return bool(limits() == recorded)
    except Refused:
        return False


def unit_of(name: str, event: Any) -> str:
    """Return the unit of one of an event's amounts."""
    if name in ("from", "to"):
        return str(getattr(event, f"{name}_unit"))
    return str(getattr(event, "unit", None) or event.to_unit)


def same_amount(stated: StatedAmount | None, minor: int, unit: str, catalog: Catalog) -> bool:
    """Return whether a stated amount is this many smallest parts of this unit. None states nothing: zero."""
    if stated is None:
        return minor == 0
    known = catalog.units.get(unit, Unit(unit, 0))
    if stated.unit != unit:
        return False
    try:
        return parse_minor(stated.value, known.scale) == minor
    except Refused:
        return False
