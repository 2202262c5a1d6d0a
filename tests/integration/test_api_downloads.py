"""`GET /ledger/v1/journal`: the lines of an export over HTTP, for the platform, two at a time and to their end."""

import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from ledger.core.identifiers import PLATFORM
from ledger.service import Ledger
from ledger.workspace.commands import IssueApiKey, Scope
from projections.api.journal import DOWNLOADS_MAX
from projections.exports.scope import Scope as ExportScope
from tests.integration.export_scene import exported
from tests.integration.read_side import ask, follow, tell
from tests.integration.scenes import ACME, pay, record, set_up
from tests.integration.test_export_tool import make_large
from tests.integration.test_ledger_client import free_port, serving

LEGS = 60_000
EXPORTS = "from pg_stat_activity where application_name = 'route-ledger export' and datname = current_database()"
NARROW = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)]
"""So little is on its way at a time: the service must wait for who reads."""


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger whose workspace in Shanghai has seen everything, followed to its end."""
    set_up(ledger, time_zone="Asia/Shanghai")
    tell(ledger)
    record(ledger, [pay(ACME, "credit", "1", "june", effective_at=datetime.fromisoformat("2025-05-31T16:00:00Z"))])
    return ledger


@pytest.fixture
def client(told: Ledger) -> Iterator[httpx.Client]:
    """A client with a platform's key that may audit, of a service that has followed everything."""
    headers = {"Authorization": f"Bearer {key(told, 'auditor', PLATFORM, 'audit')}"}
    follow(told.url)
    with (
        serving(told, free_port()) as address,
        httpx.Client(base_url=f"{address}/ledger/v1", headers=headers) as opened,
    ):
        yield opened


def key(ledger: Ledger, name: str, workspace_id: str, scope: Scope) -> str:
    """Issue a key and return its token."""
    issued = ledger.issue_key(IssueApiKey(workspace_id=workspace_id, api_key_id=name, scopes=(scope,)), "system")
    assert issued.token is not None
    return issued.token


def test_it_answers_the_lines_of_an_export(client: httpx.Client, told: Ledger, tmp_path: Path) -> None:
    """Of all books or one, as CSV unless JSON lines are named: byte for byte what the command line writes."""
    whole, own = exported(told.url, tmp_path), exported(told.url, tmp_path, scope=ExportScope(ACME))
    for parameters, path, media_type in (
        ({}, whole.path / "journal.csv", "text/csv; charset=utf-8"),
        ({"format": "jsonl"}, whole.path / "journal.jsonl", "application/x-ndjson; charset=utf-8"),
        ({"workspace_id": ACME, "safe": "excel"}, own.path / "journal.csv", "text/csv; charset=utf-8"),
    ):
        answer = client.get("/journal", params=parameters)
        assert (answer.status_code, answer.content) == (200, path.read_bytes())
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == (media_type, "no-store")
        assert "content-length" not in answer.headers
    own_answer = client.get("/journal", params={"workspace_id": ACME, "format": "jsonl"})
    assert own_answer.headers["content-disposition"] == 'attachment; filename="journal-acme.jsonl"'


def test_days_are_the_workspaces_own(client: httpx.Client) -> None:
    """A period is of effective time, in the zone that is named, else the workspace's, UTC over all."""
    day = {"from": "2025-06-01", "to": "2025-06-02"}
    for parameters, lines in (
        ({"workspace_id": ACME}, 2),
        ({}, 1),
        ({"zone": "Asia/Shanghai"}, 2),
        ({"workspace_id": ACME, "zone": "UTC"}, 1),
    ):
        assert len(client.get("/journal", params={**day, **parameters}).text.splitlines()) == lines


def test_it_is_the_platforms(client: httpx.Client, told: Ledger) -> None:
    """A workspace's own key is refused, whatever its scope, and so is a platform's key without one of two."""
    keys: tuple[tuple[str, str, Scope], ...] = (("own", ACME, "audit"), ("poster", PLATFORM, "post"))
    for name, workspace_id, scope in keys:
        token = key(told, name, workspace_id, scope)
        answer = client.get("/journal", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


def test_what_means_nothing_is_refused_before_it_begins(client: httpx.Client, told: Ledger) -> None:
    """The parameter is named; an unknown workspace is not found, a journal that stands still is unavailable."""
    for parameters in (
        {"format": "xlsx"},
        {"from": "yesterday"},
        {"zone": "Mars"},
        {"safe": "yes"},
        {"format": "jsonl", "safe": "excel"},
        {"colour": "red"},
        {"from": "2025-06-02", "to": "2025-06-01"},
    ):
        answer = client.get("/journal", params=parameters)
        assert (answer.status_code, set(parameters) & {answer.json().get("field")}) == (400, {answer.json()["field"]})
    for unknown in ("nobody", "No Such"):
        assert client.get("/journal", params={"workspace_id": unknown}).status_code == 404
    ask(told.url, "update projections.progress set failed_position = position + 1, failure = 'why'")
    for _ in range(DOWNLOADS_MAX + 1):
        answer = client.get("/journal")
        assert (answer.status_code, "is stopped at event" in answer.text) == (503, True)


def test_only_so_many_run_and_who_hangs_up_makes_room(client: httpx.Client, told: Ledger) -> None:
    """A further one is refused for now; what nobody reads any more ends, its snapshot with it."""
    make_large(told.url, LEGS)
    begun = threading.Barrier(DOWNLOADS_MAX + 1)
    done = threading.Event()

    def download() -> None:
        with client.stream("GET", "/journal", params={"format": "jsonl"}) as answer:
            # Kept: an iterator that nobody holds hangs up.
            pieces = answer.iter_raw()
            next(pieces)
            begun.wait(20)
            done.wait(20)

    threads = [threading.Thread(target=download) for _ in range(DOWNLOADS_MAX)]
    for thread in threads:
        thread.start()
    begun.wait(20)
    refused = client.get("/journal")
    assert (refused.status_code, refused.json()["code"], "retry-after" in refused.headers) == (503, "overloaded", True)
    wait_until = monotonic() + 20
    while exports_running(told.url) < DOWNLOADS_MAX and monotonic() < wait_until:
        sleep(0.05)
    assert exports_running(told.url) == DOWNLOADS_MAX
    done.set()
    for thread in threads:
        thread.join()
    deadline = monotonic() + 20
    while exports_running(told.url) and monotonic() < deadline:
        sleep(0.05)
    assert exports_running(told.url) == 0
    assert len(client.get("/journal").text.splitlines()) > LEGS


def exports_running(url: str) -> int:
    """Return how many snapshots are held for exports."""
    return int(ask(url, f"select count(*) {EXPORTS}")[0][0])


def test_what_breaks_off_is_no_whole(client: httpx.Client, told: Ledger) -> None:
    """Where the database goes away in the middle the connection ends without the mark of an end."""
    make_large(told.url, LEGS)

    def read_all() -> None:
        with client.stream("GET", "/journal", params={"format": "jsonl"}) as answer:
            assert answer.status_code == 200
            for _ in answer.iter_raw():
                ask(told.url, f"select pg_terminate_backend(pid) {EXPORTS}")

    with pytest.raises(httpx.RemoteProtocolError):
        read_all()
