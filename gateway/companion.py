"""The work beside a server, in a process of its own: the followers and the scheduled verification.

In the server's own process they would take turns with every post for the interpreter. The companion lives as long
as its standard input is open, so it ends with its server, however that ends; one that dies is started again. It
says each verification's result, and how far the projections are behind, as a line of JSON.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec

from gateway.checkpointing import Checkpointing
from gateway.lag import LagReport, LagWatch
from gateway.verification import Verification, VerificationResult
from projections.collecting import rare_collections
from projections.every import every_projection
from projections.followers import Follower

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
STOP_SECONDS = 10.0
POLITENESS = 5
SPEAKING = threading.Lock()
FOLLOW_SECONDS = 0.1
"""How often a companion looks for news by itself: it gets no hints."""


class Errand(msgspec.Struct, frozen=True):
    """What a companion is told in its first line: the database, how often to verify (0 is never), measure and sign.

    The key that signs checkpoints stays in its file: only the file's name is said.
    """

    url: str
    verify_seconds: float
    lag_seconds: float = 10.0
    signing_key: str | None = None
    checkpoint_seconds: float = 0.0


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a companion: one of these."""

    verified: VerificationResult | None = None
    lag: LagReport | None = None
    checkpoint: int | None = None


class Companion(threading.Thread):
    """Keeps a companion process running, and keeps what it said last of each."""

    def __init__(self, errand: Errand) -> None:
        super().__init__(name="companion", daemon=True)
        self.errand = errand
        self.last: VerificationResult | None = None
        self.lag: LagReport | None = None
        self.checkpoint = -1
        """The newest checkpoint that was made on schedule; -1 before the first one."""
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def differences(self) -> int:
        """How many differences the last verification found; -1 before the first one."""
        return -1 if self.last is None else self.last.differences

    def lag_of(self, projection: str, field: str) -> float:
        """Return a figure of a projection's lag as it was measured last; -1 before the first time."""
        return -1.0 if self.lag is None else self.lag.figure(projection, field)

    def stop(self) -> None:
        """Let the companion finish its transaction and end."""
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if self.is_alive():
            self.join(STOP_SECONDS)

    def run(self) -> None:
        """Start a companion, and another one whenever it ends by itself."""
        while not self._stopping.is_set():
            self._accompany()
            if not self._stopping.wait(RESTART_SECONDS):
                log.warning("the companion process has ended and is started again")

    def _accompany(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            # -P: a directory named like one of our packages, where the server was started, is not ours.
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway.companion"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        if process.stdin is None or process.stdout is None:
            return
        try:
            process.stdin.write(msgspec.json.encode(self.errand) + b"\n")
            process.stdin.flush()
        except (BrokenPipeError, ValueError):
            # It ended at once, or `stop` was quicker.
            log.warning("the companion process could not be told what to do")
        # Leaving the block closes the pipes and waits for the end.
        with process:
            for line in process.stdout:
                said = msgspec.json.decode(line, type=Said)
                self.last, self.lag = said.verified or self.last, said.lag or self.lag
                self.checkpoint = said.checkpoint or self.checkpoint
        # Nobody follows now: how far behind that is would be a guess.
        self.lag = None


def keep_company(say: Callable[[Said], None]) -> None:
    """Follow, measure and verify until standard input is closed."""
    errand = msgspec.json.decode(sys.stdin.buffer.readline(), type=Errand)
    workers: list[Follower | LagWatch | Verification | Checkpointing] = [
        LagWatch(errand.url, errand.lag_seconds, lambda lag: say(Said(lag=lag))),
        Verification(errand.url, errand.verify_seconds, lambda result: say(Said(verified=result))),
        Checkpointing(
            errand.url,
            errand.signing_key,
            errand.checkpoint_seconds,
            lambda made: say(Said(checkpoint=made.checkpoint)),
        ),
    ]
    workers += [Follower(errand.url, projection, FOLLOW_SECONDS) for projection in every_projection()]
    with rare_collections():
        for worker in workers:
            worker.start()
        sys.stdin.buffer.read()
        for worker in workers:
            worker.stop()


def say_line(said: Said) -> None:
    """Write a line to standard output at once."""
    line = msgspec.json.encode(said) + b"\n"
    with SPEAKING:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    # Ctrl-C reaches the whole group; the server says when it is time, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Posts come first where there are fewer processors than work.
    os.nice(POLITENESS)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_company(say_line)
