"""The embedded PostgreSQL of a server, started again when it dies under it."""

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger.store.embedded import EmbeddedServer, EmbeddedServerError, read_embedded_url, start_embedded

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
STOP_SECONDS = 60.0


class DatabaseKeeper(threading.Thread):
    """Keeps one embedded server running. Its URL stays the same over a restart."""

    def __init__(self, data: Path) -> None:
        super().__init__(name="database-keeper", daemon=True)
        self.data = data
        self._server: EmbeddedServer = start_embedded(data)
        self.url = self._server.url
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self.join(STOP_SECONDS)
        self._server.stop()

    def run(self) -> None:
        """Look until stopped whether the server is there, and bring it back when it is not."""
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                if read_embedded_url(self.data) is None:
                    self._bring_back()
            except EmbeddedServerError as error:
                log.error("the database is gone and cannot be started, trying again: %s", error)

    def _bring_back(self) -> None:
        log.error("the database has ended by itself and is started again")
        self._server.stop()
        self._server = start_embedded(self.data)
