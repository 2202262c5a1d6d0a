"""The scheduled checkpoint: signed every so often, and reported. Where nothing has moved there is no new one."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from gateway.signing_key import KeyFileUnusable, open_signer
from ledger.store.checkpoints import Checkpoint, CheckpointRefused, make_checkpoint
from ledger.store.connection import DATABASE_AWAY

__all__ = ["Checkpointing"]

log = logging.getLogger(__name__)

FIRST_AFTER_SECONDS = 20.0


class Checkpointing(threading.Thread):
    """Signs the heads of all books every `interval_seconds` (0 is never) with the key in a file."""

    def __init__(
        self, url: str, key_file: str | None, interval_seconds: float, report: Callable[[Checkpoint], None]
    ) -> None:
        super().__init__(name="checkpointing", daemon=True)
        self.url = url
        self.key_file = key_file
        self.interval_seconds = interval_seconds
        self.report = report
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin no further checkpoint. One that is being made is kept wholly or not at all."""
        self._stopping.set()

    def run(self) -> None:
        """Make checkpoints until stopped. One that cannot be made is tried again at the next time."""
        if self.key_file is None or self.interval_seconds <= 0:
            return
        wait = min(FIRST_AFTER_SECONDS, self.interval_seconds)
        while not self._stopping.wait(wait):
            wait = self.interval_seconds
            try:
                # Read anew each time: after a rotation the old key signs nothing more.
                made = make_checkpoint(self.url, open_signer(self.url, Path(self.key_file)))
            except DATABASE_AWAY as error:
                log.warning("no checkpoint could be made: %s", str(error).strip())
            except (CheckpointRefused, KeyFileUnusable) as error:
                log.error("NO CHECKPOINT: %s", error)
            else:
                self.report(made)
