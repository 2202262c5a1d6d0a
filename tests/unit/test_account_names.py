"""Account names in plain text: in the common subset of the programs, unique, and reversible, whatever the names are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.accounts import ACCOUNT_KINDS
from projections.exports.account_names import (
    OPENING_BALANCES,
    account_name,
    link_name,
    opening_account,
    read_account,
    read_part,
    write_part,
)
from tests.strategies import hostile_texts

COMMON = re.compile(r"(?:Assets|Liabilities|Equity|Income|Expenses)(?::[A-Z0-9][A-Za-z0-9-]*){3,}\Z")
PART = re.compile(r"[A-Z0-9][A-Za-z0-9-]*\Z")
LINK = re.compile(r"[A-Za-z0-9/._-]+\Z")
alike = st.text("aAdDoOtTxX.-_:019éß团\u0130", max_size=12)
"""Names of the letters that names are written with: the likeliest to be written alike."""

names = alike | hostile_texts | st.text(max_size=30) | st.text("ab.-0", min_size=100, max_size=300)
kinds = st.sampled_from(ACCOUNT_KINDS)


@st.composite
def accounts(draw: st.DrawFn) -> tuple[str, str, str]:
    """Draw workspace, bucket and account."""
    kind = draw(kinds)
    account = f"{kind.kind}.{draw(names.filter(bool))}" if kind.named else kind.kind
    return draw(names), draw(names), account


@given(names)
def test_a_part_tells_its_name(name: str) -> None:
    """Every text can be a part, and is read again from it."""
    assert PART.match(write_part(name))
    assert read_part(write_part(name)) == name


@given(accounts())
def test_an_account_is_read_again(account: tuple[str, str, str]) -> None:
    """A name in plain text is within what all programs accept, and tells workspace, bucket and account."""
    name = account_name(*account)
    assert COMMON.match(name)
    assert read_account(name) == account


@given(st.lists(accounts(), min_size=2, max_size=40, unique=True))
def test_no_two_accounts_have_one_name(drawn: list[tuple[str, str, str]]) -> None:
    """Different accounts have different names, and none has that of an opening balance."""
    written = {account_name(*account) for account in drawn}
    written |= {opening_account(workspace_id, bucket) for workspace_id, bucket, _ in drawn}
    books = {(workspace_id, bucket) for workspace_id, bucket, _ in drawn}
    assert len(written) == len(drawn) + len(books)


@given(names, names)
def test_opening_balances_belong_to_one_bucket(workspace_id: str, bucket: str) -> None:
    """The account of an opening balance has the parts of its workspace and bucket, and no workspace has its name."""
    prefix, workspace_part, bucket_part = opening_account(workspace_id, bucket).rsplit(":", 2)
    assert (prefix, read_part(workspace_part), read_part(bucket_part)) == (OPENING_BALANCES, workspace_id, bucket)
    assert write_part(workspace_id) != OPENING_BALANCES.partition(":")[2]


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (("acme", "credit", "wallet.available"), "Liabilities:Acme:Credit:Wallet:Available"),
        (("acme", "credit", "revenue.gpt-5.1-direct"), "Income:Acme:Credit:Revenue:Gpt-5Dot1-direct"),
        (("3d-shop", "gift.2025", "funding.wechat"), "Assets:3d-shop:GiftDot2025:Funding:Wechat"),
        (("a", "b", "exchange"), "Equity:A:B:Exchange"),
        (("a", "b", "refunds.0x"), "Income:A:B:Refunds:00x"),
        (("A", "团", "overrun.a_b"), "Income:0X41X:0X56e2X:Overrun:AX5fXb"),
    ],
)
def test_names_read_well(account: tuple[str, str, str], name: str) -> None:
    """Ordinary names are hardly changed."""
    assert account_name(*account) == name


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True), names, names)
def test_links_tie_one_request(workspace_id: str, one: str, other: str) -> None:
    """A link has letters that links may have, and two requests never share one."""
    link = link_name(workspace_id, one)
    assert LINK.match(link)
    assert (link == link_name(workspace_id, other)) == (one == other)


@pytest.mark.parametrize(
    "name",
    ["Income:A:B:Nothing:C", "Liabilities:A:B:Wallet", "Assets:A:B:Exchange", "Equity:A:B:Exchange:C", "x", ""],
)
def test_other_names_are_no_accounts(name: str) -> None:
    """A name that no account is written as is refused."""
    with pytest.raises(KeyError):
        read_account(name)
