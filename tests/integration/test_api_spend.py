"""Spend over HTTP: what the events say, by any dimension, by the days of any zone, for whom it is, page by page."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from gateway.ledger_client import CustomerSpendRow, LedgerClient, SpendRow
from ledger.operating import HOUR_MICROSECONDS, RefusedCalls
from ledger.service import Ledger
from tests.integration.api_scene import Api, refusal
from tests.integration.requests_scene import follow_requests, open_reads, own_key, tell_requests
from tests.integration.route_tables import tell_late
from tests.integration.scenes import ACME, HASH, do, hold, record, set_up, settle
from tests.integration.spend_oracle import Key, Told, local_days, shown, spent, summed, wanted, without_zeros
from tests.integration.test_api_receipts import token_of
from tests.integration.test_ledger_client import free_port, serving, token

OF_ACME = {"workspace_id": ACME}
OF_OTHER = {"workspace_id": "other"}


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger in which requests of every kind have ended, some of them hours ago."""
    tell_requests(ledger)
    tell_late(ledger, "other")
    do(
        ledger,
        settle("r-lab", route="cheap"),
        hold("r-other", workspace_id="other", route="cheap", workflow="发票", step="plan", end_user=HASH),
        replace(settle("r-other", 500, workspace_id="other", route="cheap"), usage_source="estimated"),
    )
    follow_requests(ledger)
    with open_reads(ledger) as opened:
        yield opened


def rows(api: Api, token: str | None = None, **asked: str) -> list[Told]:
    """Return all rows of spend, page by page."""
    found: list[Told] = []
    cursor: dict[str, str] = {}
    while True:
        answer = api.get("/spend?" + urlencode(asked | cursor), token)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["data"]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            return found
        cursor = {"cursor": page["next_cursor"]}


def test_spend_is_what_the_events_say(api: Api) -> None:
    """Whatever it is told apart by, every count and amount is the sum of the events themselves, cell by cell."""
    found = spent(api.ledger.url)
    whole = rows(api, every="none")[0]["begins_at"]
    for by in ("", "workspace", "model,route", "tier,provider,key", "workflow,run", "project", "workspace,run,route"):
        names = by.split(",") if by else []
        asked = {"by": by} if by else {}
        assert shown(rows(api, every="none", **asked)) == summed(found, names, lambda _: whole), by
    for filters in (
        {"route": "cheap"}, {"bucket": "credit"}, {"workflow": "发票"}, {"model": "gpt-5"}, {"tier": "ordinary"},
        {"provider": "nobody"}, {"workspace_id": ACME, "run": "run-1"}, {"workspace_id": ACME, "project": "lab"},
        {"workspace_id": ACME, "key": "k2", "bucket": "rmb"},
    ):  # fmt: skip
        expected = summed(wanted(found, filters), ["route"], lambda _: whole)
        assert shown(rows(api, every="none", by="route", **filters)) == expected, filters


def test_spend_by_end_user_equals_that_by_cells(api: Api) -> None:
    """What only requests know, end user and step, is summed from them to the same: also what came late."""
    found = spent(api.ledger.url)
    whole = rows(api, every="none")[0]["begins_at"]
    for owner, by in product(
        (OF_ACME, OF_OTHER),
        ("end_user", "step,route", "end_user,step,model", "workflow,end_user", "run,key,end_user"),
    ):
        told = shown(rows(api, every="none", by=by, **owner))
        assert told == summed(wanted(found, owner), by.split(","), lambda _: whole), (owner, by)
    for owner, filters in product(
        (OF_ACME, OF_OTHER),
        ({"step": "plan"}, {"end_user": HASH}, {"end_user": HASH, "route": "cheap"}, {"step": "plan", "bucket": "rmb"}),
    ):
        expected = summed(wanted(found, owner | filters), [], lambda _: whole)
        assert shown(rows(api, every="none", **owner, **filters)) == expected, (owner, filters)
    for hours in range(7):
        # What happened before a period leaves in it what was amended since.
        begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
        later = [each for each in wanted(found, OF_OTHER) if each.at >= begin]
        since = {"from": begin.isoformat().replace("+00:00", "Z")}
        told = shown(rows(api, every="none", by="step", **OF_OTHER, **since))
        assert told == summed(later, ["step"], partial(always, begin.isoformat())), hours
    for owner in (OF_ACME, OF_OTHER):
        merged: dict[Key, Counter[str]] = {}
        for (begins_at, bucket, values), numbers in shown(rows(api, by="route,step", every="hour", **owner)).items():
            merged.setdefault((begins_at, bucket, values[:1]), Counter()).update(numbers)
        assert {key: without_zeros(numbers) for key, numbers in merged.items()} == shown(
            rows(api, by="route", every="hour", **owner)
        )


def always(begins_at: str, at: datetime) -> str:
    """Return the one span that there is."""
    return begins_at


ZONES = ("Asia/Shanghai", "Asia/Kolkata", "America/New_York", "Europe/Berlin", "UTC")
EDGES = tuple(
    datetime.fromisoformat(text)
    for text in (
        "2025-11-01T16:00:00+00:00", "2025-11-01T18:30:00+00:00", "2025-11-02T00:00:00+00:00",
        "2025-11-02T04:00:00+00:00", "2025-11-02T05:30:00+00:00", "2025-11-02T06:30:00+00:00",
        "2025-11-03T05:00:00+00:00", "2025-10-25T22:00:00+00:00", "2025-10-26T01:00:00+00:00",
        "2025-10-26T23:00:00+00:00",
    )
)  # fmt: skip
"""Midnights of the zones, and moments around the changes of their clocks."""


@pytest.fixture
def borders(ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger in which requests ended just before and just at such moments."""
    set_up(ledger)
    for number, edge in enumerate(EDGES):
        for name, at in (("before", edge - timedelta(microseconds=1)), ("at", edge)):
            request_id = f"{name}-{number}"
            do(ledger, hold(request_id, effective_at=at), settle(request_id, 100 + number, effective_at=at))
    follow_requests(ledger)
    with open_reads(ledger) as opened:
        yield opened


@pytest.mark.parametrize("name", ZONES)
def test_days_begin_at_midnight_of_the_zone(borders: Api, name: str) -> None:
    """A request just before midnight counts to the old day and one at midnight to the new; clocks may change."""
    zone = ZoneInfo(name)
    period = {"from": "2025-10-24", "to": "2025-11-05", "zone": name}
    found = rows(borders, **period)
    assert shown(found) == summed(spent(borders.ledger.url), [], local_days(zone))
    for row in found:
        ends_at, begins_at = (datetime.fromisoformat(row[which]) for which in ("ends_at", "begins_at"))
        assert (begins_at.hour, ends_at.hour) == (0, 0)
        assert begins_at.astimezone(zone).date() + timedelta(days=1) == ends_at.astimezone(zone).date()


def test_days_of_a_clock_change_have_their_hours(borders: Api) -> None:
    """The day on which clocks go back has 25 hours, and the hour that comes twice is told twice."""
    asked = {"from": "2025-11-02", "to": "2025-11-03", "zone": "America/New_York"}
    (day,) = rows(borders, **asked)
    assert (day["begins_at"], day["ends_at"]) == ("2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00")
    hours = [(row["begins_at"], row["requests"]) for row in rows(borders, every="hour", **asked)]
    assert hours == [
        ("2025-11-02T00:00:00-04:00", 1), ("2025-11-02T01:00:00-04:00", 2), ("2025-11-02T01:00:00-05:00", 2),
        ("2025-11-02T23:00:00-05:00", 1),
    ]  # fmt: skip
    kolkata = rows(borders, every="hour", **(asked | {"zone": "Asia/Kolkata"}))
    assert kolkata[0]["begins_at"] == "2025-11-02T00:00:00+05:30"
    assert sum(row["requests"] for row in kolkata) == 9


def test_the_zone_is_the_workspace_s_own(ledger: Ledger) -> None:
    """Without a zone a workspace's days are those of its own clocks, and over all workspaces those of UTC."""
    set_up(ledger, time_zone="Asia/Shanghai")
    with open_reads(ledger) as api:
        assert api.get("/spend?workspace_id=acme").json()["zone"] == "Asia/Shanghai"
        assert api.get("/spend", own_key(api)).json()["period"]["begins_at"].endswith("T00:00:00+08:00")
        assert api.get("/spend").json()["zone"] == "UTC"


def test_a_row_tells_amounts_in_its_own_unit(api: Api) -> None:
    """A row has one bucket's unit; the bills of providers stand by their own, and what has no cost is counted."""
    (cheap,) = rows(api, every="none", by="route", route="cheap", project="main", **OF_ACME)
    assert cheap["charge"] == {
        "owed": {"value": "0.011000", "unit": "CNY"}, "charged": {"value": "0.012000", "unit": "CNY"},
        "corrected": {"value": "0.000000", "unit": "CNY"}, "refunded": {"value": "0.001000", "unit": "CNY"},
        "waived": {"value": "0.000000", "unit": "CNY"},
    }  # fmt: skip
    assert cheap["platform"]["costs"] == [
        {
            "unit": "USD", "cost": {"value": "0.000777000", "unit": "USD"}, "requests": 1,
            "waste": {"value": "0.000000000", "unit": "USD"}, "failed_attempts": 0,
        }
    ]  # fmt: skip
    assert cheap["discount"] is None
    assert (cheap["tokens"]["input"], cheap["tokens"]["parts"]["uncached_input"]) == (1000, 1000)


def test_refused_calls_stand_by_themselves(api: Api) -> None:
    """They have no bucket yet; where they are not told apart as is asked they are unknown, which is not zero."""
    hour = int(datetime.now(UTC).timestamp() * 1_000_000) // HOUR_MICROSECONDS * HOUR_MICROSECONDS
    for workspace_id, key, model, reason, calls in (
        (ACME, "k1", "gpt-5", "model_unknown", 3), (ACME, "k1", "gpt-5", "too_many", 2),
        (ACME, "k2", "", "too_many", 7), ("other", "k1", "gpt-5", "too_many", 11),
    ):  # fmt: skip
        counted = [RefusedCalls(workspace_id, key, hour, model, reason, calls)]
        answer = api.post("/gateway/refused-calls", [vars_of(each) for each in counted])
        assert answer.status_code == 204, answer.text

    def refused(**asked: str) -> list[tuple[tuple[str | None, ...], int | None]]:
        found = [row for row in rows(api, every="none", **asked) if row["bucket"] is None]
        assert all(row["charge"] is row["unit"] is row["platform"] is None for row in found)
        return [(tuple(row["by"].values()), row["refused_calls"]) for row in found]

    assert refused() == [((), 23)]
    assert refused(by="workspace,model") == [((ACME, None), 7), ((ACME, "gpt-5"), 5), (("other", "gpt-5"), 11)]
    assert refused(by="key", workspace_id=ACME) == [(("k1",), 5), (("k2",), 7)]
    assert refused(model="gpt-5") == [((), 16)]
    assert [row["refused_calls"] for row in rows(api, every="none") if row["bucket"]] == [None, None]
    for asked in ({"by": "route"}, {"bucket": "rmb"}, {"by": "workflow"}, {"zone": "Asia/Kolkata"}):
        answer = api.get("/spend?" + urlencode(asked | {"every": "hour"})).json()
        assert answer["knows_refused_calls"] is False, asked
        assert {row["refused_calls"] for row in answer["data"]} == {None}
    caller = rows(api, api.key("k9", ("call",), ACME), every="none")
    assert caller == []


def vars_of(counted: RefusedCalls) -> Told:
    """Return a count as a body."""
    return {name: getattr(counted, name) for name in counted.__struct_fields__}


def test_customers_see_what_they_paid(api: Api) -> None:
    """What no balance could pay is waived, a correction of it changes nothing; nothing of the platform's is told."""
    (over,) = rows(api, own_key(api), every="none", workflow="=1+1")
    (whole,) = rows(api, every="none", workflow="=1+1", **OF_ACME)
    assert whole["charge"]["charged"]["value"] == "0.012000"
    assert (whole["platform"]["overrun"]["value"], whole["charge"]["corrected"]["value"]) == ("0.011999", "-0.002000")
    assert {name: amount["value"] for name, amount in over["charge"].items()} == {
        "owed": "0.000001", "charged": "0.000001", "corrected": "0.000000", "refunded": "0.000000",
        "waived": "0.011999",
    }  # fmt: skip
    assert set(whole) - set(over) == {"platform"}
    text = api.get("/spend?by=route,model,key", own_key(api, "call", "read", "audit")).text
    assert not [word for word in ("USD", "overrun", "cost", "waste", "openai", "provider") if word in text]
    table = api.get("/spend?format=csv", own_key(api)).text
    assert "cost" not in table


def test_who_sees_which_spend(api: Api) -> None:
    """A workspace sees its own, a project its project's, a calling key what was spent with it; nobody others'."""
    own = own_key(api)
    lab = api.key("lab-key", ("read",), ACME, project_id="lab")
    assert {row["by"]["workspace"] for row in rows(api, own, by="workspace")} == {ACME}
    assert {row["by"]["project"] for row in rows(api, by="project", **OF_ACME)} == {"main", "lab"}
    assert {row["by"]["project"] for row in rows(api, lab, by="project")} <= {"lab"}
    assert rows(api, lab, project="main") == rows(api, lab, project="main", by="end_user") == []
    assert rows(api, own_key(api, "call")) == []
    for path, key, answer in (
        ("/spend?workspace_id=other", own, (404, "workspace_unknown", "workspace_id")),
        ("/spend?workspace_id=nobody", None, (404, "workspace_unknown", "workspace_id")),
        ("/spend?by=provider", own, (400, "field_invalid", "by")),
        ("/spend?provider=openai", own, (400, "field_invalid", "provider")),
        ("/spend", api.key("poster", ("post",)), (403, "not_allowed", None)),
        ("/spend", api.key("caller", ("call",)), (403, "not_allowed", None)),
    ):  # fmt: skip
        assert refusal(api.get(path, key)) == answer, path


def test_a_calling_key_sees_what_was_spent_with_it(ledger: Ledger) -> None:
    """With scope call alone a key reads its own spend, whatever it asks for."""
    set_up(ledger)
    with open_reads(ledger) as api:
        mine = api.key("mine", ("call",), ACME)
        do(ledger, hold("r-1"), settle("r-1"))
        do(ledger, replace(hold("r-2", route="cheap"), api_key_id="mine"), settle("r-2", route="cheap"))
        follow_requests(ledger)
        assert [(row["bucket"], row["by"]) for row in rows(api, own_key(api), by="key")] == [
            ("credit", {"key": "k1"}), ("rmb", {"key": "mine"}),
        ]  # fmt: skip
        assert [(row["bucket"], row["by"]) for row in rows(api, mine, by="key")] == [("rmb", {"key": "mine"})]
        assert [row["by"]["end_user"] for row in rows(api, mine, by="end_user")] == [None]
        assert rows(api, mine, key="k1") == []


def test_what_means_nothing_is_refused(api: Api) -> None:
    """Every parameter is read strictly, and the refusal names it and says what to do."""
    for query, field in (
        ("every=week", "every"), ("by=model,model", "by"), ("by=colour", "by"), ("by=model,route,tier,key", "by"),
        ("by=", None), ("zone=Mars/Olympus", "zone"), ("from=2026-11-21T10:01:00Z", "from"), ("from=yesterday", "from"),
        ("to=2020-01-01&from=2020-01-02", "from"), ("from=2000-01-01", "from"), ("every=hour&from=2025-01-01", "every"),
        ("by=end_user", "workspace_id"), ("step=plan", "workspace_id"), ("run=x", "workspace_id"),
        ("limit=1001", "limit"),
        ("cursor=xyz", "cursor"), ("format=xml", "format"), ("safe=excel", "safe"), ("status=settled", "status"),
        ("from=0001-01-01", "from"), ("to=9999-12-31", "to"), ("from=1e3", "from"), ("bucket=A%20B", "bucket"),
    ):  # fmt: skip
        answer = api.get(f"/spend?{query}")
        if field is None:
            assert answer.status_code == 200, query
        else:
            assert refusal(answer) == (400, "field_invalid", field), query


def test_pages_hang_together(api: Api) -> None:
    """Row by row, the pages are the whole; a cursor belongs to what it was answered for."""
    asked = {"by": "workspace,route", "every": "hour"}
    whole = rows(api, **asked)
    assert len(whole) > 4
    assert rows(api, limit="1", **asked) == rows(api, limit="3", **asked) == whole
    cursor = api.get("/spend?" + urlencode(asked | {"limit": "2"})).json()["next_cursor"]
    for other in ({"by": "route,workspace", "every": "hour"}, asked | {"zone": "Asia/Tokyo"}, asked | OF_ACME):
        assert refusal(api.get("/spend?" + urlencode(other | {"cursor": cursor}))) == (400, "field_invalid", "cursor")
    assert refusal(api.get("/spend?" + urlencode(asked | {"cursor": cursor}), own_key(api)))[0] == 400


def test_tables_and_lines_tell_the_same(api: Api) -> None:
    """CSV and JSON lines have the rows of the pages, with the way on in the headers."""
    asked = {"by": "workflow,route", "every": "hour"}
    whole = rows(api, **asked)
    lines = api.get("/spend?" + urlencode(asked | {"format": "jsonl"}))
    assert [json.loads(line) for line in lines.text.splitlines()] == whole
    table = api.get("/spend?" + urlencode(asked | {"format": "csv"}))
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    told = list(csv.DictReader(io.StringIO(table.text)))
    columns = ("begins_at", "bucket", "workflow", "route", "owed", "unit")
    assert [tuple(row[name] for name in columns) for row in told] == [
        (
            row["begins_at"], row["bucket"], row["by"]["workflow"] or "", row["by"]["route"],
            row["charge"]["owed"]["value"], row["unit"],
        )
        for row in whole
    ]  # fmt: skip
    assert {row["refused_calls"] for row in told} == {""}
    first = api.get("/spend?" + urlencode(asked | {"format": "csv", "limit": "2"}))
    following = first.headers["link"].removeprefix("<").partition(">")[0].removeprefix("/ledger/v1")
    assert [row["begins_at"] for row in csv.DictReader(io.StringIO(api.get(following).text))] == [
        row["begins_at"] for row in whole[2:4]
    ]
    safe = api.get("/spend?" + urlencode(asked | {"format": "csv", "safe": "excel"})).text
    assert "'=1+1" in safe


def test_spend_waits_and_says_what_is_missing(api: Api) -> None:
    """What is on record and not in it is told; a position that is not there yet is 503."""
    assert api.get("/spend?workspace_id=acme").json()["complete"] is True
    (event,) = record(api.ledger, [settle("r-rest")])
    assert api.get("/spend").json()["complete"] is False
    own = own_key(api)
    assert api.get("/spend", own).json()["complete"] is False
    follow_requests(api.ledger)
    answer = api.get(f"/spend?workspace_id={ACME}&at_least_position={event.position}")
    assert (answer.status_code, answer.json()["complete"]) == (200, True)
    assert api.get("/spend", own).json()["complete"] is api.get("/spend").json()["complete"] is True
    late = api.get(f"/spend?workspace_id={ACME}&at_least_position={event.position + 100}")
    assert refusal(late)[:2] == (503, "unavailable")


def test_the_client_reads_spend(ledger: Ledger) -> None:
    """The client of a ledger elsewhere yields the same rows, with all that the platform may see."""
    tell_requests(ledger)
    reader = token_of(ledger, "reader")
    with serving(ledger, free_port()) as address:
        with LedgerClient(address, token(ledger)) as client:
            found = list(client.spend({"by": "route", "every": "none", "workspace_id": ACME}))
        told = [row for row in found if isinstance(row, SpendRow) and row.bucket == "rmb"]
        assert [(row.by, row.settled, row.platform and len(row.platform.costs)) for row in told] == [
            ({"route": "cheap"}, 1, 1)
        ]
        with LedgerClient(address, reader) as client:
            assert {type(row) for row in client.spend({"by": "model"})} == {CustomerSpendRow}
