"""A ledger elsewhere, over HTTP: what another gateway installs. Neither server nor database is loaded for it.

    with LedgerClient("http://127.0.0.1:8080", key) as ledger:
        ledger.post(RouteRequest(…))
        ledger.post(SettleRequest(…))

Every post carries its identity, so that it is sent again when its outcome is not known, and counts once. What is
decided without I/O is in `ledger_calls` and `ledger_exchange`; both clients here only send, wait and close.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from random import SystemRandom
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from gateway.ledger_answers import Balance, Balances, event_of
from gateway.ledger_calls import Calls, PostOutcome, Steps
from gateway.ledger_errors import AnswerUnreadable, LedgerError, LedgerUnavailable, RefusedByLedger
from gateway.ledger_exchange import Lost, Pause, Reply, Retrying, Send, Timing
from ledger.api.answers import CommandAnswer, KeyAnswer
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.workspace.commands import IssueApiKey

__all__ = [
    "AnswerUnreadable",
    "AsyncLedgerClient",
    "Balance",
    "Balances",
    "CommandAnswer",
    "KeyAnswer",
    "LedgerClient",
    "LedgerError",
    "LedgerUnavailable",
    "PostOutcome",
    "RefusedByLedger",
    "Retrying",
    "event_of",
]

KEY_PATTERN = re.compile(r"[\x21-\x7e]+\Z")
CONNECT_SECONDS = 2.0
# httpx gets slower, not faster, with many connections ; posts of many go in batches.
# Idle ones end before uvicorn closes them at 5 s, so that no post is sent into a closing connection.
LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=4.0)

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)

RETRYING = Retrying()
DICE = SystemRandom().random

T = TypeVar("T")


def client_settings(url: str, key: str) -> dict[str, Any]:
    """Return what both clients of httpx are made with. Proxies of the environment are not asked: this is internal."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the ledger's address must begin with http:// or https://")
    if not KEY_PATTERN.match(key):
        # Not repeated: it may be a good key with a line end behind it.
        raise ValueError("the key is empty, or holds what no header can hold")
    return {
        "base_url": url,
        "headers": {"authorization": f"Bearer {key}", "accept": "application/json"},
        "limits": LIMITS,
        "follow_redirects": False,
        "trust_env": False,
    }


def request_settings(send: Send) -> dict[str, Any]:
    """Return what httpx is asked to send."""
    seconds = send.timeout_seconds
    return {
        "method": send.call.method,
        "url": send.call.path,
        "content": send.call.body,
        "headers": send.call.headers,
        "params": send.call.parameters or None,
        "timeout": httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
    }


def reply_of(response: httpx.Response) -> Reply:
    """Return what came back. httpx gives names of headers in lower case."""
    return Reply(response.status_code, dict(response.headers), response.content)


def lost(error: httpx.RequestError) -> Lost:
    """Return what a failure of httpx means for the call. Raises AnswerUnreadable for bytes that are no answer."""
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        raise AnswerUnreadable("the answer is not what a ledger sends") from error
    return Lost(f"{type(error).__name__}: {error}", sent=not isinstance(error, NEVER_SENT))


class LedgerClient:
    """The client for threads: several may share one."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retrying: Retrying = RETRYING,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = DICE,
    ) -> None:
        self._calls = Calls(retrying, Timing(monotonic, dice))
        self._sleep = sleep
        self._http = httpx.Client(transport=transport, **client_settings(url, key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def post(self, command: Command) -> CommandAnswer:
        """Post a command; return what was recorded, now or before. Raises LedgerError."""
        return self._run(self._calls.post(command))

    def issue_key(self, command: IssueApiKey) -> KeyAnswer:
        """Issue a key. Its token is in the first answer only: when that is lost, issue another. Raises LedgerError."""
        return self._run(self._calls.issue_key(command))

    def post_many(self, commands: Sequence[Command]) -> list[PostOutcome]:
        """Post commands in few bodies; return their outcomes in order.

        Raises LedgerError when a body got no answer at all: post all of them again, those recorded count once.
        """
        return self._run(self._calls.post_many(commands))

    def wallets(self, workspace_id: str) -> Balances:
        """Return all balances of a workspace. Raises LedgerError."""
        return self._run(self._calls.wallets(workspace_id))

    def wallet(self, workspace_id: str, bucket: str) -> Balance:
        """Return the balance in one bucket. Raises LedgerError."""
        return self._run(self._calls.wallet(workspace_id, bucket))

    def catalog(self) -> Catalog:
        """Return the catalog, as far as the key may see it. Raises LedgerError."""
        return self._run(self._calls.catalog())

    def _run(self, steps: Steps[T]) -> T:
        answer: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = None
            if isinstance(step, Pause):
                self._sleep(step.seconds)
            else:
                answer = self._send(step)

    def _send(self, send: Send) -> Reply | Lost:
        try:
            return reply_of(self._http.request(**request_settings(send)))
        except httpx.RequestError as error:
            return lost(error)


class AsyncLedgerClient:
    """The client for event loops: one per loop."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retrying: Retrying = RETRYING,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = DICE,
    ) -> None:
        self._calls = Calls(retrying, Timing(monotonic, dice))
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport, **client_settings(url, key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def post(self, command: Command) -> CommandAnswer:
        """Post a command; return what was recorded, now or before. Raises LedgerError."""
        return await self._run(self._calls.post(command))

    async def issue_key(self, command: IssueApiKey) -> KeyAnswer:
        """Issue a key. Its token is in the first answer only: when that is lost, issue another. Raises LedgerError."""
        return await self._run(self._calls.issue_key(command))

    async def post_many(self, commands: Sequence[Command]) -> list[PostOutcome]:
        """Post commands in few bodies; return their outcomes in order. Raises LedgerError as the other client."""
        return await self._run(self._calls.post_many(commands))

    async def wallets(self, workspace_id: str) -> Balances:
        """Return all balances of a workspace. Raises LedgerError."""
        return await self._run(self._calls.wallets(workspace_id))

    async def wallet(self, workspace_id: str, bucket: str) -> Balance:
        """Return the balance in one bucket. Raises LedgerError."""
        return await self._run(self._calls.wallet(workspace_id, bucket))

    async def catalog(self) -> Catalog:
        """Return the catalog, as far as the key may see it. Raises LedgerError."""
        return await self._run(self._calls.catalog())

    async def _run(self, steps: Steps[T]) -> T:
        answer: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = None
            if isinstance(step, Pause):
                await self._sleep(step.seconds)
            else:
                answer = await self._send(step)

    async def _send(self, send: Send) -> Reply | Lost:
        try:
            return reply_of(await self._http.request(**request_settings(send)))
        except httpx.RequestError as error:
            return lost(error)
