"""A lean client of the gateway in a process of its own: prepared calls over connections that stay open.

`python -m tests.bench.gateway_load` reads jobs, one a line of JSON, and answers each with its result. It decodes
nothing: of an answer it looks at the head, and of a stream at the last bytes beside.
"""

import asyncio
import gc
import sys
from itertools import cycle
from time import perf_counter, process_time
from typing import cast

import msgspec
import uvloop

from tests.bench.http_load import percentile

END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length: "
OK = b"HTTP/1.1 200 "
LAST_CHUNK = b"\r\n0\r\n\r\n"
DONE = b"data: [DONE]\n\n" + LAST_CHUNK
"""How a stream ends that was sent whole: its last event, and the end of the chunked body."""


class Job(msgspec.Struct, frozen=True):
    """What connections send: each so many calls, one after the other, taken from its own in turn."""

    host: str
    port: int
    shares: list[list[bytes]]
    calls_each: int


class Result(msgspec.Struct, frozen=True):
    """How long it took, the client's own part of it, percentiles of whole calls, and the median of their first byte."""

    calls: int
    seconds: float
    client_cpu_seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    first_p50_ms: float


class BadAnswer(Exception):
    """An answer was not what a benchmark may count."""


class Connection(asyncio.Protocol):
    """Sends its calls in order, each when the one before was answered to its end."""

    def __init__(self, calls: list[bytes], count: int) -> None:
        self.times: list[float] = []
        self.first_times: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls = cycle(calls)
        self._left = count
        self._head = b""
        self._tail = b""
        self._missing = 0
        self._is_stream = False
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing is sent before `send`."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the next call, or close where all were sent."""
        if not self._left:
            self.done.set_result(None)
            self._transport.close()
            return
        self._left -= 1
        self._sent_at = perf_counter()
        self._transport.write(next(self._calls))

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; send the next call when it is complete."""
        if self._missing:
            self._missing -= len(data)
        elif self._is_stream:
            self._tail = (self._tail + data)[-len(DONE) :]
        elif not self._has_begun(data):
            return
        if self._is_stream and self._tail.endswith(LAST_CHUNK):
            if self._tail != DONE:
                self._fail(f"a stream ended without [DONE]: {self._tail!r}")
                return
            self._is_stream = False
        if not self._missing and not self._is_stream:
            self.times.append(perf_counter() - self._sent_at)
            self.send()

    def _has_begun(self, data: bytes) -> bool:
        """Take a part of an answer's head; return whether all of it is there."""
        self._head += data
        end = self._head.find(END_OF_HEADERS)
        if end < 0:
            return False
        self.first_times.append(perf_counter() - self._sent_at)
        received, self._head = self._head, b""
        if not received.startswith(OK):
            self._fail(f"not accepted: {received[:2000].decode(errors='replace')}")
            return False
        body_at = end + len(END_OF_HEADERS)
        at = received.lower().find(LENGTH, 0, end)
        if at < 0:
            self._is_stream = True
            self._tail = received[max(body_at, len(received) - len(DONE)) :]
        else:
            length = int(received[at + len(LENGTH) : received.index(b"\r", at)])
            self._missing = body_at + length - len(received)
        return True

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(BadAnswer(why))
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail when the server hangs up early."""
        if not self.done.done():
            self.done.set_exception(error or BadAnswer("the server hung up"))


async def run(job: Job) -> Result:
    """Send everything at once over all connections."""
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    for share in job.shares:
        connection = Connection(share, job.calls_each)
        await loop.create_connection(lambda made=connection: made, job.host, job.port)  # type: ignore[misc]
        connections.append(connection)
    started, cpu_started = perf_counter(), process_time()
    for connection in connections:
        connection.send()
    await asyncio.gather(*(connection.done for connection in connections))
    seconds, cpu_seconds = perf_counter() - started, process_time() - cpu_started
    times = sorted(time for connection in connections for time in connection.times)
    first_times = sorted(time for connection in connections for time in connection.first_times)
    p50, p95, p99 = (percentile(times, part) for part in (0.5, 0.95, 0.99))
    return Result(len(times), seconds, cpu_seconds, p50, p95, p99, percentile(first_times, 0.5))


if __name__ == "__main__":
    # Nothing here makes cycles, and a collection would be seen as a slow answer.
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in iter(sys.stdin.readline, ""):
            decoded = msgspec.json.decode(line, type=Job)
            print(msgspec.json.encode(runner.run(run(decoded))).decode(), flush=True)
