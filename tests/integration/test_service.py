"""The parts of a service put together as the command line does it."""

import json
import time
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from gateway.app import Service, close_service, create_service_app, open_service
from gateway.companion import Companion, Errand
from gateway.lag import LagReport, measure_lag
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM, Ledger
from ledger.workspace.commands import IssueApiKey
from projections.reading import Lag
from tests.integration import scenes
from tests.integration.read_side import ask

FIGURES = ("route_ledger_projection_events_behind", "route_ledger_projection_books_stopped")


@pytest.fixture
def service(database_url: str) -> Iterator[Service]:
    """A whole service on a fresh database, with its companion process."""
    opened = open_service(database_url, "production", 0)
    yield opened
    close_service(opened)


def test_every_operation_is_described(service: Service) -> None:
    """The description of the whole service says of every operation what it answers, those of the journal included."""
    with TestClient(create_service_app(service)) as client:
        document = client.get("/ledger/v1/openapi.json").json()

    operations = [each for item in document["paths"].values() for each in item.values()]
    assert [each["operationId"] for each in operations if not each.get("responses")] == []
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names - document["components"]["schemas"].keys() == set()
    assert "TrialBalance" in names


def test_the_companion_follows_and_comes_back(service: Service) -> None:
    """What is posted shows in the journal by the companion's work; a companion that is killed is replaced."""
    key = IssueApiKey(workspace_id=PLATFORM, api_key_id="auditor", scopes=("read", "audit"))
    token = service.ledger.issue_key(key, SYSTEM).token
    scenes.set_up(service.ledger)
    with TestClient(create_service_app(service)) as client:
        client.headers["authorization"] = f"Bearer {token}"
        assert position_seen(client, pay(service, "B-1")) > 0
        companion = service.companion._process
        assert companion is not None
        companion.kill()
        assert position_seen(client, pay(service, "B-2")) > 0


def test_every_projection_is_followed_and_measured(ledger: Ledger) -> None:
    """A companion follows each projection to the end of the books, and says how far each is behind."""
    scenes.set_up(ledger)
    scenes.do(ledger, scenes.hold("r1"), scenes.settle("r1"))
    events = sum(row[0] for row in ask(ledger.url, "select position from ledger.book"))
    assert {(lag.projection, lag.events_behind) for lag in measure_lag(ledger.url).lags} == {
        ("journal", events), ("route_ledger", events),
    }  # fmt: skip
    companion = Companion(Errand(ledger.url, verify_seconds=0, lag_seconds=0.1))
    companion.start()
    try:
        deadline = time.monotonic() + 20
        names = ("journal", "route_ledger")
        while any(companion.lag_of(name, "events_behind") for name in names) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [companion.lag_of(name, "events_behind") for name in names] == [0, 0]
    finally:
        companion.stop()
    followed = ask(ledger.url, "select projection, sum(position)::int8 from projections.progress group by 1 order by 1")
    assert followed == [("journal", events), ("route_ledger", events)]
    assert companion.lag_of("journal", "events_behind") == -1


def test_the_lag_of_every_projection_is_shown(service: Service) -> None:
    """`/metrics` has how far each projection is behind and how many books stand still; -1 before it was measured."""
    service.companion.stop()
    figures = [f'{figure}{{projection="{name}"}}' for figure in FIGURES for name in ("journal", "route_ledger")]
    with TestClient(create_service_app(service, metrics_open=True)) as client:
        shown = client.get("/metrics").text
        assert [figure for figure in figures if f"{figure} -1.0" not in shown] == []
        service.companion.lag = LagReport((Lag("journal", 1, 7, 2, 1), Lag("route_ledger", 3, 11, 2, 0)))
        shown = client.get("/metrics").text
    values = [line.rpartition(" ")[2] for figure in figures for line in shown.splitlines() if line.startswith(figure)]
    assert values == ["7.0", "11.0", "1.0", "0.0"]


def pay(service: Service, reference: str) -> int:
    """Add a payment and return its position."""
    return scenes.do(service.ledger, scenes.pay(scenes.ACME, "credit", "1", reference))[0].position


def position_seen(client: TestClient[Litestar], position: int) -> int:
    """Return the position at which the trial balance answers, once it has the one asked for; 0 after 20 seconds."""
    path = f"/ledger/v1/workspaces/{scenes.ACME}/trial-balance"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = client.get(path, params={"at_least_position": position})
        if answer.status_code == 200:
            return max(int(answer.json()["position"]) - position + 1, 0)
    return 0
