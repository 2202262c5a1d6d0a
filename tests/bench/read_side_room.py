"""The room that the read side takes on disk."""

from collections.abc import Mapping

import msgspec
import psycopg

PARTS: Mapping[str, tuple[str, ...]] = {
    "journal": ("entry", "leg", "movement", "account", "wallet"),
    "route_ledger": ("request", "spend_cell", "spend", "spend_line"),
}
"""The tables of each projection."""

SIZES = """
select coalesce(sum(pg_relation_size(relid)), 0)::float8, coalesce(sum(pg_total_relation_size(relid)), 0)::float8
from pg_partition_tree(%s::regclass)
where isleaf
"""


class Room(msgspec.Struct, frozen=True):
    """Bytes of a table's rows alone, and with what belongs to them: indexes and what is stored out of line."""

    rows: float
    total: float


def read_room(url: str) -> dict[str, dict[str, Room]]:
    """Return the room of each projection's tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        return {projection: {part: room_of(connection, part) for part in parts} for projection, parts in PARTS.items()}


def room_of(connection: psycopg.Connection, part: str) -> Room:
    """Return the room of one table, all of its generations together."""
    row = connection.execute(SIZES, (f"projections.{part}",)).fetchone()
    assert row is not None
    return Room(*row)
