"""A ledger at an address, as tools ask it: with the key of the environment, refusals in words of a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from gateway.ledger_client import LedgerClient
from gateway.ledger_errors import RefusedByLedger
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.receipt import KEY_VARIABLE

__all__ = ["client_at"]

WRONGLY_ASKED = 400


@contextmanager
def client_at(url: str, scopes: str) -> Iterator[LedgerClient]:
    """Yield a client of the ledger at an address. Raises WrongUsage without a key, which is one with `scopes`."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise WrongUsage(f"{KEY_VARIABLE} is not set: a key of the platform with {scopes} is needed for {url}")
    try:
        client = LedgerClient(url, key)
    except (ValueError, httpx.InvalidURL) as error:
        raise WrongUsage(str(error)) from None
    with client:
        try:
            yield client
        except RefusedByLedger as refused:
            raise (WrongUsage if refused.status == WRONGLY_ASKED else ToolFailed)(str(refused)) from None
