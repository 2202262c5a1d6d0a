"""The lives of one server: killed at a moment's notice and begun again on the same port, with the same spool."""

import asyncio
import os
import signal
import subprocess
import sys
from time import monotonic

import httpx
import msgspec

from tests.integration.edge_processes import Installation
from tests.integration.edge_scene import free_port
from tests.integration.edge_worker import Order
from tests.source_tree import ROOT

PATIENCE_SECONDS = 30.0


class Lives:
    """The lives of one server, one after the other on the same port, with the same spool."""

    def __init__(self, installation: Installation) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.number = 0
        self._order = Order(
            installation.url, self.port, str(installation.file), str(installation.spool)
        )  # fmt: skip
        with (installation.directory / "lives.log").open("ab") as said:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.edge_worker"],
                cwd=ROOT, env=os.environ | installation.environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip

    async def begin(self) -> None:
        """Begin a life, and wait until it answers. The one before is over by then."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(msgspec.json.encode(self._order) + b"\n")
        self._parent.stdin.flush()
        self.number = int(await asyncio.to_thread(self._parent.stdout.readline))
        deadline = monotonic() + PATIENCE_SECONDS
        async with httpx.AsyncClient() as client:
            while True:
                try:
                    await client.get(f"{self.address}/livez")
                except httpx.TransportError:
                    assert monotonic() < deadline
                    await asyncio.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        """Kill the life at once. Its id stays its own until the next one is begun."""
        os.kill(self.number, signal.SIGKILL)

    def close(self) -> None:
        """End the last life and the process that forks them."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.wait(20)
        self._parent.stdout.close()
