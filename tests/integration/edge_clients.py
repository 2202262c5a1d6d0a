"""Clients of the edge under load: many calls of every kind, some of which hang up at random; what each was told.

A client knows its call by the label `x-ledger-run`, which the book keeps: so a call can be found there whose client
never heard of a request id.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

MARK = b": x-ledger "
LAST = {"chat": b"data: [DONE]\n\n", "responses": b"event: response.completed", "messages": b"event: message_stop"}
PATHS = {
    "chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages",
    "embeddings": "/v1/embeddings",
}  # fmt: skip
KINDS = (
    ("chat", "smart"), ("chat", "smart"), ("chat", "claude"), ("chat", "cheap"), ("chat", "economy"),
    ("messages", "claude"), ("messages", "smart"), ("responses", "smart"), ("embeddings", "embed"),
)  # fmt: skip
WORDS = "Which balance did it burn, and why? 哪一个余额被用掉了？ ".split()


@dataclass(frozen=True)
class Ask:
    """One call: its number, what is asked for, what the upstream is told, and when the client hangs up."""

    run: str
    interface: str
    model: str
    text: str
    told: str = ""
    is_stream: bool = False
    asks_usage: bool = False
    leaves_after_seconds: float | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The call as its interface has it."""
        if self.interface == "embeddings":
            return {"model": self.model, "input": self.text}
        body: dict[str, Any] = {"model": self.model, "stream": self.is_stream}
        if self.interface == "responses":
            return body | {"input": self.text, "max_output_tokens": 400}
        if self.interface == "chat" and self.is_stream and self.asks_usage:
            body["stream_options"] = {"include_usage": True}
        return body | {"messages": [{"role": "user", "content": self.text}], "max_tokens": 400}


@dataclass
class Told:
    """What one client heard. `body` is what came of it; `failure` why nothing more came, where it did not hang up."""

    ask: Ask
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    has_left: bool = False
    failure: str | None = None

    @property
    def note(self) -> dict[str, Any] | None:
        """What the answer says of its charge; None where it says nothing."""
        if self.ask.is_stream and self.status == 200:
            _, mark, after = self.body.partition(MARK)
            line, end, _ = after.partition(b"\n")
            return json.loads(line) if mark and end else None
        if "x-ledger-status" not in self.headers:
            return None
        return {name: self.headers.get(f"x-ledger-{name}") for name in ("status", "charge", "usage", "bucket")}

    @property
    def is_served(self) -> bool:
        """Whether the answer came, to its end."""
        if self.status != 200 or self.has_left or self.failure is not None:
            return False
        return not self.ask.is_stream or LAST[self.ask.interface] in self.body

    def complaints(self) -> Iterator[str]:
        """Yield what is wrong with an answer whose client stayed and whose gateway lived."""
        if self.has_left:
            return
        if self.failure is not None:
            yield f"{self.ask} got no answer: {self.failure}"
        elif self.status == 200 and self.note is None:
            yield f"{self.ask} was not told its charge: {self.body[-300:]!r}"
        elif self.status == 200 and self.ask.is_stream and self.body.count(MARK) != 1:
            yield f"{self.ask} was told its charge more than once"
        elif self.status == 200 and self.ask.is_stream and not self.is_served and b"error" not in self.body:
            yield f"{self.ask} ended without an end: {self.body[-300:]!r}"
        elif self.status is not None and self.status >= 400 and not is_dialect_error(self.ask.interface, self.body):
            yield f"{self.ask} failed in another shape than its dialect's: {self.body[:300]!r}"


def is_dialect_error(interface: str, body: bytes) -> bool:
    """Return whether an error has the shape that the SDK of its dialect reads."""
    try:
        said = json.loads(body)
    except ValueError:
        return False
    error = said.get("error") or {}
    if interface == "messages":
        return said.get("type") == "error" and {"type", "message"} <= error.keys()
    return {"message", "type", "param", "code"} <= error.keys()


def random_asks(seed: int, chaos: float = 0.35, leaving: float = 0.2) -> Iterator[Ask]:
    """Yield calls without end, the same ones for the same seed."""
    dice = random.Random(seed)
    for number in count():
        interface, model = dice.choice(KINDS)
        text = " ".join(dice.choices(WORDS, k=dice.randint(1, 60)))
        if interface != "embeddings" and dice.random() < 0.3:
            text = f"{text} [cached] {dice.choice(WORDS)}"
        told = [
            f"*:chaos={chaos};seed={seed * 100_000 + number};chunks={dice.randint(1, 12)}"
            f";delay_ms={dice.choice((0, 0, 2, 10, 40))};answer_bytes={dice.randint(1, 700)}"
            f"{dice.choice(('', '', '', '', ';no_usage'))}"
        ]
        # A provider falls silent, says that our account is empty or is overloaded, the first times that it is called.
        for provider in ("openai", "azure", "anthropic", "deepseek"):
            if dice.random() < 0.06:
                mishap = dice.choice((f"hang_after={dice.randint(0, 4)}", "account_empty", "status=503"))
                told.append(f"{provider}:{mishap};times={dice.randint(1, 3)}")
        is_stream = interface != "embeddings" and dice.random() < 0.65
        leaves = dice.random() * 0.4 if dice.random() < leaving else None
        yield Ask(
            f"{seed}-{number}", interface, model, text, ",".join(told), is_stream, dice.random() < 0.5, leaves
        )  # fmt: skip


def ignore(told: Told) -> None:
    """Nobody watches."""


async def call(
    session: aiohttp.ClientSession, address: str, key: str, ask: Ask, watch: Callable[[Told], None] = ignore
) -> Told:
    """Make one call and return what its client heard. `watch` sees an answer each time that more of it has come."""
    told = Told(ask)
    headers = {"authorization": f"Bearer {key}", "x-ledger-run": ask.run}
    if ask.told:
        headers["x-demo"] = ask.told
    try:
        async with asyncio.timeout(ask.leaves_after_seconds):
            async with session.post(address + PATHS[ask.interface], json=ask.body, headers=headers) as answer:
                told.status = answer.status
                told.headers = {name.lower(): value for name, value in answer.headers.items()}
                try:
                    async for part in answer.content.iter_any():
                        told.body += part
                        watch(told)
                except asyncio.CancelledError:
                    # Hung up, and not kept for the next call.
                    answer.close()
                    raise
                watch(told)
    except TimeoutError as error:
        told.has_left = ask.leaves_after_seconds is not None
        told.failure = None if told.has_left else repr(error)
    except (aiohttp.ClientError, OSError) as error:
        told.failure = repr(error)
    return told


class Crowd:
    """Clients that each make one call after the other, at the addresses in turn, until the calls are at their end."""

    def __init__(self, addresses: Iterable[str], key: str, asks: Iterable[Ask]) -> None:
        self.addresses = list(addresses)
        self.key = key
        self.told: list[Told] = []
        self.watch: Callable[[Told], None] = ignore
        self._asks = iter(asks)
        self._is_stopped = False

    def stop(self) -> None:
        """Begin no further call."""
        self._is_stopped = True

    async def run(self, clients: int) -> list[Told]:
        """Make all calls, so many at a time, and return what was heard."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            await asyncio.gather(*(self._client(session, number) for number in range(clients)))
        return self.told

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        for ask in self._asks:
            if self._is_stopped:
                return
            address = self.addresses[number % len(self.addresses)]
            told = await call(session, address, self.key, ask, self.watch)
            self.told.append(told)
            if told.status is None or told.status == 503:
                # Nobody hammers a server that is away.
                await asyncio.sleep(0.05)
