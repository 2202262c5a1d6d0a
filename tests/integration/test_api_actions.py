"""Who did what over HTTP and on the command line: everything, in order, page by page, for the platform alone."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from gateway.database import URL_VARIABLE
from ledger.catalog.commands import SuspendRoute
from ledger.service import Ledger
from ledger.wallet.commands import PostAdjustment
from ledger.workspace.commands import RevokeApiKey
from projections.actions import reading
from projections.actions.showing import GATEWAY_TAGS
from projections.actions.tables import ACTION_COLUMNS
from projections.reading import QUERIES
from tests.integration.api_scene import Api, refusal
from tests.integration.read_side import ask, story
from tests.integration.requests_scene import open_reads, own_key
from tests.integration.scenes import ACME, HASH, credit, record, set_up
from tests.integration.test_api_receipts import command
from tests.integration.test_ledger_client import free_port, serving, token

Told = dict[str, Any]
ADJUSTED = PostAdjustment(
    workspace_id=ACME, bucket="credit", adjustment_id="x9", amount=credit("-0.25"), reason="=cmd, agreed with 客户"
)


@pytest.fixture(scope="module")
def acted(module_ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger with two workspaces, and acts of two keys of people."""
    set_up(module_ledger, ACME, "other")
    record(module_ledger, story())
    with open_reads(module_ledger) as api:
        mei, otto = (api.key(name, ("admin", "fund")) for name in ("mei-2", "otto-2"))
        api.key("k7", ("read",), ACME)
        for key, act in (
            (mei, ADJUSTED),
            (otto, RevokeApiKey(workspace_id=ACME, api_key_id="k7", reason="leaked")),
            (otto, SuspendRoute(route="spare", change_id="p1", reason="too slow")),
        ):
            assert api.command(act, key).status_code == 201
        yield api


def read(api: Api, token: str | None = None, **query: Any) -> Told:
    """Return a page."""
    answer = api.get("/actions?" + urlencode(query), token)
    assert answer.status_code == 200, answer.text
    told: Told = answer.json()
    return told


def everything(api: Api, **query: Any) -> list[Told]:
    """Return all pages."""
    lines: list[Told] = []
    more: Told = {}
    while True:
        page = read(api, **query, **more)
        lines += page["data"]
        if not page["has_more"]:
            return lines
        more = {"cursor": page["next_cursor"]}


def places(lines: list[Told]) -> list[tuple[str, int]]:
    """Return where actions stand."""
    return [(line["workspace_id"], line["position"]) for line in lines]


def test_it_is_every_event_that_no_gateway_wrote(acted: Api) -> None:
    """All of them once, the newest first, over all books and in each; requests' own events are not there."""
    expected = ask(
        acted.ledger.url,
        "select workspace_id, position from ledger.event where tag <> all(%s)"
        ' order by recorded_at desc, workspace_id collate "C" desc, position desc',
        sorted(GATEWAY_TAGS),
    )
    assert places(everything(acted, limit=200)) == expected
    for name in (ACME, "other", "platform"):
        assert places(everything(acted, workspace_id=name)) == [place for place in expected if place[0] == name]


def test_an_action_says_who_when_why_and_what(acted: Api) -> None:
    """The key, its name, the reason, what changed in words and as it was recorded."""
    (line,) = [line for line in read(acted, workspace_id=ACME)["data"] if line["tag"] == "adjustment_posted.v1"][:1]
    assert (line["actor"], line["reason"]) == ("mei-2", "=cmd, agreed with 客户")
    assert line["text"] == "Adjusted the credit wallet by -0.250000 CREDIT."
    assert line["event"]["amount_minor"] == -250_000
    assert (line["command_id"], line["request_id"], line["served_at"]) == ("@adjustment/x9", None, None)
    assert line["recorded_at"] == line["effective_at"]


def test_the_name_of_a_key_can_be_erased(acted: Api) -> None:
    """It is shown as people call the key now, and not after it was erased; the id stays."""
    ask(acted.ledger.url, "insert into ledger.display_name values ('platform', 'api_key', 'mei-2', 'Mei Lin')")
    assert {line["actor_name"] for line in everything(acted, actor="mei-2")} == {"Mei Lin"}
    ask(acted.ledger.url, "delete from ledger.display_name")
    assert {(line["actor"], line["actor_name"]) for line in everything(acted, actor="mei-2")} == {("mei-2", None)}


def test_no_hash_of_a_secret_is_told(acted: Api) -> None:
    """Neither in pages nor in exports, for any key that was ever issued."""
    hashes = ask(
        acted.ledger.url,
        "select convert_from(state, 'UTF8')::json -> 'event' ->> 'secret_hash' from ledger.event where tag = %s",
        "api_key_issued.v1",
    )
    assert len(hashes) > 4
    assert HASH in {row[0] for row in hashes}
    for shape in ("json", "csv", "jsonl"):
        text = acted.get(f"/actions?tag=api_key_issued&format={shape}").text
        assert "Issued key k1" in text
        assert [row[0] for row in hashes if row[0] in text or "secret" in text] == []


@pytest.mark.parametrize("query", [{}, {"workspace_id": ACME}, {"actor": "otto-2"}, {"tag": "funds_added"}])
def test_pages_of_any_length_are_the_whole(acted: Api, query: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short pages and walks are, each action is there once and in order."""
    whole = everything(acted, **query)
    assert whole
    for limit, walked in ((1, 20_000), (2, 20_000), (200, 1), (3, 4)):
        monkeypatch.setattr(reading, "WALKED_MAX", walked)
        assert everything(acted, **query, limit=limit) == whole


def test_filters_narrow_it(acted: Api) -> None:
    """By key, kind and time of recording; `to` is not included."""
    whole = everything(acted)
    assert {line["actor"] for line in whole} >= {"system", "root", "mei-2", "otto-2"}
    assert [line["tag"] for line in everything(acted, actor="otto-2")] == ["route_suspended.v1", "api_key_revoked.v1"]
    assert places(everything(acted, tag="charge_corrected", workspace_id=ACME)) == [
        (line["workspace_id"], line["position"]) for line in whole if line["tag"] == "charge_corrected.v1"
    ]
    middle = whole[len(whole) // 2]["recorded_at"]
    for query in ({}, {"workspace_id": ACME}):
        all_of = everything(acted, **query)
        before, after = everything(acted, to=middle, **query), everything(acted, **{"from": middle}, **query)
        assert after + before == all_of
        assert all(line["recorded_at"] < middle for line in before)
    assert everything(acted, actor="nobody-of-that-name") == []
    assert everything(acted, workspace_id=ACME, **{"from": "2100-01-01T00:00:00Z"}) == []


def test_exports_are_the_same_actions(acted: Api) -> None:
    """CSV with a header row, JSON lines; a spreadsheet runs no reason; the way on is in the headers."""
    whole = everything(acted)
    lines = acted.get("/actions?format=jsonl").text.splitlines()
    assert [json.loads(line) for line in lines] == whole
    answer = acted.get("/actions", accept="text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["workspace_id"], int(row["position"])) for row in rows] == places(whole)
    assert [json.loads(row["event"]) for row in rows] == [line["event"] for line in whole]
    assert tuple(rows[0]) == ACTION_COLUMNS
    safe = acted.get("/actions?format=csv&safe=excel&actor=mei-2").text
    assert "'=cmd, agreed" in safe
    short = acted.get("/actions?format=jsonl&limit=2")
    rest = acted.get(f"/actions?format=jsonl&cursor={short.headers['x-next-cursor']}")
    assert short.text + rest.text == acted.get("/actions?format=jsonl").text


def test_it_is_the_platforms(acted: Api) -> None:
    """Keys of the platform with read, audit or admin; a workspace's own key is refused, whatever it may do."""
    for scope in ("read", "audit", "admin"):
        assert read(acted, acted.key(f"{scope}-only", (scope,)))["data"]
    for key in (own_key(acted, "read", "audit"), own_key(acted, "call"), acted.key("posts", ("post", "fund", "call"))):
        assert refusal(acted.get("/actions", key)) == (403, "not_allowed", None)


def test_what_means_nothing_is_refused(acted: Api) -> None:
    """Every parameter is looked at, and named."""
    cursor = read(acted, limit=1)["next_cursor"]
    for query, field in (
        ({"actor": "a b"}, "actor"),
        ({"tag": "tokens_settled"}, "tag"),
        ({"tag": "nothing.v1"}, "tag"),
        ({"from": "yesterday"}, "from"),
        ({"limit": "201"}, "limit"),
        ({"limit": "10001", "format": "csv"}, "limit"),
        ({"format": "xml"}, "format"),
        ({"safe": "excel"}, "safe"),
        ({"cursor": cursor, "actor": "system"}, "cursor"),
        ({"cursor": "x"}, "cursor"),
        ({"colour": "red"}, "colour"),
    ):
        answer = acted.get("/actions?" + urlencode(query))
        assert (answer.status_code, answer.json().get("field")) == (400, field), query
    for name in ("nobody", "No Body"):
        assert acted.get("/actions?" + urlencode({"workspace_id": name})).status_code == 404


@pytest.mark.parametrize("statement", ["read_actions", "read_actions_of_all"])
def test_the_index_of_people_is_used(acted: Api, statement: str) -> None:
    """No page walks over what gateways wrote."""
    parameters = {
        "workspace_id": ACME, "actor": None, "tags": None, "begin": 0, "end": 2**62, "last_position": 2**62,
        "last_recorded_at": 2**62, "last_workspace_id": "", "walked_max": 100, "limit": 10,
    }  # fmt: skip
    with psycopg.connect(acted.ledger.url, autocommit=True) as connection:
        connection.execute("set enable_seqscan = off")
        connection.execute("set plan_cache_mode = force_custom_plan")
        plan = connection.execute(b"explain " + QUERIES[statement].encode(), parameters).fetchall()
    assert "event_of_people" in "\n".join(row[0] for row in plan)


def test_the_command_prints_a_table_or_an_export(acted: Api) -> None:
    """A line for each action; csv and jsonl are those of the API; filters are the same; days are those of the zone."""
    there = {URL_VARIABLE: acted.ledger.url}
    table = command("audit", "actions", "--actor", "otto-2", **there)
    assert (table.returncode, table.stderr) == (0, "")
    first, second = table.stdout.splitlines()
    assert first.split(maxsplit=4)[1:2] == ["platform"]
    assert first.endswith("Suspended route spare. — too slow")
    assert second.endswith("Revoked key k7. — leaked")
    for shape in ("csv", "jsonl"):
        ran = command("audit", "actions", "--format", shape, **there)
        assert ran.stdout == acted.get(f"/actions?format={shape}").text.replace("\r\n", "\n")
    of_book = command(
        "audit", "actions", "--workspace", ACME, "--tag", "charge_corrected", "--format", "jsonl", **there
    )
    assert len(of_book.stdout.splitlines()) == 2
    assert command("audit", "actions", "--from", "2100-01-01", **there).stdout == ""
    assert command("audit", "actions", "--to", "2001-01-01", **there).stdout == ""


def test_the_command_at_a_ledger_elsewhere(ledger: Ledger) -> None:
    """The same from an address, with the platform's key; a workspace's is refused; nothing ends in a traceback."""
    set_up(ledger)
    record(ledger, story())
    root = token(ledger)
    with serving(ledger, free_port()) as address:
        at = ("--ledger", address, "--format", "jsonl")
        remote = command("audit", "actions", *at, "--workspace", ACME, "--to", "2100-01-01", ROUTE_LEDGER_KEY=root)
        wrong = command("audit", "actions", *at, "--workspace", "nobody", ROUTE_LEDGER_KEY=root)
    local = command("audit", "actions", "--format", "jsonl", "--workspace", ACME, **{URL_VARIABLE: ledger.url})
    assert remote.stdout == local.stdout != ""
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    for words, code, said in (
        (("--workspace", "nobody"), 1, "there is no workspace nobody"),
        (("--tag", "tokens_settled"), 2, "--tag"),
        (("--actor", "a b"), 2, "--actor"),
        (("--from", "soon"), 2, "--from"),
        (("--zone", "Mars"), 2, "--zone"),
        (("--ledger", "http://127.0.0.1:9"), 2, "ROUTE_LEDGER_KEY is not set"),
    ):
        ran = command("audit", "actions", *words, **{URL_VARIABLE: ledger.url})
        assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), (words, ran.stderr)
        assert said in ran.stderr, words
