"""`route-ledger receipt`: a request's receipt from a directory's books, or from a ledger at an address."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import httpx
import msgspec

from gateway.database import existing_database
from gateway.ledger_client import LedgerClient, LedgerError, RefusedByLedger
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.voice import say
from ledger.core.identifiers import IDENTIFIER_PATTERN, WORKSPACE_PATTERN
from ledger.store.live import LiveReader
from projections.reading import JournalReader
from projections.receipt.answers import CustomerReceipt, Receipt
from projections.receipt.folding import receipt_of
from projections.receipt.page import page_of

KEY_VARIABLE = "ROUTE_LEDGER_KEY"


def run_receipt(request_id: str, workspace: str | None, data: Path, url: str | None, *, as_json: bool) -> int:
    """Print the receipt of a request: a page for a person, or JSON for a program."""
    receipt: CustomerReceipt
    if url is None:
        with existing_database(data) as database:
            receipt = asyncio.run(read_receipt(database, request_id, workspace))
    else:
        receipt = ask_receipt(url, request_id, workspace, os.environ)
    say(msgspec.json.encode(receipt).decode() if as_json else page_of(receipt))
    return 0


async def read_receipt(database: str, request_id: str, workspace: str | None) -> Receipt:
    """Return a receipt made of the books themselves. Raises ToolFailed where no book has the request."""
    if not IDENTIFIER_PATTERN.match(request_id):
        raise WrongUsage(f"{request_id!r} is no request's id")
    books, live = JournalReader(database), LiveReader(database)
    try:
        owner = workspace or await owner_of(books, request_id)
        recorded = await books.request_events(owner, request_id) if WORKSPACE_PATTERN.match(owner) else []
        if not recorded:
            raise ToolFailed(f"workspace {owner} has no request {request_id}")
        # Read after the events, the catalog knows all that they name.
        return receipt_of(request_id, recorded, await live.read_catalog())
    finally:
        await books.close()
        await live.close()


async def owner_of(books: JournalReader, request_id: str) -> str:
    """Return the one workspace that has a request. Raises ToolFailed, or WrongUsage where several have it."""
    owners = await books.books_of_request(request_id)
    if not owners:
        raise ToolFailed(f"no book has a request {request_id}")
    if len(owners) > 1:
        raise WrongUsage(f"request {request_id} is in the books of {', '.join(owners)}: choose one with --workspace")
    return owners[0]


def ask_receipt(url: str, request_id: str, workspace: str | None, environ: Mapping[str, str]) -> CustomerReceipt:
    """Return a receipt from the ledger at an address, as the key there may see it."""
    key = environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise WrongUsage(f"{KEY_VARIABLE} is not set: a key with scope call, read or audit is needed for {url}")
    try:
        with LedgerClient(url, key) as client:
            return client.receipt(request_id, workspace)
    except RefusedByLedger as refused:
        if workspace is None and refused.facts.get("field") == "workspace_id":
            raise WrongUsage("this key may see every workspace: say whose request it is with --workspace") from None
        raise ToolFailed(str(refused)) from None
    except LedgerError as error:
        raise ToolFailed(str(error)) from None
    except (ValueError, httpx.InvalidURL) as error:
        raise WrongUsage(str(error)) from None
