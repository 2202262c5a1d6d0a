"""Accounts, legs and entries: what double entry promises by construction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.accounts import (
    ACCOUNT_KINDS,
    AccountType,
    Side,
    funding,
    kind_of,
    overrun,
    refunds,
    revenue,
)
from ledger.core.entries import Leg, account_movement, make_entry
from ledger.core.identifiers import NAME_PATTERN

PLAIN = ("wallet.available", "wallet.held", "promotion", "adjustment", "exchange")
NAMED = {"funding": funding, "revenue": revenue, "overrun": overrun, "refunds": refunds}
ROOTS = {
    AccountType.ASSET: "Assets", AccountType.LIABILITY: "Liabilities", AccountType.EQUITY: "Equity",
    AccountType.REVENUE: "Income", AccountType.EXPENSE: "Expenses",
}  # fmt: skip
CONTRA = {"overrun", "refunds"}
accounts = st.sampled_from((*PLAIN, "funding.alipay", "revenue.gpt-5"))


def test_the_table_of_accounts_is_the_designs() -> None:
    """There are nine kinds of account; each has a type, the root of its type and a meaning."""
    assert {kind.kind for kind in ACCOUNT_KINDS} == {*PLAIN, *NAMED}
    assert len(ACCOUNT_KINDS) == 9
    for kind in ACCOUNT_KINDS:
        assert (kind.root, kind.named) == (ROOTS[kind.type], kind.kind in NAMED)
        assert kind.meaning


def test_normal_sides_follow_the_type() -> None:
    """Assets and expenses stand in debit; liabilities and revenue in credit, contra-revenue in debit."""
    for kind in ACCOUNT_KINDS:
        credit = kind.type in (AccountType.LIABILITY, AccountType.REVENUE) and kind.kind not in CONTRA
        assert (kind.normal_side is Side.CREDIT) is credit


@given(st.from_regex(NAME_PATTERN), st.sampled_from(sorted(NAMED)))
def test_a_named_account_is_found_by_its_kind(name: str, kind: str) -> None:
    """The account of any route or source, dots included, has the kind it was made from."""
    account = NAMED[kind](name)
    assert account == f"{kind}.{name}"
    assert kind_of(account).kind == kind


@pytest.mark.parametrize(
    "name",
    ["", "wallet", "wallet.", "wallet.other", "funding", "funding.", "revenue", "promotion.x", "exchange.a",
     "wallet.available.x", "other.x", ".x"],
)  # fmt: skip
def test_what_is_no_account_has_no_kind(name: str) -> None:
    """A kind without its name, a name without a kind, or a name too many is no account."""
    with pytest.raises(KeyError):
        kind_of(name)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_account_is_its_own_kind(name: str) -> None:
    """An account without a second part is found under its whole name."""
    assert kind_of(name).kind == name


@given(accounts, accounts, st.integers(-3, 10**18))
def test_a_leg_is_positive_and_has_two_accounts(debit: str, credit: str, minor: int) -> None:
    """No leg of nothing, of less, or from an account to itself can be made."""
    if minor > 0 and debit != credit:
        assert Leg(debit, credit, minor).minor == minor
    else:
        with pytest.raises(ValueError):
            Leg(debit, credit, minor)


legs = st.tuples(accounts, accounts, st.integers(0, 10**18)).filter(lambda leg: leg[0] != leg[1])


@given(st.lists(legs, max_size=6))
def test_an_entry_is_always_in_balance(stated: list[tuple[str, str, int]]) -> None:
    """Debits and credits of an entry are equal over all accounts; legs of zero leave no trace."""
    entry = make_entry("credit", *stated)
    assert sum(account_movement(entry, name) for name in {a for leg in stated for a in leg[:2]}) == 0
    assert [(leg.debit_account, leg.credit_account, leg.minor) for leg in entry.legs] == [
        leg for leg in stated if leg[2]
    ]


def test_a_movement_is_debit_less_credit() -> None:
    """What an entry does to an account is its debits less its credits."""
    entry = make_entry("credit", ("promotion", "wallet.available", 5), ("wallet.available", "exchange", 2))
    movements = [account_movement(entry, name) for name in ("promotion", "wallet.available", "exchange")]
    assert movements == [5, -3, -2]
