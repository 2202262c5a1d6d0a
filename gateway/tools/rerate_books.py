"""Where re-rating finds its requests and posts its corrections: a directory's database, or a ledger at an address."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.database import existing_database
from gateway.ledger_answers import Decoder
from gateway.ledger_client import LedgerClient, PostOutcome
from gateway.ledger_journal import Listing, Page
from gateway.tools.elsewhere import client_at
from gateway.tools.failures import ToolFailed
from gateway.tools.following import draw_level
from gateway.tools.zones import zone_of_workspace
from ledger.core.amounts import StatedAmount, state_amount
from ledger.request.commands import CorrectCharge
from ledger.request.events import ChargeCorrected
from ledger.service import SYSTEM, Ledger, Outcome
from ledger.store.install import read_purpose
from ledger.store.live import LiveReader
from projections.reading import JournalReader
from projections.rerating.answers import RerateLine
from projections.rerating.asking import RerateQuestion, rerate_question
from projections.rerating.judging import judged
from projections.rerating.reading import LastRated, RerateReader
from projections.route_ledger.writing import RouteLedger

__all__ = ["Books", "Correction", "books_at"]

LINES_AT_ONCE = 200
UTC_ZONE = "UTC"

decode_lines = Decoder(Page[RerateLine])


class Correction(msgspec.Struct, frozen=True):
    """What became of one correction: the difference on record, or why it was refused."""

    difference: StatedAmount | None = None
    repeated: bool = False
    refused: str = ""


class Books(msgspec.Struct, frozen=True):
    """What re-rating works on: the question, in which zone its days are, its requests, and the way to correct them."""

    question: RerateQuestion
    zone: str
    lines: Callable[[], Iterator[RerateLine]]
    post: Callable[[Sequence[CorrectCharge]], list[Correction]]


@contextmanager
def books_at(
    data: Path, url: str | None, asked: Mapping[str, str], workspace: str | None, *, apply: bool
) -> Iterator[Books]:
    """Yield the books in a directory's database, or with an address those of the ledger there. Raises AskedWrongly."""
    if url is not None:
        with client_at(url, "the scopes fund and read" if apply else "scope read") as client:
            yield remote_books(client, asked, workspace)
        return
    with existing_database(data) as database:
        draw_level(database, RouteLedger())
        with asyncio.Runner() as runner, local_books(runner, database, asked, workspace) as books:
            if not apply:
                yield books
                return
            with Ledger(database, purpose=read_purpose(database)) as ledger:
                yield msgspec.structs.replace(books, post=poster(ledger, books.question))


@contextmanager
def local_books(
    runner: asyncio.Runner, database: str, asked: Mapping[str, str], workspace: str | None
) -> Iterator[Books]:
    """Yield the books of a database, to be read only."""
    reader, live = JournalReader(database), LiveReader(database)
    rated = RerateReader(reader)
    try:
        zone = asked.get("zone") or runner.run(zone_of_workspace(live, workspace))
        catalog = runner.run(live.read_catalog())
        question = rerate_question(asked, zone, workspace, catalog)

        def lines() -> Iterator[RerateLine]:
            last: LastRated | None = None
            while True:
                found = runner.run(rated.page(question, last, LINES_AT_ONCE))
                for request in found.requests:
                    yield judged(request, question.card.rate_card, catalog)
                last = found.last
                if last is None:
                    return

        yield Books(question, zone, lines, refuse_to_post)
    finally:
        runner.run(reader.close())
        runner.run(live.close())


def refuse_to_post(commands: Sequence[CorrectCharge]) -> list[Correction]:
    """Post nothing: a preview writes to no book."""
    raise ToolFailed("a preview posts nothing")


def poster(ledger: Ledger, question: RerateQuestion) -> Callable[[Sequence[CorrectCharge]], list[Correction]]:
    """Return what records corrections in a database, as everything that is done on its own machine: by `system`."""

    def correction_of(outcome: Outcome) -> Correction:
        if outcome.recorded is None:
            refused = outcome.refused
            return Correction(refused="" if refused is None else f"{refused.code}: {refused.detail}")
        event = outcome.recorded.fact.event
        minor = event.difference_minor if isinstance(event, ChargeCorrected) else 0
        return Correction(state_amount(minor, question.unit), outcome.repeated)

    return lambda commands: [correction_of(each) for each in ledger.execute_many(commands, SYSTEM)]


def remote_books(client: LedgerClient, asked: Mapping[str, str], workspace: str | None) -> Books:
    """Return the books of a ledger elsewhere. Days without a zone are those of UTC."""
    zone = asked.get("zone", UTC_ZONE)
    question = rerate_question(asked, zone, workspace, client.catalog())
    parameters = {**asked, "zone": zone}
    if workspace is not None:
        parameters["workspace_id"] = workspace
    listing: Listing[RerateLine] = Listing(("rerating",), decode_lines, parameters)

    def post(commands: Sequence[CorrectCharge]) -> list[Correction]:
        return [posted(each) for each in client.post_many(commands)] if commands else []

    return Books(question, zone, lambda: client.listing(listing), post)


def posted(outcome: PostOutcome) -> Correction:
    """Return what became of a correction that was posted."""
    if outcome.recorded is not None:
        return Correction(outcome.recorded.money["difference"], outcome.repeated)
    refused = outcome.refused
    return Correction(refused="" if refused is None else f"{refused.code}: {refused.detail}")
