"""One HTTP server around a service: starts, says that it is ready, and stops without losing anything.

Ctrl-C and SIGTERM are the same: `/readyz` turns requests away, running ones end, the queue is committed, then the
database is stopped. A second signal does not wait for running requests.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from types import FrameType

import msgspec
import uvicorn
from litestar import Litestar

log = logging.getLogger(__name__)

GRACE_SECONDS = 10
REQUESTS_WAITING_MAX = 2048


class Occasions(msgspec.Struct, frozen=True):
    """Who is told when the port answers, when a SIGHUP came (in a thread), and when the server begins to stop."""

    ready: Callable[[], None]
    reload: Callable[[], None]
    stopping: Callable[[], None]


def run_server(app: Litestar, host: str, port: int, occasions: Occasions) -> None:
    """Serve until told to stop."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        backlog=REQUESTS_WAITING_MAX,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    # The server re-raises the signal that stopped it, once it has ended; by then it was obeyed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, obeyed)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve(server, occasions))


def obeyed(number: int, frame: FrameType | None) -> None:
    """Do nothing more about a signal that has stopped the server already."""


async def serve(server: uvicorn.Server, occasions: Occasions) -> None:
    """Run the server with its companions: one that tells when it is ready, one that turns requests away at the end."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, occasions.reload))
    watch = asyncio.create_task(follow_state(server, occasions))
    try:
        await server.serve()
    finally:
        watch.cancel()


async def follow_state(server: uvicorn.Server, occasions: Occasions) -> None:
    """Say once that the server listens, and once that it was told to stop."""
    # The server has no event to wait for, only these two flags.
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    spare_the_collector()
    occasions.ready()
    while not server.should_exit:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    occasions.stopping()


def spare_the_collector() -> None:
    """Keep what was loaded at the start out of every garbage collection, and collect less often.

    Posts make many small objects and no cycles; collecting after every 700 of them takes a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
