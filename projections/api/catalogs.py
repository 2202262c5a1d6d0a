"""A catalog that is as new as what is shown with it."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from ledger.api.context import ApiContext
from ledger.catalog.state import Catalog
from ledger.core.refusals import Refusal, Refused
from projections.receipt.folding import CatalogBehind

__all__ = ["with_catalog"]

T = TypeVar("T")

CATALOG_SECONDS_MAX = 3.0
CATALOG_PAUSE_SECONDS = 0.1
"""The catalog may be a second older than an event that names a rate card published just now."""


async def with_catalog(context: ApiContext, make: Callable[[Catalog], T]) -> T:
    """Return what is made with the catalog, waiting for one that knows all that is named. Raises Refused."""
    deadline = monotonic() + CATALOG_SECONDS_MAX
    while True:
        try:
            return make(await context.ledger.catalog())
        except CatalogBehind as error:
            if monotonic() > deadline:
                raise Refused(Refusal.UNAVAILABLE, "the catalog is behind what it is asked for: repeat") from error
        await asyncio.sleep(CATALOG_PAUSE_SECONDS)
