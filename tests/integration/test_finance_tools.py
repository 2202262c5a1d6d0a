"""`route-ledger statement`, `funding` and `margin`: from a database that no server follows, for people and programs."""

import csv
import io

import msgspec
import pytest

from gateway.database import URL_VARIABLE
from ledger.core.amounts import count_minor
from ledger.service import Ledger
from projections.funding.answers import FundingPage
from projections.funding.page import funding_text
from projections.margin.answers import MarginPage
from projections.margin.page import margin_text
from projections.statements.answers import Statement
from projections.statements.page import statement_page
from tests.integration.finance_scene import EDGES, FORMULA, balance_of, facts_of, tell_finance
from tests.integration.read_side import ask
from tests.integration.scenes import ACME
from tests.integration.test_api_receipts import command

MONTH = "2025-11"
PERIOD = ("--from", "2025-11-01", "--to", "2025-12-01")
COLUMNS_MAX = 100


@pytest.fixture
def there(ledger: Ledger) -> dict[str, str]:
    """Where a database is that nobody has followed, with money at every edge of a month."""
    tell_finance(ledger)
    return {URL_VARIABLE: ledger.url}


def test_a_statement_in_every_shape(ledger: Ledger, there: dict[str, str]) -> None:
    """What nobody has followed is followed first; page, JSON, CSV and HTML tell the same balances."""
    words = ("statement", ACME, "credit", MONTH)
    page, whole, table, sheet, safe = (
        command(*words, *shape, **there) for shape in ((), ("--json",), ("--csv",), ("--html",), ("--csv", "--excel"))
    )
    assert [(each.returncode, each.stderr) for each in (page, whole, table, sheet, safe)] == [(0, "")] * 5
    told = msgspec.json.decode(whole.stdout, type=Statement)
    assert page.stdout == statement_page(told) + "\n"
    assert max(map(len, page.stdout.splitlines())) <= COLUMNS_MAX
    balance = balance_of(facts_of(ledger.url, ACME), "credit", EDGES[ACME]["2025-12"])
    assert (count_minor(told.closing.balance), told.complete, told.zone) == (balance[0], True, "Asia/Shanghai")
    for text in (page.stdout, sheet.stdout):
        assert told.closing.balance.value in text
        assert "It is not a tax invoice." in text
    rows = list(csv.DictReader(io.StringIO(table.stdout, newline="")))
    assert rows[-1]["amount"] == told.closing.balance.value
    assert FORMULA in table.stdout
    assert f"'{FORMULA}" in safe.stdout
    assert sheet.stdout.startswith("<!doctype html>")


def test_what_does_not_tie_out_ends_with_one(ledger: Ledger, there: dict[str, str]) -> None:
    """A difference is shown, told on standard error, and is the exit code."""
    assert command("statement", ACME, "credit", MONTH, **there).returncode == 0
    ask(ledger.url, "update projections.spend set refunded_minor = refunded_minor + 1 where workspace_id = %s", ACME)
    ran = command("statement", ACME, "credit", MONTH, **there)
    assert ran.returncode == 1
    assert "NOT RIGHT" in ran.stdout
    assert ran.stderr.startswith("does not tie out: opening and changes are not the closing balance")


def printed(there: dict[str, str], *words: str) -> tuple[str, str]:
    """Return a tool's page for people and its JSON, each printed without a word on standard error."""
    page, whole = command(*words, **there), command(*words, "--json", **there)
    assert [(each.returncode, each.stderr) for each in (page, whole)] == [(0, "")] * 2
    assert max(map(len, page.stdout.splitlines())) <= COLUMNS_MAX
    return page.stdout, whole.stdout


def test_funding_and_margin_for_people_and_programs(there: dict[str, str]) -> None:
    """Pages of at most 100 columns say what the JSON says, for a workspace and for all; CSV has a row for each card."""
    for more in ((), ("--workspace", ACME), ("--zone", "America/New_York")):
        page, whole = printed(there, "funding", *PERIOD, *more)
        assert page == funding_text(msgspec.json.decode(whole, type=FundingPage)) + "\n"
        page, whole = printed(there, "margin", *PERIOD, *more)
        assert page == margin_text(msgspec.json.decode(whole, type=MarginPage)) + "\n"
    rows = list(csv.DictReader(io.StringIO(command("margin", *PERIOD, "--csv", **there).stdout, newline="")))
    assert {row["route"] for row in rows} == {"direct", "spare", "cheap"}
    tied = command("funding", *PERIOD, "--workspace", ACME, **there).stdout
    assert "yes: accounts and events agree" in tied
    assert "USED MORE THAN ONCE" in tied


def test_a_source_that_does_not_tie_out_ends_with_one(ledger: Ledger, there: dict[str, str]) -> None:
    """A leg that is more than its event says is a difference, and the exit code."""
    assert command("funding", *PERIOD, **there).returncode == 0
    ask(ledger.url, "update projections.leg set minor = minor + 1 where debit_account = 'funding.alipay'")
    ran = command("funding", *PERIOD, **there)
    assert (ran.returncode, "NO: see the differences" in ran.stdout) == (1, True)


def test_what_means_nothing_is_wrong_usage(there: dict[str, str]) -> None:
    """Exit code 2 and what is wrong for what means nothing, 1 for what is not there; never a traceback."""
    for words, code, said in (
        (("statement", ACME, "credit", "november"), 2, "month: it is a month such as"),
        (("statement", ACME, "gold", MONTH), 1, "no wallet in the bucket gold"),
        (("statement", "nobody", "credit", MONTH), 1, "there is no workspace nobody"),
        (("funding", "--from", "soon"), 2, "--from"),
        (("margin", "--zone", "Mars"), 2, "--zone"),
        (("margin", "--workspace", "nobody"), 1, "there is no workspace nobody"),
    ):
        ran = command(*words, **there)
        assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), (words, ran.stderr)
        assert said in ran.stderr + ran.stdout, words
