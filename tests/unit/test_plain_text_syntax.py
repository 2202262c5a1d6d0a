"""How transactions, openings and closings look to Beancount and to hledger, letter by letter."""

import pytest

from ledger.core.amounts import Unit
from projections.exports.account_balances import Account, Balance
from projections.exports.account_names import account_name, opening_account
from projections.exports.beancount import Beancount
from projections.exports.dated_legs import DatedEntry, Leg
from projections.exports.hledger import Hledger
from projections.exports.plain_text import Syntax
from projections.exports.wording import instant_text, word_of

CREDIT = Unit("CREDIT", 6)
POINT = Unit("POINT", 0)
AVAILABLE, HELD = "wallet.available", "wallet.held"
DAY = "2026-10-03"
HELD_AT = 1_790_985_600_000_001


def entry(tag: str, legs: list[Leg], recorded_at: int = HELD_AT, command_id: str = "r:1/settle") -> DatedEntry:
    """Return an entry of a request."""
    return DatedEntry(20_729, "acme", "credit", 12, tag, "r:1", HELD_AT, recorded_at, command_id, b"\xab" * 32, legs)


def balance(account: str, minor: int, unit: Unit = CREDIT) -> Balance:
    """Return what an account of the bucket holds; without a name, the one that openings are against."""
    name = account_name("acme", "credit", account) if account else opening_account("acme", "credit")
    return Balance(Account(name, "acme", "credit", account, unit), minor)


SETTLED = entry("tokens_settled.v1", [(HELD, "revenue.gpt-5.1", 12_000), (HELD, AVAILABLE, 988_000)], HELD_AT + 10**6)
ROUTED = entry("request_routed.v1", [(AVAILABLE, HELD, 1)], command_id="r:1/route")


def test_a_charge_for_beancount() -> None:
    """Two postings for each leg at full scale, its route, and when it was recorded if that was later."""
    assert Beancount().transaction(DAY, SETTLED, CREDIT) == (
        '2026-10-03 * "acme" "settle r:1" #settle ^acme/r/3a/1\n'
        "  position: 12\n"
        '  event: "tokens_settled.v1"\n'
        '  command: "r:1/settle"\n'
        '  request: "r:1"\n'
        '  route: "gpt-5.1"\n'
        '  time: "2026-10-03T00:00:00.000001Z"\n'
        '  recorded: "2026-10-03T00:00:01.000001Z"\n'
        f'  digest: "{"ab" * 32}"\n'
        "  Liabilities:Acme:Credit:Wallet:Held  0.012000 CREDIT\n"
        "  Income:Acme:Credit:Revenue:Gpt-5Dot1  -0.012000 CREDIT\n"
        "  Liabilities:Acme:Credit:Wallet:Held  0.988000 CREDIT\n"
        "  Liabilities:Acme:Credit:Wallet:Available  -0.988000 CREDIT\n\n"
    )


def test_a_hold_for_hledger() -> None:
    """Flagged while it is only reserved, the position as its code, everything else as tags."""
    assert Hledger().transaction(DAY, ROUTED, CREDIT) == (
        "2026-10-03 ! (12) acme | hold r:1  ; hold:\n"
        "  ; position:12, event:request_routed.v1, command:r:1/route, request:r:1, time:2026-10-03T00:00:00.000001Z\n"
        f"  ; digest:{'ab' * 32}\n"
        "  Liabilities:Acme:Credit:Wallet:Available  0.000001 CREDIT\n"
        "  Liabilities:Acme:Credit:Wallet:Held  -0.000001 CREDIT\n\n"
    )


def test_openings() -> None:
    """Balances are brought in by one transaction, which says what they come to together: nothing."""
    balances = [balance("funding.alipay", 5), balance(AVAILABLE, -5), balance("", 0)]
    postings = (
        "  Assets:Acme:Credit:Funding:Alipay  0.000005 CREDIT\n"
        "  Liabilities:Acme:Credit:Wallet:Available  -0.000005 CREDIT\n"
        "  Equity:Opening-Balances:Acme:Credit  0.000000 CREDIT\n\n"
    )
    assert Beancount().opening(DAY, balances) == f'2026-10-03 * "acme" "opening credit" #opening\n{postings}'
    assert Hledger().opening(DAY, balances) == f"2026-10-03 * acme | opening credit  ; opening:\n{postings}"


def test_closings() -> None:
    """What accounts must hold is asserted without tolerance, and for hledger that they hold nothing else."""
    balances = [balance("promotion", 12, POINT), balance(AVAILABLE, -12, POINT)]
    assert Beancount().closing(DAY, balances) == (
        "2026-10-03 balance Expenses:Acme:Credit:Promotion  12 ~ 0 POINT\n"
        "2026-10-03 balance Liabilities:Acme:Credit:Wallet:Available  -12 ~ 0 POINT\n"
    )
    assert Hledger().closing(DAY, balances) == (
        "2026-10-03 * acme | closing credit  ; closing:\n"
        "  Expenses:Acme:Credit:Promotion  0 POINT == 12 POINT\n"
        "  Liabilities:Acme:Credit:Wallet:Available  0 POINT == -12 POINT\n\n"
    )


@pytest.mark.parametrize("syntax", [Beancount(), Hledger()])
def test_a_file_begins_with_its_units(syntax: Syntax) -> None:
    """Every unit is declared with all its digits."""
    text = syntax.beginning("Route Ledger: acme", DAY, {"CREDIT": 6, "POINT": 0})
    expected = {
        "Beancount": ["2026-10-03 commodity CREDIT\n  precision: 6\n", "2026-10-03 commodity POINT\n  precision: 0\n"],
        "Hledger": ["commodity 1000.000000 CREDIT\n", "commodity 1000. POINT\n"],
    }
    assert all(part in text for part in expected[type(syntax).__name__])


@pytest.mark.parametrize(
    ("tag", "command_id", "word"),
    [
        ("request_released.v1", "r/release", "release"),
        ("request_released.v1", "r/expire", "expire"),
        ("hold_extended.v2", "r/extension/1", "extension"),
        ("funds_added.v1", "@funds/alipay/expire", "payment"),
        ("something_new.v1", "x", "something-new"),
    ],
)
def test_every_kind_of_entry_has_a_word(tag: str, command_id: str, word: str) -> None:
    """The word says what happened, whatever the version of the event; a hold that ran out has its own."""
    assert word_of(entry(tag, [], command_id=command_id)) == word


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (59_999_999, "1970-01-01T00:00:59.999999Z"),
        (1_790_985_661_000_010, "2026-10-03T00:01:01.000010Z"),
    ],
)
def test_instants_are_written_to_the_microsecond(instant: int, text: str) -> None:
    """An instant is UTC, with all its digits."""
    assert instant_text(instant) == text
