"""The composition root: which parts make one running service, in which order they start and stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from msgspec import Struct
from projections.api.app import create_read_router
from projections.reading import JournalReader

from gateway.verification import Verification
from ledger.api.app import create_app
from ledger.api.context import ApiContext
from ledger.service import Ledger
from projections.followers import Follower

DRAIN_SECONDS = 10.0


class Service(Struct, frozen=True):
    """The parts of a running service on one database."""

    ledger: Ledger
    follower: Follower
    reader: JournalReader
    verification: Verification
    context: ApiContext


def open_service(url: str, purpose: str, verify_minutes: int) -> Service:
    """Start the writer, the sweeper, a follower and the scheduled verification on a database."""
    ledger = Ledger(url, purpose=purpose)
    follower = Follower(url)
    ledger.on_commit = follower.notify
    follower.start()
    context = ApiContext(ledger)
    verification = Verification(url, verify_minutes * 60)
    verification.publish(context.metrics)
    verification.start()
    return Service(ledger, follower, JournalReader(url), verification, context)


def close_service(service: Service) -> None:
    """Stop everything: nothing new is taken, what is waiting is committed, the followers end."""
    service.verification.stop()
    service.ledger.close(DRAIN_SECONDS)
    service.follower.stop()


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
        lifespan=[reads],
    )

