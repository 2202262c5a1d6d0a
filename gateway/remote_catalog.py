"""The catalog of a ledger elsewhere, for applying a configuration to it with an admin's key."""

from collections.abc import Sequence

from gateway.ledger_client import LedgerClient, PostOutcome
from ledger.catalog.state import Catalog
from ledger.core.commands import Command


class RemoteCatalog:
    """A client as `CatalogKeeper`. Who acts is the client's key, whatever actor is named."""

    def __init__(self, client: LedgerClient) -> None:
        self._client = client

    def read_catalog(self) -> Catalog:
        """Return the catalog, at most a second old where another server than the one that answers changed it."""
        return self._client.catalog()

    def execute_many(self, commands: Sequence[Command], actor: str) -> list[PostOutcome]:
        """Return the outcomes of commands, in order."""
        return self._client.post_many(commands)
