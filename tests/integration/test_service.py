"""The parts of a service put together as the command line does it."""

import json
import time
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from gateway.app import Service, close_service, create_service_app, open_service
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM
from ledger.workspace.commands import IssueApiKey
from tests.integration import scenes


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
