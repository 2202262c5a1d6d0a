"""Whose keys books over HTTP remember, for how long, and how many."""

import asyncio
from collections.abc import Iterator
from time import monotonic

import pytest

from gateway.books import remote
from gateway.books.remote import RemoteBooks
from ledger.service import SYSTEM, Ledger
from ledger.workspace.commands import RevokeApiKey
from tests.integration import scenes
from tests.integration.scenes import ACME
from tests.integration.test_books import Wire, remote_books
from tests.integration.test_ledger_client import free_port, serving, token


@pytest.fixture
def address(ledger: Ledger) -> Iterator[str]:
    """A served ledger with a catalog and a workspace."""
    scenes.set_up(ledger)
    with serving(ledger, free_port()) as served:
        yield served


def test_a_key_is_asked_for_once(ledger: Ledger, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many calls of one key ask the ledger once in 30 s; then a revoked one is refused, and an unknown one at once."""
    issued = ledger.issue_key(scenes.change(scenes.issue_key(ACME, api_key_id="k2"), secret_hash=""), SYSTEM)
    known = issued.token or ""
    wire = Wire()

    async def use() -> None:
        async with remote_books(address, token(ledger), wire) as books:
            callers = await asyncio.gather(*(books.identify(known) for _ in range(50)))
            assert {caller.api_key_id for caller in callers if caller is not None} == {"k2"}
            assert await books.identify(known + "x") is None
            assert await books.identify(known + "x") is None
            assert len(wire.paths) == 2
            await books.post(RevokeApiKey(workspace_id=ACME, api_key_id="k2", reason="lost"))
            assert await books.identify(known) is not None
            monkeypatch.setattr(remote, "CALLER_SECONDS", 0.0)
            deadline = monotonic() + 5
            while await books.identify(known) is not None:
                assert monotonic() < deadline
                await asyncio.sleep(0.1)

    asyncio.run(use())
    assert 25 < remote.CALLER_SECONDS + 1 <= 30 or remote.CALLER_SECONDS == 0


def test_made_up_tokens_push_no_caller_out(ledger: Ledger, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens nobody has, those who are known are not asked for again; of too many the oldest goes."""
    monkeypatch.setattr(remote, "CALLERS_MAX", 2)
    commands = [scenes.issue_key(ACME, api_key_id=f"k{number}") for number in (2, 3, 4)]
    issued = [ledger.issue_key(scenes.change(command, secret_hash=""), SYSTEM) for command in commands]
    first, second, third = (each.token or "" for each in issued)
    wire = Wire()

    async def asked(books: RemoteBooks, *tokens: str) -> int:
        before = len(wire.paths)
        for each in tokens:
            await books.identify(each)
        return len(wire.paths) - before

    async def use() -> None:
        async with remote_books(address, token(ledger), wire) as books:
            made_up = [f"{first[:-8]}{number:08d}" for number in range(5)]
            assert await asked(books, first, second, *made_up) == 7
            assert await asked(books, first, second) == 0
            assert await asked(books, *made_up[3:]) == 0
            assert await asked(books, made_up[0]) == 1
            assert await asked(books, third, second, third) == 1
            assert await asked(books, first) == 1

    asyncio.run(use())
