"""What both syntaxes of plain text say of an entry: its word, its postings, its route, days and instants."""

import re
from datetime import date, timedelta
from functools import lru_cache

import msgspec

from ledger.core.accounts import WALLET_HELD
from ledger.core.amounts import Unit, format_minor
from ledger.core.commands import to_datetime
from projections.exports.account_names import account_name
from projections.exports.dated_legs import DatedEntry

__all__ = ["day_text", "instant_text", "legs_text", "subject_of", "word_of"]

NO_WORD = re.compile(r"[^a-z0-9-]")
EPOCH = date(1970, 1, 1)
ROUTE_KINDS = ("revenue", "overrun", "refunds")
WORDS = {
    "request_routed": "hold", "hold_extended": "extension", "fallback_taken": "fallback", "tokens_settled": "settle",
    "request_released": "release", "charge_refunded": "refund", "charge_corrected": "correction",
    "funds_added": "payment", "funds_granted": "grant", "funds_reversed": "reversal", "funds_withdrawn": "withdrawal",
    "adjustment_posted": "adjustment", "bucket_exchanged": "exchange",
}  # fmt: skip
"""The word for each kind of event that has entries; another one is called as its tag is."""

EXPIRED = "/expire"
"""How the identity of a release ends that gave back a hold whose time had passed."""


def word_of(entry: DatedEntry) -> str:
    """Return the word for what an entry is: `hold`, `settle`, `release` …"""
    if entry.command_id.endswith(EXPIRED) and entry.tag.startswith("request_released"):
        return "expire"
    return word_of_tag(entry.tag)


@lru_cache
def word_of_tag(tag: str) -> str:
    """Return the word for a kind of event."""
    name = tag.partition(".")[0]
    return WORDS.get(name) or NO_WORD.sub("-", name)


def subject_of(entry: DatedEntry) -> str:
    """Return what an entry is about: its request, or else the identity of its command."""
    return entry.command_id if entry.request_id is None else entry.request_id


class LegText(msgspec.Struct, frozen=True):
    """What the legs between two accounts have in common: how the postings begin, and what the accounts tell."""

    debit: str
    credit: str
    route: str | None
    is_pending: bool


@lru_cache(maxsize=16_384)
def leg_text(workspace_id: str, bucket: str, debit_account: str, credit_account: str) -> LegText:
    """Return the text of legs between two accounts: the route that either names, and whether something is reserved."""
    return LegText(
        f"  {account_name(workspace_id, bucket, debit_account)}  ",
        f"  {account_name(workspace_id, bucket, credit_account)}  -",
        route_in(debit_account) or route_in(credit_account),
        credit_account == WALLET_HELD,
    )


def legs_text(entry: DatedEntry, unit: Unit) -> tuple[str, str | None, bool]:
    """Return an entry's postings, two for each leg, its route if its accounts name one, and whether it is pending.

    It is while it reserves anything.
    """
    postings, route, is_pending = [], None, False
    for debit, credit, minor in entry.legs:
        leg = leg_text(entry.workspace_id, entry.bucket, debit, credit)
        amount = f"{format_minor(minor, unit.scale)} {unit.code}\n"
        postings.append(f"{leg.debit}{amount}{leg.credit}{amount}")
        route = route or leg.route
        is_pending = is_pending or leg.is_pending
    return "".join(postings), route, is_pending


def route_in(account: str) -> str | None:
    """Return the route in the name of an account."""
    kind, _, route = account.partition(".")
    return route if kind in ROUTE_KINDS else None


@lru_cache(maxsize=4096)
def day_text(day: int) -> str:
    """Return a day as `2026-11-22`."""
    return (EPOCH + timedelta(days=day)).isoformat()


def instant_text(instant: int) -> str:
    """Return an instant (microseconds since 1970) in UTC, to the microsecond."""
    minute, within = divmod(instant, 60_000_000)
    return f"{minute_text(minute)}{within // 1_000_000:02d}.{within % 1_000_000:06d}Z"


@lru_cache(maxsize=16_384)
def minute_text(minute: int) -> str:
    """Return a minute (since 1970) as the beginning of its instants."""
    return f"{to_datetime(minute * 60_000_000):%Y-%m-%dT%H:%M:}"
