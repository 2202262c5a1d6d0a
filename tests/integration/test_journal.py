"""The journal's rows: what every kind of event posts, and the wallet's balances after each entry."""

from typing import Any

import pytest

from ledger.core.accounts import kind_of
from ledger.events import Fact, decode_fact
from ledger.service import Ledger
from ledger.wallet.events import FundsAdded, WalletOpened
from projections.journal import JournalBook
from projections.replay import replay
from tests.integration.read_side import ask, follow, rows_of, tell
from tests.integration.scenes import ACME, set_up


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger whose workspace acme has seen everything, followed to its end."""
    set_up(ledger)
    tell(ledger)
    follow(ledger.url)
    return ledger


def legs_of(url: str, tag: str, bucket: str) -> list[tuple[Any, ...]]:
    """Return the legs of the first entry with a tag in a bucket: debit, credit, minor."""
    return ask(
        url,
        "select debit_account, credit_account, minor from projections.leg join ("
        " select workspace_id, bucket, min(position) as position from projections.entry"
        " where tag = %s and bucket = %s group by 1, 2) as entry using (workspace_id, bucket, position) order by leg",
        tag,
        bucket,
    )


LEGS: dict[tuple[str, str], list[tuple[str, str, int]]] = {
    ("funds_added.v1", "rmb"): [("funding.alipay", "wallet.available", 1_000_000_000)],
    ("funds_granted.v1", "credit"): [("promotion", "wallet.available", 5_000_000)],
    ("funds_reversed.v1", "rmb"): [("wallet.available", "funding.alipay", 10_000_000)],
    ("funds_withdrawn.v1", "rmb"): [("wallet.available", "funding.alipay", 3_000_000)],
    ("adjustment_posted.v1", "credit"): [("wallet.available", "adjustment", 1_500_000)],
    ("bucket_exchanged.v1", "rmb"): [("wallet.available", "exchange", 14_000_000)],
    ("bucket_exchanged.v1", "credit"): [("exchange", "wallet.available", 2_000_000)],
    ("request_routed.v1", "credit"): [("wallet.available", "wallet.held", 1_000_000)],
    ("hold_extended.v1", "credit"): [("wallet.available", "wallet.held", 1_000_000)],
    ("fallback_taken.v1", "rmb"): [("wallet.available", "wallet.held", 7_000_000)],
    ("request_released.v1", "credit"): [("wallet.held", "wallet.available", 1_000_000)],
    ("tokens_settled.v1", "credit"): [
        ("wallet.held", "revenue.direct", 12_000), ("wallet.held", "wallet.available", 988_000),
    ],
    ("charge_refunded.v1", "credit"): [("refunds.direct", "wallet.available", 1_000)],
    ("charge_corrected.v1", "credit"): [("wallet.available", "revenue.direct", 2_000)],
}  # fmt: skip
"""What the first event of each kind posts in a bucket: debit account, credit account, smallest parts."""


def test_every_event_posts_its_legs(told: Ledger) -> None:
    """Each event's entry is in the database with the legs that the design names for it."""
    assert {key: legs_of(told.url, *key) for key in LEGS} == LEGS


def test_an_overrun_is_the_platforms(told: Ledger) -> None:
    """A charge that no balance can pay is overrun against revenue, beside what could be paid."""
    found = ask(told.url, "select bucket, debit_account, credit_account from projections.leg where minor > 10^9")
    assert ("credit", "overrun.direct", "revenue.direct") in found


def test_balances_after_an_entry_are_the_wallets(told: Ledger) -> None:
    """At the position of each entry a replay finds the very balances that the entry shows."""
    entries = ask(
        told.url,
        "select position, bucket, posted_minor, held_minor, available_minor from projections.entry"
        " where workspace_id = 'acme' order by position",
    )
    assert len(entries) == 26
    for position, bucket, *balances in entries:
        wallets = {each.wallet.bucket: each.wallet for each in replay(told.url, ACME, position).wallets}
        wallet = wallets[bucket]
        assert balances == [wallet.posted_minor, wallet.held_minor, wallet.available_minor], position


def test_turnovers_are_the_sums_of_legs(told: Ledger) -> None:
    """Each account's debit and credit are what its legs add up to, and every account is of a known kind."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for workspace_id, bucket, _, _, debit, credit, minor in rows_of(told.url, "leg"):
        sums.setdefault((workspace_id, bucket, debit), [0, 0])[0] += minor
        sums.setdefault((workspace_id, bucket, credit), [0, 0])[1] += minor
    accounts = rows_of(told.url, "account")
    assert {row[:3]: [int(row[3]), int(row[4])] for row in accounts} == sums
    assert {kind_of(row[2]).kind.partition(".")[0] for row in accounts} == {
        "wallet", "funding", "revenue", "overrun", "refunds", "promotion", "adjustment", "exchange",
    }  # fmt: skip


def test_each_bucket_is_in_balance(told: Ledger) -> None:
    """Debits equal credits in each bucket of each book."""
    query = "select bucket, sum(debit_minor) - sum(credit_minor) from projections.account group by workspace_id, bucket"
    assert {(bucket, int(difference)) for bucket, difference in ask(told.url, query)} == {("credit", 0), ("rmb", 0)}


def fact(event: Any) -> Fact:
    """Return an event as a fact of the system."""
    return Fact("system", 7, 0, event)


def test_an_event_is_applied_whole_or_not_at_all() -> None:
    """An event on a wallet that was never opened raises, and nothing of it stays."""
    book = JournalBook("acme", 1)
    book.apply(1, "wallet/credit", "wallet_opened.v1", 8, fact(WalletOpened("credit", "CREDIT", 6)))
    with pytest.raises(KeyError):
        book.apply(2, "wallet/rmb", "funds_added.v1", 9, fact(FundsAdded("rmb", "CNY", 5, "alipay", "1")))
    assert (book.entries, book.legs, list(book.turnovers()), list(book.wallets)) == ([], [], [], ["credit"])


def test_available_follows_the_credit_limit() -> None:
    """A later credit limit shows in the entries after it and leaves those before it alone."""
    book = JournalBook("acme", 1)
    stored = [
        b'{"tag":"wallet_opened.v1","bucket":"credit","unit":"CREDIT","scale":6,"credit_limit_minor":30}',
        b'{"tag":"funds_added.v1","bucket":"credit","unit":"CREDIT","amount_minor":5,"source":"s","reference":"1"}',
        b'{"tag":"credit_limit_changed.v1","bucket":"credit","unit":"CREDIT","credit_limit_minor":9,"previous_minor":30}',
        b'{"tag":"funds_added.v1","bucket":"credit","unit":"CREDIT","amount_minor":1,"source":"s","reference":"2"}',
    ]
    for position, event in enumerate(stored, 1):
        content = b'{"actor":"a","effective_at":1,"catalog_position":1,"event":' + event + b"}"
        book.apply(position, "wallet/credit", "tag", 1, decode_fact(content))
    assert [(entry[8], entry[9], entry[10]) for entry in book.entries] == [(5, 0, 35), (6, 0, 15)]
