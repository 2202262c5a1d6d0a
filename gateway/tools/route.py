"""`route-ledger route`: a person suspends a route, or lets it take requests again, and says why."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from gateway.configuration import CatalogKeeper
from gateway.database import existing_database
from gateway.ledger_client import LedgerClient
from gateway.remote_catalog import RemoteCatalog
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.voice import say
from ledger.catalog.commands import ResumeRoute, SuspendRoute
from ledger.service import SYSTEM, Ledger
from ledger.store.install import read_purpose

KEY_VARIABLE = "ROUTE_LEDGER_KEY"


def run_suspend(name: str, reason: str, data: Path, url: str | None) -> int:
    """Suspend a route in the database of a directory, or in the ledger at an address."""
    with keeper_at(data, url) as keeper:
        suspend(keeper, name, reason)
    say(f"route {name} takes no new requests")
    return 0


def run_resume(name: str, reason: str, data: Path, url: str | None) -> int:
    """Let a suspended route take requests again."""
    with keeper_at(data, url) as keeper:
        resume(keeper, name, reason)
    say(f"route {name} takes requests again")
    return 0


def suspend(keeper: CatalogKeeper, name: str, reason: str) -> None:
    """Suspend a route. Raises ToolFailed where the ledger refuses."""
    change(keeper, SuspendRoute(route=name, reason=reason, change_id=change_id_at(keeper)))


def resume(keeper: CatalogKeeper, name: str, reason: str) -> None:
    """Resume a route. Raises ToolFailed where the ledger refuses."""
    change(keeper, ResumeRoute(route=name, reason=reason, change_id=change_id_at(keeper)))


def change_id_at(keeper: CatalogKeeper) -> str:
    """Return a name for a change of the catalog as it is: two people who change it at once do not both succeed."""
    return f"person.{keeper.read_catalog().position}"


def change(keeper: CatalogKeeper, command: SuspendRoute | ResumeRoute) -> None:
    """Post one command. Raises ToolFailed where it is refused."""
    refused = keeper.execute_many((command,), SYSTEM)[0].refused
    if refused is not None:
        raise ToolFailed(f"{refused.code}: {refused.detail}")


@contextmanager
def keeper_at(data: Path, url: str | None, environ: Mapping[str, str] = os.environ) -> Iterator[CatalogKeeper]:
    """Yield the catalog of a directory's database, or with an address that of the ledger there."""
    if url is None:
        with existing_database(data) as database, Ledger(database, purpose=read_purpose(database)) as ledger:
            yield ledger
        return
    key = environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise WrongUsage(f"{KEY_VARIABLE} is not set: an admin's key is needed for {url}")
    try:
        client = LedgerClient(url, key)
    except (ValueError, httpx.InvalidURL) as error:
        raise WrongUsage(str(error)) from None
    with client:
        yield RemoteCatalog(client)
