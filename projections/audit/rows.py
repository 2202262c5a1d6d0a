"""Rows of the journal against what the events post: all at once, and one by one where they differ."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from projections import journal
from projections.audit.findings import Findings
from projections.audit.reading import QUERIES
from projections.audit.stretches import END
from projections.audit.walking import Walk
from projections.connections import run

__all__ = ["compare_rows"]

Parts = tuple[list[str], list[str], list[int], list[int]]
"""Workspaces, buckets, first and last positions: where rows are looked for."""

Balances = tuple[int, int, int]
Drift = tuple[int, int, int]
"""By how much posted, held and available are off."""

FACT_FIELDS = ("tag", "request_id", "effective_at", "recorded_at")
BALANCE_FIELDS = ("posted_minor", "held_minor", "available_minor")
FACTS, BALANCES = slice(4, 8), slice(8, 11)
NO_DRIFT: Drift = (0, 0, 0)
LEG_FIELDS = ("debit_account", "credit_account", "minor")

bucket_of = itemgetter(2)


def compare_rows(connection: Connection[TupleRow], generation: int, walks: Sequence[Walk]) -> None:
    """Compare entries, legs and movements of some walked stretches, one at most of each book, with what is stored."""
    ordered = sorted(walks, key=lambda walk: walk.stretch.book.workspace_id)
    parts = parts_of(connection, generation, ordered)
    for walk in ordered:
        walk.entries.sort(key=bucket_of)
        walk.legs.sort(key=bucket_of)
    compare_kind(connection, "read_entries", (*parts, generation), [(walk, walk.entries) for walk in ordered])
    compare_kind(connection, "read_legs", (*parts, generation), [(walk, walk.legs) for walk in ordered])
    compare_movements(connection, generation, ordered)


def parts_of(connection: Connection[TupleRow], generation: int, walks: Sequence[Walk]) -> Parts:
    """Return where the stretches' rows are, in the order of the key."""
    names = [walk.stretch.book.workspace_id for walk in walks]
    found = {(name, row[2]) for walk, name in zip(walks, names, strict=True) for row in walk.entries}
    rows = run(connection, QUERIES["read_buckets"], (names, *[generation] * 3))
    spans = {walk.stretch.book.workspace_id: lowest_and_highest(walk) for walk in walks}
    parts = sorted(found | {(row[0], row[1]) for row in rows})
    return (
        [name for name, _ in parts],
        [bucket for _, bucket in parts],
        [spans[name][0] for name, _ in parts],
        [spans[name][1] for name, _ in parts],
    )


def lowest_and_highest(walk: Walk) -> tuple[int, int]:
    """Return between which positions a stretch's rows are looked for: no position is nobody's."""
    stretch = walk.stretch
    return -END if stretch.first == 1 else stretch.first, stretch.last


def compare_kind(
    connection: Connection[TupleRow], query: str, asked: tuple[Any, ...], expected: Sequence[tuple[Walk, list[Any]]]
) -> None:
    """Read entries or legs and compare them with those that stretches must have, which are in the same order."""
    stored = run(connection, QUERIES[query], asked).fetchall()
    if stored == [row for _, rows in expected for row in rows] and not any(walk.broken_at for walk, _ in expected):
        return
    compare = compare_entries if query == "read_entries" else compare_legs
    books: dict[str, list[TupleRow]] = {}
    for row in stored:
        books.setdefault(row[0], []).append(row)
    for walk, _ in expected:
        compare(walk, books.get(walk.stretch.book.workspace_id, []))


def compare_entries(walk: Walk, stored: list[TupleRow]) -> None:
    """Report entries that are missing, too many or different."""
    drifts: dict[str, Drift] = {}
    expected: dict[tuple[Any, ...], tuple[Any, ...]] = {row[2:4]: row for row in walk.entries}
    found = {row[2:4]: row for row in stored}
    for key in sorted(expected.keys() | found.keys()):
        bucket, position = key
        if walk.broken_at is not None and position >= walk.broken_at:
            continue
        what, wanted, present = f"entry {bucket}", expected.get(key), found.get(key)
        if wanted is None or present is None:
            report_presence(walk.findings, what, position, wanted and wanted[4], present and present[4])
            continue
        for name, one, other in zip(FACT_FIELDS, wanted[FACTS], present[FACTS], strict=True):
            if one != other:
                walk.findings.report(f"{what} {name}", one, other, position)
        drifts[bucket] = compare_balances(
            walk.findings, what, position, wanted[BALANCES], present[BALANCES], drifts.get(bucket, NO_DRIFT)
        )


def compare_balances(
    findings: Findings, what: str, position: int, wanted: Balances, present: Balances, before: Drift
) -> Drift:
    """Report balances that do not follow from the entry before; return how far they are off the events'.

    Where that is as far as before, the balance follows from an entry that was reported; so does a return to what is
    right.
    """
    drift = (present[0] - wanted[0], present[1] - wanted[1], present[2] - wanted[2])
    if drift not in (NO_DRIFT, before):
        for name, right, off, was_off in zip(BALANCE_FIELDS, wanted, drift, before, strict=True):
            if off != was_off:
                findings.report(f"{what} {name}", right + was_off, right + off, position)
    return drift


def compare_legs(walk: Walk, stored: list[TupleRow]) -> None:
    """Report legs that are missing, too many or different."""
    expected: dict[tuple[Any, ...], tuple[Any, ...]] = {row[2:5]: row[5:] for row in walk.legs}
    found = {row[2:5]: row[5:] for row in stored}
    for key in sorted(expected.keys() | found.keys()):
        bucket, position, number = key
        if walk.broken_at is not None and position >= walk.broken_at:
            continue
        what, wanted, present = f"leg {bucket} {number}", expected.get(key), found.get(key)
        if wanted is None or present is None:
            report_presence(walk.findings, what, position, wanted, present)
            continue
        for name, one, other in zip(LEG_FIELDS, wanted, present, strict=True):
            if one != other:
                walk.findings.report(f"{what} {name}", one, other, position)


def report_presence(findings: Findings, what: str, position: int, wanted: object, present: object) -> None:
    """Report a row that only one side has."""
    findings.report(what, "nothing" if wanted is None else wanted, "nothing" if present is None else present, position)


def compare_movements(connection: Connection[TupleRow], generation: int, walks: Sequence[Walk]) -> None:
    """Compare what was moved by account, day and block of positions."""
    names = [walk.stretch.book.workspace_id for walk in walks]
    blocks = list(zip(*(blocks_of(walk) for walk in walks), strict=True))
    found: dict[str, dict[tuple[Any, ...], tuple[int, int]]] = {name: {} for name in names}
    for name, *row in run(connection, QUERIES["read_movements"], (names, *map(list, blocks), generation)):
        found[name][tuple(row[:4])] = (int(row[4]), int(row[5]))
    for walk in walks:
        expected = {row[:4]: row[4:] for row in walk.movements}
        present = found[walk.stretch.book.workspace_id]
        if walk.broken_at is not None or expected == present:
            continue
        for key in sorted(expected.keys() | present.keys()):
            report_movement(walk.findings, key, expected.get(key, (0, 0)), present.get(key, (0, 0)))


def blocks_of(walk: Walk) -> tuple[int, int]:
    """Return the first and the last block of positions of a stretch; no block is nobody's."""
    first, last = lowest_and_highest(walk)
    return (first if first < 0 else first >> journal.BLOCK_BITS), (last if last == END else last >> journal.BLOCK_BITS)


def report_movement(
    findings: Findings, key: tuple[Any, ...], expected: tuple[int, ...], found: tuple[int, ...]
) -> None:
    """Report the sides of a movement that differ."""
    bucket, account, day, block = key
    for name, one, other in zip(("debit_minor", "credit_minor"), expected, found, strict=True):
        if one != other:
            findings.report(f"movement {bucket} {account} day {day} block {block} {name}", one, other)
