"""Verification of all books, in several processes that look at one snapshot: writers and followers may go on.

Large books are cut into stretches, small ones go together, and each task is done by whoever is free. What does not
stand for itself (balances, heads) is added up, and compared when all parts of a book are there.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing

import msgspec

from projections.audit.checking import Checked
from projections.audit.crew import Alone, Crew, Processes
from projections.audit.findings import AuditReport, Finding
from projections.audit.kept import check_kept, read_vkeys
from projections.audit.notes import CheckedNotes, check_notes
from projections.audit.planning import Plan, make_plan
from projections.audit.reading import begin_snapshot, connect_auditor, end_snapshot
from projections.audit.sums import Sums
from projections.collecting import rare_collections

__all__ = ["Kept", "OnProgress", "verify"]

SMALL_AUDIT_EVENTS = 150_000
"""Below this, starting a second process costs more than it gives."""

OnProgress = Callable[[int, int], None]
"""Called with the events checked so far and the events that there are."""


class Kept(msgspec.Struct, frozen=True):
    """A checkpoint's note that somebody kept, and the lines of the keys that may have signed it.

    Without any the database's own are believed: better have them from somewhere else.
    """

    note: str
    keys: tuple[str, ...] = ()


def verify(
    url: str,
    workspace: str | None = None,
    processes: int | None = None,
    on_progress: OnProgress = lambda checked, total: None,
    kept: Kept | None = None,
) -> AuditReport:
    """Check one book or all of them against their events and all that is stored beside; as many processes as cores.

    Raises LookupError for an unknown workspace.
    """
    with closing(connect_auditor(url)) as connection, rare_collections():
        snapshot = begin_snapshot(connection)
        plan = make_plan(connection, workspace)
        audit = Audit(plan, on_progress)
        if workspace is None:
            audit.take_notes(check_notes(connection))
        if kept is not None:
            audit.take_kept(check_kept(connection, kept.note, kept.keys or read_vkeys(connection)))
        wanted = 1 if plan.events < SMALL_AUDIT_EVENTS else min(processes or os.cpu_count() or 1, len(plan.tasks))
        if wanted > 1:
            with Processes(url, snapshot, plan.generation, wanted) as crew:
                audit.run(crew)
        else:
            audit.run(Alone(connection, plan.generation))
        end_snapshot(connection)
    return audit.report()


class Audit:
    """A verification while it runs: tasks are given out, and what they come to is put together."""

    def __init__(self, plan: Plan, on_progress: OnProgress) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._checked = Checked()
        self._missing = Counter(stretch.book.workspace_id for task in plan.tasks for stretch in task)
        self._parts: dict[str, list[Sums]] = {}
        self._notes = CheckedNotes()
        self._is_held_against_kept = False

    def take_notes(self, notes: CheckedNotes) -> None:
        """Keep what the checkpoints in the database came to."""
        self._notes = notes

    def take_kept(self, findings: Iterable[Finding]) -> None:
        """Keep what a checkpoint from outside came to."""
        self._is_held_against_kept = True
        self._checked.findings += findings

    def run(self, crew: Crew) -> None:
        """Give out all tasks, a few at a time, and put together what they come to."""
        waiting: set[Future[Checked]] = set()
        for task in self._plan.tasks:
            waiting.add(crew.walk(task))
            while len(waiting) >= crew.room:
                waiting = self._take_done(crew, waiting)
        while waiting:
            waiting = self._take_done(crew, waiting)

    def _take_done(self, crew: Crew, waiting: set[Future[Checked]]) -> set[Future[Checked]]:
        """Wait until a task is done, and return those that are still waited for, with new ones that follow from it."""
        done, left = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            checked = future.result()
            self._checked.add(checked)
            self._on_progress(self._checked.events, self._plan.events)
            left |= {crew.end(whole) for part in checked.parts if (whole := self._add_part(part))}
        return left

    def _add_part(self, part: Sums) -> Sums | None:
        """Keep a stretch of a large book; return the whole book when it is the last that was missing."""
        name = part.workspace_id
        self._parts.setdefault(name, []).append(part)
        if len(self._parts[name]) < self._missing[name]:
            return None
        whole, *others = sorted(self._parts.pop(name), key=lambda each: each.first)
        for other in others:
            whole.add(other)
        return whole

    def report(self) -> AuditReport:
        """Return what it came to."""
        done, plan = self._checked, self._plan
        findings = sorted([*plan.findings, *self._notes.findings, *done.findings], key=place_of)
        return AuditReport(
            len(plan.books), done.events, done.entries, done.legs, done.periods, self._notes.checkpoints, plan.behind,
            tuple(findings), done.suppressed, self._is_held_against_kept,
        )  # fmt: skip


def place_of(finding: Finding) -> tuple[str, int]:
    """Return where a finding stands in the report: by book and position; what is of a whole book comes last."""
    return finding.workspace_id, 2**63 if finding.position is None else finding.position
