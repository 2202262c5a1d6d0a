"""Event → entries: the one place where double entry meets tokens.

Each event gives at most one entry per bucket. Every rule reads the event alone, so that entries can be
derived again from any part of a book.
"""

from collections.abc import Callable
from typing import Any

from ledger.catalog import events as catalog
from ledger.core import accounts
from ledger.core.accounts import ADJUSTMENT, EXCHANGE, PROMOTION, WALLET_AVAILABLE, WALLET_HELD
from ledger.core.entries import Entry, make_entry
from ledger.events import Event
from ledger.request import events as request
from ledger.wallet import events as wallet
from ledger.workspace import events as workspace

Entries = tuple[Entry, ...]


def post_hold(event: request.RequestRouted | request.HoldExtended) -> Entries:
    """A hold moves from available to held."""
    return (make_entry(event.bucket, (WALLET_AVAILABLE, WALLET_HELD, event.hold_minor)),)


def post_fallback(event: request.FallbackTaken) -> Entries:
    """The old hold goes back in its bucket and the new one is placed in its own: one entry per bucket."""
    release = (WALLET_HELD, WALLET_AVAILABLE, event.released_minor)
    hold = (WALLET_AVAILABLE, WALLET_HELD, event.hold_minor)
    if event.from_bucket == event.to_bucket:
        return (make_entry(event.from_bucket, release, hold),)
    return make_entry(event.from_bucket, release), make_entry(event.to_bucket, hold)


def post_settlement(event: request.TokensSettled) -> Entries:
    """Captured from the hold, the rest given back; the excess from available, then overrun."""
    revenue = accounts.revenue(event.route)
    return (
        make_entry(
            event.bucket,
            (WALLET_HELD, revenue, event.captured_minor),
            (WALLET_HELD, WALLET_AVAILABLE, event.released_minor),
            (WALLET_AVAILABLE, revenue, event.from_available_minor),
            (accounts.overrun(event.route), revenue, event.overrun_minor),
        ),
    )


def post_release(event: request.RequestReleased) -> Entries:
    """The whole hold goes back."""
    return (make_entry(event.bucket, (WALLET_HELD, WALLET_AVAILABLE, event.released_minor)),)


def post_refund(event: request.ChargeRefunded) -> Entries:
    """What was paid goes back from contra-revenue, so that revenue still shows the original charge."""
    return (make_entry(event.bucket, (accounts.refunds(event.route), WALLET_AVAILABLE, event.refund_minor)),)


def post_correction(event: request.ChargeCorrected) -> Entries:
    """A charge that was too low takes the difference from available; one too high undoes overrun, then gives back."""
    revenue = accounts.revenue(event.route)
    if event.difference_minor >= 0:
        return (make_entry(event.bucket, (WALLET_AVAILABLE, revenue, event.difference_minor)),)
    undone = (revenue, accounts.overrun(event.route), event.overrun_minor)
    given_back = (revenue, WALLET_AVAILABLE, -event.difference_minor - event.overrun_minor)
    return (make_entry(event.bucket, undone, given_back),)


def post_funds_added(event: wallet.FundsAdded) -> Entries:
    """A payment comes in from its source."""
    source = accounts.funding(event.source)
    return (make_entry(event.bucket, (source, WALLET_AVAILABLE, event.amount_minor)),)


def post_funds_taken(event: wallet.FundsReversed | wallet.FundsWithdrawn) -> Entries:
    """A payment goes back to its source."""
    source = accounts.funding(event.source)
    return (make_entry(event.bucket, (WALLET_AVAILABLE, source, event.amount_minor)),)


def post_grant(event: wallet.FundsGranted) -> Entries:
    """A gift is the platform's expense."""
    return (make_entry(event.bucket, (PROMOTION, WALLET_AVAILABLE, event.amount_minor)),)


def post_adjustment(event: wallet.AdjustmentPosted) -> Entries:
    """A correction by finance, in either direction."""
    if event.amount_minor >= 0:
        return (make_entry(event.bucket, (ADJUSTMENT, WALLET_AVAILABLE, event.amount_minor)),)
    return (make_entry(event.bucket, (WALLET_AVAILABLE, ADJUSTMENT, -event.amount_minor)),)


def post_exchange(event: wallet.BucketExchanged) -> Entries:
    """Each bucket balances against its own exchange account; the two amounts never meet in one entry."""
    return (
        make_entry(event.from_bucket, (WALLET_AVAILABLE, EXCHANGE, event.from_minor)),
        make_entry(event.to_bucket, (EXCHANGE, WALLET_AVAILABLE, event.to_minor)),
    )


def post_nothing(event: Any) -> Entries:
    """The event moves no money."""
    return ()


RULES: dict[type[Any], Callable[[Any], Entries]] = {
    request.RequestRouted: post_hold,
    request.HoldExtended: post_hold,
    request.FallbackTaken: post_fallback,
    request.TokensSettled: post_settlement,
    request.RequestReleased: post_release,
    request.ChargeRefunded: post_refund,
    request.ChargeCorrected: post_correction,
    wallet.FundsAdded: post_funds_added,
    wallet.FundsGranted: post_grant,
    wallet.FundsReversed: post_funds_taken,
    wallet.FundsWithdrawn: post_funds_taken,
    wallet.AdjustmentPosted: post_adjustment,
    wallet.BucketExchanged: post_exchange,
    request.AttemptFailed: post_nothing,
    request.RequestVoided: post_nothing,
    wallet.WalletOpened: post_nothing,
    wallet.CreditLimitChanged: post_nothing,
    wallet.WalletFrozen: post_nothing,
    wallet.WalletUnfrozen: post_nothing,
    workspace.WorkspaceCreated: post_nothing,
    workspace.ProjectCreated: post_nothing,
    workspace.ProjectLimitsChanged: post_nothing,
    workspace.ApiKeyIssued: post_nothing,
    workspace.ApiKeyLimitsChanged: post_nothing,
    workspace.ApiKeyRevoked: post_nothing,
    workspace.PeriodClosed: post_nothing,
    workspace.PeriodReopened: post_nothing,
    workspace.SigningKeyPublished: post_nothing,
    catalog.BucketDefined: post_nothing,
    catalog.ProviderPublished: post_nothing,
    catalog.RoutePublished: post_nothing,
    catalog.ModelPublished: post_nothing,
    catalog.RateCardPublished: post_nothing,
    catalog.RouteSuspended: post_nothing,
    catalog.RouteResumed: post_nothing,
    catalog.ConfigApplied: post_nothing,
}
"""Every event type has a rule, even if the rule is that it moves no money: a test holds this total."""


def post(event: Event) -> Entries:
    """Return the entries of an event: at most one per bucket, none without legs."""
    entries = RULES[type(event)](event)
    for entry in entries:
        if not entry.legs:
            return tuple(each for each in entries if each.legs)
    return entries
