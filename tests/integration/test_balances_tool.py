"""`route-ledger balances`: wallets and trial balances at a moment, from a database that no server follows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.database import URL_VARIABLE
from ledger.service import Ledger
from tests.integration.read_side import ask, tell
from tests.integration.scenes import ACME, do, pay, record, set_up, workspace_commands
from tests.integration.test_api_receipts import command

ZONED = "shanghai"


@pytest.fixture
def there(ledger: Ledger) -> dict[str, str]:
    """Where a database is that nobody has followed: one workspace has seen everything, one got a payment late."""
    set_up(ledger)
    tell(ledger)
    record(ledger, workspace_commands(ZONED, time_zone="Asia/Shanghai", funds="5"))
    at: dict[str, Any] = {"workspace_id": ZONED, "bucket": "credit", "reference": "late"}
    do(ledger, pay(**at, amount="7", effective_at=datetime(2025, 11, 20, 15, 59, tzinfo=UTC)))
    return {URL_VARIABLE: ledger.url}


def lines_of(*words: str, **there: str) -> list[list[str]]:
    """Return the words of the lines that the command prints below its heading."""
    done = command("balances", *words, **there)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()[1:]]


def test_now_is_what_is_live(there: dict[str, str]) -> None:
    """What nobody has followed is followed first; each wallet is a line, and none is of two buckets."""
    live = ask(
        there[URL_VARIABLE],
        "select workspace_id, bucket, posted_minor, held_minor, unit from ledger.wallet order by workspace_id, bucket",
    )
    found = lines_of(**there)
    assert [(row[0], row[1], micros(row[3]), micros(row[4]), row[6]) for row in found] == live


def micros(value: str) -> int:
    """Return an amount in smallest parts."""
    return int(value.replace(".", ""))


def test_a_day_is_its_end_where_the_workspace_is(there: dict[str, str]) -> None:
    """By the end of a day in Shanghai only the late payment had happened, and nothing had been recorded."""
    assert lines_of("--at", "2025-11-20", **there) == [
        [ZONED, "credit", "8", "7.000000", "0.000000", "7.000000", "CREDIT"]
    ]
    assert lines_of("--at", "2025-11-20", "--by", "recorded", **there) == []
    assert lines_of("--at", "2025-11-20T15:58:59Z", **there) == []
    assert lines_of("--at", "2025-11-20", "--zone", "Etc/GMT-14", **there) == []
    told = command("balances", "--at", "2025-11-20", **there).stderr
    assert told == "what had happened by the end of 2025-11-20, in the time zone of each workspace\n"
    today, yesterday = (lines_of("--at", when, **there) for when in ("today", "yesterday"))
    assert today == lines_of(**there)
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    assert yesterday == lines_of("--at", day, **there) or datetime.now(UTC).hour == 0


def test_a_position_is_one_books(there: dict[str, str]) -> None:
    """At its fifth event the workspace had its first payment; a position without a workspace is wrong usage."""
    assert lines_of("--at", "5", "--workspace", ACME, **there) == [
        [ACME, "credit", "5", "1000.000000", "0.000000", "1000.000000", "CREDIT"]
    ]
    for words, code in (
        (("--at", "5"), 2), (("--at", "5", "--workspace", ACME, "--by", "recorded"), 2), (("--by", "recorded"), 2),
        (("--at", "tomorrow"), 2), (("--at", "2025-11-20", "--zone", "Moon"), 2), (("--workspace", "nobody"), 1),
        (("--at", "99999", "--workspace", ACME), 1),
    ):  # fmt: skip
        done = command("balances", *words, **there)
        assert (done.returncode, done.stdout) == (code, ""), words


def test_accounts_are_a_trial_balance(there: dict[str, str]) -> None:
    """Each bucket's accounts add up to the same on both sides; JSON says the positions of all books."""
    page = command("balances", "--accounts", **there).stdout
    assert page.count("in balance") == 2
    assert "NOT" not in page
    assert "credit (CREDIT)" in page
    whole = json.loads(command("balances", "--accounts", "--at", "2025-11-20", "--json", **there).stdout)
    assert [each["bucket"] for each in whole["buckets"]] == ["credit"]
    assert whole["buckets"][0]["debit"] == {"value": "7.000000", "unit": "CREDIT"}
    assert whole["positions"].keys() == {"platform", ACME, ZONED}
    wallets = json.loads(command("balances", "--workspace", ZONED, "--at", "2025-11-20", "--json", **there).stdout)
    assert wallets["as_of"]["zone"] == "Asia/Shanghai"
    assert [(each["bucket"], each["posted"]["value"]) for each in wallets["wallets"]] == [("credit", "7.000000")]
