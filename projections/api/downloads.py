"""An answer whose body is made while it is sent, by one thread of its own, and no further than somebody reads it."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

from litestar.types import Receive, Scope, Send

from ledger.api.responses import Headers, ReadyResponse

__all__ = ["Download", "begin_download"]

STALLED_SECONDS = 60.0
"""Whoever takes nothing for so long is left: what is being read for them holds a snapshot of the database."""


class Download(ReadyResponse):
    """A body in blocks. One that breaks off ends the connection, so that nobody takes a part for the whole."""

    __slots__ = ("_blocks", "_on_end", "_thread")

    def __init__(
        self,
        first: bytes,
        blocks: Generator[bytes, None, None],
        thread: ThreadPoolExecutor,
        on_end: Callable[[], None],
        headers: Headers,
        media_type: bytes,
    ) -> None:
        super().__init__(200, first, headers, media_type)
        self._blocks = blocks
        self._thread = thread
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the blocks while somebody is there to take them."""
        gone = asyncio.ensure_future(wait_until_gone(receive))
        try:
            headers = [*self.headers, (b"content-type", self.media_type)]
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            block = self.body
            while block and not gone.done():
                sending = send({"type": "http.response.body", "body": block, "more_body": True})
                await asyncio.wait_for(sending, STALLED_SECONDS)
                block = await next_block(self._thread, self._blocks)
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            close(self._thread, self._blocks, self._on_end)


async def begin_download(
    blocks: Generator[bytes, None, None], on_end: Callable[[], None], headers: Headers, media_type: bytes
) -> Download:
    """Return a download whose first block is made: what refuses it does so here. `on_end` is called in any case."""
    thread = ThreadPoolExecutor(1, "download")
    try:
        first = await next_block(thread, blocks)
    except BaseException:
        close(thread, blocks, on_end)
        raise
    return Download(first, blocks, thread, on_end, headers, media_type)


async def next_block(thread: ThreadPoolExecutor, blocks: Generator[bytes, None, None]) -> bytes:
    """Return the next block, nothing behind the last one."""
    return await asyncio.get_running_loop().run_in_executor(thread, next, blocks, b"")


def close(thread: ThreadPoolExecutor, blocks: Generator[bytes, None, None], on_end: Callable[[], None]) -> None:
    """End what makes the blocks, in its own thread and so after whatever it is at; nobody waits for it."""
    thread.submit(blocks.close).add_done_callback(lambda _: on_end())
    thread.shutdown(wait=False)


async def wait_until_gone(receive: Receive) -> None:
    """Return when the caller has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
