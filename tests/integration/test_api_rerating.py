"""A preview of re-rating over HTTP: which requests, for whom, page by page, and nothing is written."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from ledger.service import Ledger
from projections.rerating import reading
from tests.integration.api_scene import Api, refusal
from tests.integration.read_side import ask
from tests.integration.requests_scene import follow_requests, open_reads, own_key
from tests.integration.rerating_scene import (
    BEGUN_IN_THE_WEEK,
    RIGHT,
    WEEK,
    publish_right,
    tell_week,
)
from tests.integration.scenes import ACME, do

Told = dict[str, Any]


@pytest.fixture(scope="module")
def api(module_ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger with the week, followed."""
    tell_week(module_ledger)
    follow_requests(module_ledger)
    with open_reads(module_ledger) as opened:
        yield opened


def preview(api: Api, token: str | None = None, **query: Any) -> Told:
    """Return an answer."""
    answer = api.get("/rerating?" + urlencode({"rate_card": RIGHT, **WEEK, **query}), token)
    assert answer.status_code == 200, answer.text
    told: Told = answer.json()
    return told


def pages(api: Api, **query: Any) -> list[Told]:
    """Return the lines of all pages."""
    lines: list[Told] = []
    more: Told = {}
    while True:
        page = preview(api, **query, **more)
        lines += page["data"]
        if not page["has_more"]:
            return lines
        more = {"cursor": page["next_cursor"]}


def names(lines: list[Told]) -> set[tuple[str, str]]:
    """Return whose requests they are."""
    return {(line["workspace_id"], line["request_id"]) for line in lines}


def test_it_is_about_what_began_in_the_period_and_settled_on_the_route(api: Api) -> None:
    """Requests count when their prices were chosen, whenever they were settled; no other routes and times are there."""
    told = preview(api)
    assert names(told["data"]) == BEGUN_IN_THE_WEEK
    assert (told["route"], told["bucket"], told["unit"], told["scale"]) == ("direct", "credit", "CREDIT", 6)
    assert (told["begins_at"], told["correction_id"]) == ("2025-06-09T00:00:00+00:00", f"rerate.{RIGHT}")
    assert (told["has_more"], told["next_cursor"]) == (False, None)


def test_every_line_tells_both_charges_and_why_not(api: Api) -> None:
    """Old, new and difference; an estimate within its limit; what a person corrected, and what was given back."""
    lines = {line["request_id"]: line for line in preview(api)["data"]}
    told = {
        name: (line["outcome"], line["why"], line["charge"]["value"], (line["new_charge"] or {}).get("value"))
        for name, line in lines.items()
    }
    assert told["r-0"] == told["r-late"] == told["r-other"] == ("changed", None, "0.012000", "0.006000")
    assert told["r-guess"] == ("changed", None, "0.010000", "0.006000")
    assert told["r-hand"] == ("impossible", "corrected_by_hand", "0.011000", None)
    assert told["r-back"] == ("impossible", "correction_exceeds_paid", "0.012000", None)
    assert lines["r-0"]["difference"] == {"value": "-0.006000", "unit": "CREDIT"}
    assert [line["rate"] for line in lines["r-0"]["new_lines"]] == ["1", "5"]
    assert (lines["r-guess"]["usage_source"], lines["r-0"]["rate_card"]) == ("estimated", "direct.1")


def test_pages_of_any_length_are_the_whole(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short pages and walks are, each request is there once, in order of time within its book."""
    whole = preview(api)["data"]
    for limit, walked, walks in ((1, 20_000, 10), (3, 20_000, 10), (500, 1, 1), (2, 4, 1), (5, 5, 2)):
        monkeypatch.setattr(reading, "WALKED_MAX", walked)
        monkeypatch.setattr(reading, "WALKS_MAX", walks)
        assert pages(api, limit=limit) == whole, (limit, walked)
        own = [line for line in whole if line["workspace_id"] == ACME]
        assert pages(api, limit=limit, workspace_id=ACME, zone="UTC") == own


def test_days_are_those_of_the_zone(api: Api) -> None:
    """A workspace's own days unless a zone is named; over all workspaces those of UTC."""
    told = preview(api, workspace_id=ACME)
    assert told["begins_at"] == "2025-06-09T00:00:00+08:00"
    assert names(told["data"]) == {name for name in BEGUN_IN_THE_WEEK if name[0] == ACME} | {(ACME, "r-before")}
    assert names(preview(api, workspace_id="other", zone="UTC")["data"]) == {("other", "r-other")}
    assert preview(api, **{"from": "2025-07-01", "to": "2025-07-02"})["data"] == []


def test_a_preview_writes_nothing(api: Api) -> None:
    """No book moves by being asked."""
    before = ask(api.ledger.url, "select workspace_id, position from ledger.book order by 1")
    preview(api)
    assert ask(api.ledger.url, "select workspace_id, position from ledger.book order by 1") == before


def test_what_means_nothing_is_refused(api: Api) -> None:
    """Unknown cards, periods that are none, cursors of other questions, workspaces that are not there."""
    cursor = preview(api, limit=1)["next_cursor"]
    for query, field in (
        ({"rate_card": "nothing"}, "rate_card"),
        ({"rate_card": "a b"}, "rate_card"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2025-06-09"}, "from"),
        ({"zone": "Mars"}, "zone"),
        ({"limit": "501"}, "limit"),
        ({"cursor": cursor, "from": "2025-06-10"}, "cursor"),
        ({"cursor": "WyJ4Il0"}, "cursor"),
        ({"colour": "red"}, "colour"),
    ):
        answer = api.get("/rerating?" + urlencode({"rate_card": RIGHT, **WEEK, **query}))
        assert (answer.status_code, answer.json()["field"]) == (400, field), query
    for missing in ("rate_card", "from", "to"):
        query = {"rate_card": RIGHT, **WEEK}
        del query[missing]
        assert api.get("/rerating?" + urlencode(query)).json()["field"] == missing
    assert api.get("/rerating?" + urlencode({"rate_card": RIGHT, **WEEK, "workspace_id": "nobody"})).status_code == 404


def test_it_is_the_platforms(api: Api) -> None:
    """A workspace's own key is refused, and so is a platform's key without read or audit."""
    path = "/rerating?" + urlencode({"rate_card": RIGHT, **WEEK})
    for key in (own_key(api, "read", "audit"), api.key("only-funds", ("fund",))):
        assert refusal(api.get(path, key)) == (403, "not_allowed", None)
    assert preview(api, api.key("auditor", ("audit",)))["data"]


def test_a_card_without_a_rate_prices_nothing_for_free(api: Api) -> None:
    """Where the card lacks a rate for tokens that were used, the request is listed, and not made cheaper."""
    do(api.ledger, publish_right("direct.half-done", {"uncached_input": "1"}))
    api.ledger._reader.forget()
    lines = preview(api, rate_card="direct.half-done", workspace_id="other", zone="UTC")["data"]
    assert [(line["outcome"], line["why"], line["difference"]) for line in lines] == [("impossible", "unpriced", None)]
    assert "text_output" in lines[0]["text"]
