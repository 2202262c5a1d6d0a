"""The route ledger's reads over HTTP as their tests call them, and a workspace whose requests are of every kind."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from msgspec.structs import replace

from ledger.api.app import create_app
from ledger.api.context import ApiContext
from ledger.api.description import PartDescription
from ledger.core.amounts import StatedAmount
from ledger.request.commands import CorrectCharge
from ledger.request.events import SkippedRoute, Why
from ledger.service import Ledger
from ledger.workspace.commands import CreateProject, Scope
from projections.api.app import create_read_router
from projections.api.operations import journal_operations, journal_schemas
from projections.reading import JournalReader
from projections.route_ledger.writing import RouteLedger
from tests.integration.api_scene import Api
from tests.integration.read_side import follow
from tests.integration.scenes import (
    ACME,
    HASH,
    do,
    extend,
    fail_attempt,
    fall_back,
    hold,
    issue_key,
    record,
    refund,
    release,
    set_up,
    settle,
    workspace_commands,
)

COST = StatedAmount("0.000777", "USD")
WASTE = StatedAmount("0.000333", "USD")
NUMBERS = count(1)
FORMULA = "=1+1"
LATEST_FIRST = ("r-all", "r-late", "r-lab", "r-failed", "r-open", "r-over", "r-rest", "r-moved", "r-plain")
"""The requests of acme that were routed, as they are listed."""


@contextmanager
def open_reads(ledger: Ledger) -> Iterator[Api]:
    """Serve a ledger's API with all reads in this process."""
    context, reader = ApiContext(ledger), JournalReader(ledger.url)

    @asynccontextmanager
    async def reads(app: Litestar) -> AsyncIterator[None]:
        yield
        await reader.close()
        await ledger.close_reads()

    described = PartDescription(journal_operations(), journal_schemas())
    router = create_read_router(context, reader)
    app = create_app(ledger, context=context, parts=[router], descriptions=[described], lifespan=[reads])
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(ledger, client, context)


def follow_requests(ledger: Ledger) -> None:
    """Follow all books to their ends with the route ledger."""
    follow(ledger.url, projection=RouteLedger())


def tell_requests(ledger: Ledger) -> None:
    """Record requests that were settled, moved, refunded, corrected, overdrawn, given up, or still run; follow them."""
    first = Why("first in order", (SkippedRoute("spare", "provider openai is asleep"),))
    ours = Why("our account at openai", (SkippedRoute("spare", "suspended"),))
    agent: dict[str, Any] = {"workflow": "发票", "run": "run-1", "end_user": HASH}
    fail = replace(fail_attempt("r-moved", http_status=402, provider_cost=WASTE), failure="upstream_account_empty")
    move = replace(fall_back("r-moved", "7", to_route="cheap"), why=ours, failure="upstream_account_empty")
    set_up(ledger)
    record(ledger, workspace_commands("other"))
    do(ledger, CreateProject(workspace_id=ACME, project_id="lab"), issue_key(ACME, api_key_id="k2"))
    for command in (
        replace(hold("r-plain", **agent, step="plan"), why=first),
        settle("r-plain", first_token_ms=90, provider_cost=COST),
        replace(hold("r-moved", **agent), why=first),
        fail,
        move,
        settle("r-moved", attempt=2, route="cheap", terms=("speed=fast", "openai quota"), provider_cost=COST),
        refund("r-moved", refund=StatedAmount("0.001", "CNY")),
        hold("r-rest", "990"),
        hold("r-over", "0.000001", workflow=FORMULA),
        hold("r-open", "2", **agent),
        extend("r-open", "1"),
        fail_attempt("r-open"),
        hold("r-failed", route="cheap"),
        replace(release("r-failed"), cause="failed"),
        replace(hold("r-lab", route="cheap"), project_id="lab", api_key_id="k2"),
        hold("r-late", "0.5", hold_seconds=600),
        release("r-late"),
        hold("r-all", "6.987999"),
        settle("r-over"),
        settle("r-late", provider_cost=None),
        CorrectCharge(
            workspace_id=ACME, request_id="r-over", correction_id="1", cause="mistake", reason="miscounted",
            difference=StatedAmount("-0.002", "CREDIT"),
        ),
        release("r-void"),
        hold("r-theirs", workspace_id="other"),
    ):  # fmt: skip
        do(ledger, command)
    follow_requests(ledger)


def own_key(api: Api, *scopes: Scope) -> str:
    """Issue another key of acme, one that reads unless told, and return its token."""
    return api.key(f"own-{next(NUMBERS)}", scopes or ("read",), ACME)


def ids_of(answer: Any) -> list[str]:
    """Return the requests of a page, in its order."""
    return [line["request_id"] for line in answer["data"]]
