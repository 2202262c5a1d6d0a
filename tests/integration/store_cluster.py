"""A PostgreSQL of one test module's own that may be stopped and killed, and load to do it under."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import psycopg

from ledger.core.commands import Command
from ledger.service import Ledger, Outcome
from ledger.store.embedded import EmbeddedServer, start_embedded
from tests.integration import scenes

SMALL = {"shared_buffers": "32MB", "max_wal_size": "256MB", "log_checkpoints": "off"}
"""Everything that makes a commit durable stays on."""


class Cluster:
    """One data directory whose server comes and goes; its URL stays the same."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._server: EmbeddedServer | None = start_embedded(directory, extra_settings=SMALL)
        self.url = self._server.url

    @property
    def postmaster_pid(self) -> int:
        """The process that starts all others."""
        assert self._server is not None
        return self._server.postmaster_pid

    def stop(self) -> None:
        """Stop the server as an administrator does, or tidy up after one that was killed."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def start(self) -> None:
        """Start the server again; it recovers what it has to."""
        self.stop()
        self._server = start_embedded(self.directory, extra_settings=SMALL)
        assert self._server.url == self.url, (self._server.url, self.url)

    def kill_postmaster(self) -> None:
        """Kill the postmaster at once; its children find out and end."""
        os.kill(self.postmaster_pid, signal.SIGKILL)

    def kill_backend(self) -> None:
        """Kill a backend that writes; the postmaster ends all others, and recovers."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute(
                "select pid from pg_stat_activity where application_name = 'route-ledger writer'"
                " order by state = 'idle', random()"
            ).fetchall()
            for row in rows[:1]:
                with suppress(ProcessLookupError):
                    os.kill(row[0], signal.SIGKILL)

    def wait_until_up(self) -> None:
        """Wait until somebody is let in."""
        deadline = monotonic() + 20
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert monotonic() < deadline
                sleep(0.01)
            else:
                return


class Answer(NamedTuple):
    """A command, what became of it, and how long its caller waited."""

    command: Command
    outcome: Outcome
    seconds: float


class Load:
    """Callers in threads who hold and settle one request after the other, until they are told to stop."""

    def __init__(self, ledger: Ledger, name: str, callers: int = 8) -> None:
        self.ledger = ledger
        self.answers: list[Answer] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{name}-{number}",), daemon=True) for number in range(callers)
        ]

    def _run(self, name: str) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            request_id = f"{name}-{number}"
            end = scenes.settle if number % 3 else scenes.release
            for command in (scenes.hold(request_id, "0.01"), end(request_id)):
                answer = timed(self.ledger, command)
                self.answers.append(answer)
                if answer.outcome.refused is not None:
                    sleep(0.02)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(40)
            assert not thread.is_alive()

    def wait_for(self, count: int, wanted: Callable[[Answer], bool] = bool) -> None:
        """Wait until so many more answers of a kind have come."""
        deadline, seen, found = monotonic() + 30, len(self.answers), 0
        while found < count:
            assert monotonic() < deadline, f"{found} of {count} answers in 30 seconds"
            sleep(0.002)
            new = self.answers[seen:]
            seen += len(new)
            found += sum(wanted(answer) for answer in new)


def timed(ledger: Ledger, command: Command) -> Answer:
    """Execute one command and take the time."""
    started = monotonic()
    outcome = ledger.execute(command, "system")
    return Answer(command, outcome, monotonic() - started)


def is_recorded(answer: Answer) -> bool:
    """Return whether a command was recorded."""
    return answer.outcome.recorded is not None
