"""`route-ledger why`: a page or JSON, from a database that no server follows or from a ledger at an address."""

import json

import msgspec
import pytest

from gateway.database import URL_VARIABLE
from gateway.tools.failures import ToolFailed
from gateway.tools.following import draw_level
from ledger.service import Ledger
from projections.change.answers import Change
from projections.change.page import change_page
from projections.route_ledger.writing import RouteLedger
from tests.integration.read_side import ask, follow
from tests.integration.scenes import ACME, record, set_up
from tests.integration.test_api_change import AFTER, BEFORE, WEEKS, asked
from tests.integration.test_api_receipts import command, token_of
from tests.integration.test_ledger_client import free_port, serving, token

PERIOD = ("--from", WEEKS["from"], "--to", WEEKS["to"])
RISE = "Charges to the credit wallet rose by 0.024000 CREDIT, from 0.024000 CREDIT to 0.048000 CREDIT."


@pytest.fixture
def there(ledger: Ledger) -> dict[str, str]:
    """Where a database is that nobody has followed: two requests in one week, four and one of rmb in the next."""
    set_up(ledger, time_zone="Asia/Shanghai")
    for number in range(7):
        route = "cheap" if number == 4 else "direct"
        at = AFTER if number < 5 else BEFORE
        record(ledger, asked(f"r-{number}", at, route=route, workflow=f"flow-{number % 2}"))
    return {URL_VARIABLE: ledger.url}


def read(text: str) -> Change:
    """Return an answer that was printed as JSON."""
    return msgspec.json.decode(text, type=Change)


def test_it_says_why_without_any_server(there: dict[str, str]) -> None:
    """What nobody has followed yet is followed first; a page for people, the same as JSON for programs."""
    page = command("why", *PERIOD, **there)
    assert (page.returncode, page.stderr) == (0, "")
    assert RISE in " ".join(page.stdout.split())
    assert "THE RMB WALLET" in page.stdout
    assert max(len(line) for line in page.stdout.splitlines()) <= 100
    whole = command("why", *PERIOD, "--json", **there)
    told = read(whole.stdout)
    assert page.stdout == change_page(told) + "\n"
    assert (told.complete, told.zone, [place.bucket for place in told.places]) == (True, "UTC", ["credit", "rmb"])


def test_its_options_are_those_of_the_page(there: dict[str, str]) -> None:
    """Bucket, measure, unit, dimension, workspace and zone narrow or turn it as they do over HTTP."""
    assert command("why", **there).stdout.startswith("  Nothing was charged in either period.")
    (rmb,) = read(command("why", *PERIOD, "--bucket", "rmb", "--json", **there).stdout).places
    assert (rmb.bucket, rmb.after.value) == ("rmb", "0.012000")
    cost = read(command("why", *PERIOD, "--measure", "cost", "--unit", "USD", "--json", **there).stdout)
    assert [(place.unit, place.after.value) for place in cost.places] == [("USD", "0.003885000")]
    by = read(command("why", *PERIOD, "--by", "workflow", "--bucket", "credit", "--json", **there).stdout)
    assert [(group.value, group.difference.value) for group in by.places[0].groups] == [
        ("flow-0", "0.012000"), ("flow-1", "0.012000"),
    ]  # fmt: skip
    own = read(command("why", *PERIOD, "--workspace", ACME, "--json", **there).stdout)
    assert (own.workspace_id, own.zone, own.after.begins_at) == (ACME, "Asia/Shanghai", "2025-06-09T00:00:00+08:00")
    other = command("why", *PERIOD, "--against", "2025-05-01", "--zone", "Asia/Kolkata", "--json", **there)
    assert read(other.stdout).before.begins_at == "2025-05-01T00:00:00+05:30"


def test_what_means_nothing_is_wrong_usage(there: dict[str, str]) -> None:
    """Exit code 2 and the option's name for what means nothing, 1 for what is not there; never a traceback."""
    for words, code, said in (
        (("--from", "yesterday"), 2, "--from"),
        (("--bucket", "gold"), 2, "--bucket: there is no such bucket"),
        (("--unit", "USD"), 2, "--unit: there is no such unit"),
        (("--zone", "Mars"), 2, "--zone"),
        ((*PERIOD, "--against", "2025-06-10"), 2, "--against"),
        (("--by", "colour"), 2, "--by"),
        (("--workspace", "nobody"), 1, "there is no workspace nobody"),
        (("--workspace", "nobody", "--zone", "UTC"), 1, "there is no workspace nobody"),
        (("--ledger", "http://127.0.0.1:9"), 2, "ROUTE_LEDGER_KEY is not set"),
    ):
        ran = command("why", *words, **there)
        assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), (words, ran.stderr)
        assert said in ran.stderr + ran.stdout, words


def test_a_ledger_elsewhere_answers_as_its_key_sees(ledger: Ledger, there: dict[str, str]) -> None:
    """A key of the platform gets what the database gives; a workspace's key its own, and no cost."""
    local = command("why", *PERIOD, "--json", **there).stdout
    reader, root = token_of(ledger, "reader"), token(ledger)
    with serving(ledger, free_port()) as address:
        remote = command("why", *PERIOD, "--json", "--ledger", address, ROUTE_LEDGER_KEY=root)
        own = command("why", *PERIOD, "--ledger", address, ROUTE_LEDGER_KEY=reader)
        refused = [
            command("why", *words, "--ledger", address, ROUTE_LEDGER_KEY=reader)
            for words in (("--measure", "cost"), ("--from", "soon"), ("--workspace", "other"))
        ]
    places = [place["after"] for place in json.loads(remote.stdout)["places"]]
    assert places == [place["after"] for place in json.loads(local)["places"]]
    assert (own.returncode, own.stderr) == (0, "")
    assert "Workspace acme" in own.stdout
    assert [(each.returncode, each.stdout) for each in refused] == [(1, ""), (2, ""), (1, "")]
    assert ["Traceback" in each.stderr for each in refused] == [False] * 3


def test_drawing_level_counts_each_event_once(ledger: Ledger, there: dict[str, str]) -> None:
    """Whoever has followed what, nothing is counted twice; a book that cannot be followed is said to be missing."""
    follow(ledger.url, events_max=7, projection=RouteLedger())
    draw_level(ledger.url, RouteLedger())
    draw_level(ledger.url, RouteLedger())
    assert ask(ledger.url, "select sum(requests) from projections.spend") == [(7,)]
    record(ledger, asked("r-late", AFTER))
    ask(
        ledger.url,
        "update projections.progress set failed_position = position + 1, failure = 'a test' where projection = %s",
        "route_ledger",
    )
    ran = command("why", *PERIOD, **there)
    assert ran.returncode == 0
    assert "NOT COMPLETE" in ran.stdout
    assert "the route ledger is 2 events behind the books" in ran.stderr


def test_a_database_without_a_route_ledger_says_so(ledger: Ledger) -> None:
    """A database of an older version names the way on."""
    ask(ledger.url, "update projections.generation set status = 'retired' where projection = 'route_ledger'")
    with pytest.raises(ToolFailed, match="serve it once"):
        draw_level(ledger.url, RouteLedger())
