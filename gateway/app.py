"""The composition root: which parts make one running service, in which order they start and stop."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar
from msgspec import Struct, structs

from gateway.books.in_process import InProcessBooks
from gateway.companion import Companion, Errand
from gateway.edge.gateway import Gateway
from gateway.edge.handlers import create_edge_handlers, take_calls
from gateway.lag import show_lag
from gateway.settings import Settings
from gateway.signing_key import open_signer, publish_first_key
from ledger.api.app import Part, create_app
from ledger.api.context import ApiContext
from ledger.api.description import PartDescription
from ledger.service import Ledger
from projections.api.app import create_read_router
from projections.api.operations import journal_operations, journal_schemas
from projections.closing import basis_reader
from projections.reading import JournalReader

DRAIN_SECONDS = 10.0


class Doorstep:
    """Where the handlers find the gateway: it begins with the event loop, after the application was put together."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    def find(self) -> Gateway:
        """Return the gateway of the running application."""
        if self.gateway is None:
            raise RuntimeError("the application is not running")
        return self.gateway


class Edge(Struct, frozen=True):
    """What the gateway of a service is told: its settings and the keys of its providers, empty where none is needed."""

    settings: Settings = Settings()
    keys: Mapping[str, str] = {}


class Signing(Struct, frozen=True):
    """Which file holds the key that signs checkpoints, and how often it does."""

    key_file: Path
    minutes: int


class Service(Struct, frozen=True):
    """The parts of a running service on one database."""

    ledger: Ledger
    reader: JournalReader
    companion: Companion
    context: ApiContext


def open_service(url: str, purpose: str, verify_minutes: int, signing: Signing | None = None) -> Service:
    """Start the writer and the sweeper on a database, and beside them the followers and what is done on schedule.

    Raises KeyFileUnusable or CheckpointRefused where checkpoints can't be signed with the key.
    """
    ledger = Ledger(url, purpose=purpose)
    ledger.read_basis = basis_reader(url)
    companion = Companion(errand_of(ledger, verify_minutes, signing))
    context = ApiContext(ledger)
    context.metrics.gauge(
        "route_ledger_verification_differences",
        "Differences that the last scheduled replay found; -1 before the first one.",
        lambda: companion.differences,
    )
    context.metrics.gauge(
        "route_ledger_expired_holds",
        "Holds that expired since the start: calls that cost us something, maybe, and nobody pays for.",
        lambda: ledger.expired_holds,
    )
    context.metrics.gauge(
        "route_ledger_checkpoint",
        "Number of the newest checkpoint that was signed on schedule; -1 before the first one.",
        lambda: companion.checkpoint,
    )
    show_lag(context.metrics.registry, companion.lag_of)
    companion.start()
    return Service(ledger, JournalReader(url), companion, context)


def errand_of(ledger: Ledger, verify_minutes: int, signing: Signing | None) -> Errand:
    """Return what the companion is told. A key that was never used is published first, or nothing starts."""
    errand = Errand(ledger.url, verify_minutes * 60)
    if signing is None:
        return errand
    try:
        publish_first_key(ledger, open_signer(ledger.url, signing.key_file))
    except Exception:
        ledger.close()
        raise
    key_file = str(signing.key_file.resolve())
    return structs.replace(errand, signing_key=key_file, checkpoint_seconds=signing.minutes * 60)


def close_service(service: Service) -> None:
    """Stop everything: nothing new is taken, what is waiting is committed, the followers end."""
    service.ledger.close(DRAIN_SECONDS)
    service.companion.stop()


def create_service_app(
    service: Service, edge: Edge | None = None, parts: Sequence[Part] = (), *, metrics_open: bool = False
) -> Litestar:
    """Return the HTTP application of a service: the ledger, its reads and the edge, and further parts if any."""
    told = edge or Edge()
    doorstep = Doorstep()

    @asynccontextmanager
    async def reads(app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await service.reader.close()
            await service.ledger.close_reads()

    @asynccontextmanager
    async def gateway(app: Litestar) -> AsyncIterator[None]:
        books = InProcessBooks(service.ledger)
        doorstep.gateway = Gateway(books, told.settings, told.keys, service.context.metrics.registry)
        doorstep.gateway.start()
        try:
            yield
        finally:
            await doorstep.gateway.close()

    app = create_app(
        service.ledger,
        context=service.context,
        parts=[create_read_router(service.context, service.reader), *create_edge_handlers(doorstep.find), *parts],
        descriptions=[PartDescription(journal_operations(), journal_schemas())],
        lifespan=[reads, gateway],
        metrics_open=metrics_open,
    )
    take_calls(app, doorstep.find)
    return app
