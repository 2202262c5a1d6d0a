"""Who does the tasks of a verification: this process alone, or several that look at the same snapshot."""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Protocol

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from projections.audit.checking import Checked, check_book, check_task
from projections.audit.reading import connect_auditor, join_snapshot
from projections.audit.stretches import Task
from projections.audit.sums import Sums
from projections.collecting import rare_collections

__all__ = ["Alone", "Crew", "Processes"]

AHEAD = 3
"""How many tasks wait for each process: enough that none is ever idle."""


class Crew(Protocol):
    """Whoever does tasks. `room` is how many may be given before any is done."""

    room: int

    def walk(self, task: Task) -> "Future[Checked]":
        """Have the stretches of a task walked."""

    def end(self, sums: Sums) -> "Future[Checked]":
        """Have a large book compared, whose stretches were walked and added up."""


class Alone:
    """This process, on the connection that keeps the snapshot. Each task is done when it is given."""

    room = 1

    def __init__(self, connection: Connection[TupleRow], generation: int) -> None:
        self._connection = connection
        self._generation = generation

    def walk(self, task: Task) -> "Future[Checked]":
        """Walk the stretches of a task."""
        return done(check_task(self._connection, self._generation, task))

    def end(self, sums: Sums) -> "Future[Checked]":
        """Compare a large book."""
        return done(check_book(self._connection, self._generation, sums))


def done(checked: Checked) -> "Future[Checked]":
    """Return what a task came to as something that need not be waited for."""
    future: Future[Checked] = Future()
    future.set_result(checked)
    return future


class Processes:
    """Several processes, each with a connection of its own; to be entered."""

    def __init__(self, url: str, snapshot: str, generation: int, processes: int) -> None:
        self.room = processes * AHEAD
        # Spawned, not forked: a fork would take the parent's connections and threads with it.
        self._pool = ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=begin_work, initargs=(url, snapshot, generation)
        )

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def walk(self, task: Task) -> "Future[Checked]":
        """Have the stretches of a task walked by whoever is free."""
        return self._pool.submit(walk_here, task)

    def end(self, sums: Sums) -> "Future[Checked]":
        """Have a large book compared by whoever is free."""
        return self._pool.submit(end_here, sums)


class Place(msgspec.Struct):
    """Where a process of the crew works: its connection, within the snapshot, and the generation that is read."""

    connection: Connection[TupleRow]
    generation: int


places: list[Place] = []
"""The one place of this process, if it is of a crew: what comes from another process finds it here."""


def begin_work(url: str, snapshot: str, generation: int) -> None:
    """Begin to work as a process of the crew."""
    connection = connect_auditor(url)
    join_snapshot(connection, snapshot)
    places.append(Place(connection, generation))


def walk_here(task: Task) -> Checked:
    """Walk the stretches of a task in this process."""
    return at_place(lambda place: check_task(place.connection, place.generation, task))


def end_here(sums: Sums) -> Checked:
    """Compare a large book in this process."""
    return at_place(lambda place: check_book(place.connection, place.generation, sums))


def at_place(work: Callable[[Place], Checked]) -> Checked:
    """Do something with this process' connection."""
    with rare_collections():
        return work(places[-1])
