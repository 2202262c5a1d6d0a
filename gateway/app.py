"""The composition root: which parts make one running service, in which order they start and stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from msgspec import Struct

from gateway.companion import Companion, Errand
from ledger.api.app import create_app
from ledger.api.context import ApiContext
from ledger.api.description import PartDescription
from ledger.service import Ledger
from projections.api.app import create_read_router
from projections.api.operations import journal_operations, journal_schemas
from projections.reading import JournalReader

DRAIN_SECONDS = 10.0


class Service(Struct, frozen=True):
    """The parts of a running service on one database."""

    ledger: Ledger
    reader: JournalReader
    companion: Companion
    context: ApiContext


def open_service(url: str, purpose: str, verify_minutes: int) -> Service:
    """Start the writer and the sweeper on a database, and beside them a follower and the scheduled verification."""
    ledger = Ledger(url, purpose=purpose)
    companion = Companion(Errand(url, verify_minutes * 60))
    context = ApiContext(ledger)
    context.metrics.gauge(
        "route_ledger_verification_differences",
        "Differences that the last scheduled replay found; -1 before the first one.",
        lambda: companion.differences,
    )
    companion.start()
    return Service(ledger, JournalReader(url), companion, context)


def close_service(service: Service) -> None:
    """Stop everything: nothing new is taken, what is waiting is committed, the follower ends."""
    service.ledger.close(DRAIN_SECONDS)
    service.companion.stop()


def create_service_app(service: Service) -> Litestar:
    """Return the HTTP application of a service."""

    @asynccontextmanager
    async def reads(app: Litestar) -> AsyncIterator[None]:
        yield
        await service.reader.close()
        await service.ledger.close_reads()

    return create_app(
        service.ledger,
        context=service.context,
        parts=[create_read_router(service.context, service.reader)],
        descriptions=[PartDescription(journal_operations(), journal_schemas())],
        lifespan=[reads],
    )
