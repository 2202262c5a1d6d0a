"""A lean load generator in a process of its own: prepared bytes over connections that stay open.

`python -m tests.bench.http_load` reads the names of files with jobs (msgpack), one a line, and answers each with its
result as a line of JSON. It builds nothing and decodes nothing while it measures, so that it takes as little as
possible of the two cores that the server runs on.
"""

import asyncio
import sys
from math import ceil
from pathlib import Path
from time import perf_counter, process_time
from typing import cast

import msgspec
import uvloop

END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length: "


class Job(msgspec.Struct, frozen=True):
    """What each connection sends, one after the other; `opening` is sent before, and not measured."""

    host: str
    port: int
    opening: list[bytes]
    shares: list[list[bytes]]


class Result(msgspec.Struct, frozen=True):
    """How long it took, the client's own part of it, what was answered, and percentiles of the time of one post."""

    seconds: float
    client_cpu_seconds: float
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float


class Connection(asyncio.Protocol):
    """Sends its posts in order, each when the one before was answered."""

    def __init__(self, posts: list[bytes]) -> None:
        self.posts = posts
        self.statuses: dict[str, int] = {}
        self.times: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = b""
        self._missing = 0
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing is sent before `begin`."""
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        """Send the first post."""
        self._posts = iter(self.posts)
        self._send()

    def _send(self) -> None:
        post = next(self._posts, None)
        if post is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._sent_at = perf_counter()
        self._transport.write(post)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; send the next post when it is complete."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._received += data
            headers = self._received.find(END_OF_HEADERS)
            if headers < 0:
                return
            begin = self._received.lower().index(LENGTH) + len(LENGTH)
            length = int(self._received[begin : self._received.index(b"\r", begin)])
            self._missing = headers + len(END_OF_HEADERS) + length - len(self._received)
            status = self._received[9:12].decode()
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self._received = b""
        if not self._missing:
            self.times.append(perf_counter() - self._sent_at)
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail when the server hangs up early."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server hung up"))


async def connect(job: Job, posts: list[bytes]) -> Connection:
    """Return a connection that is ready to begin."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(posts), job.host, job.port)
    return connection


async def run(job: Job) -> Result:
    """Send the opening, then everything else at once over all connections."""
    opening = await connect(job, job.opening)
    opening.begin()
    await opening.done
    connections = [await connect(job, share) for share in job.shares]
    started, cpu_started = perf_counter(), process_time()
    for connection in connections:
        connection.begin()
    await asyncio.gather(*(connection.done for connection in connections))
    seconds, cpu_seconds = perf_counter() - started, process_time() - cpu_started
    times = sorted(time for connection in connections for time in connection.times)
    statuses: dict[str, int] = dict(opening.statuses)
    for connection in connections:
        for status, count in connection.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return Result(seconds, cpu_seconds, statuses, percentile(times, 0.5), percentile(times, 0.99))


def percentile(times: list[float], part: float) -> float:
    """Return the milliseconds that a part of the sorted times stays within."""
    return times[max(0, ceil(part * len(times)) - 1)] * 1000


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in iter(sys.stdin.readline, ""):
            decoded = msgspec.msgpack.decode(Path(line.strip()).read_bytes(), type=Job)
            print(msgspec.json.encode(runner.run(run(decoded))).decode(), flush=True)
