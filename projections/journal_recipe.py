"""How the journal is built anew: filled by COPY into tables without keys, which are added when all rows are there."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import LiteralString

from psycopg import sql

from ledger.store.queries import load_queries
from projections.building import Building, begin_progress, build_shares
from projections.connections import BUILDING_SETTINGS, connect_projector, run
from projections.filling import fill
from projections.journal_rows import Journal

__all__ = ["JournalRecipe"]

QUERIES = load_queries("projections.sql", "rebuild.sql")
PARTS = ("leg", "entry", "movement", "account", "wallet")


class JournalRecipe:
    """The journal's part of a rebuild."""

    projection = Journal()
    detach_query: LiteralString = "detach_journal"
    drop_query: LiteralString = "drop_journal"

    def build(self, building: Building) -> int:
        """Fill, key, analyze and attach a generation; return the number of events applied."""
        connection, generation = building.connection, building.generation
        run(connection, QUERIES["create_journal"], (generation,))
        filled = build_shares(building, fill)
        add_keys(building.url, generation)
        # Before the foreign keys: their check joins two tables that nothing is known of yet.
        for part in PARTS:
            table = sql.Identifier("projections", f"{part}_{generation}")
            connection.execute(sql.SQL(QUERIES["analyze"]).format(table=table))
        run(connection, QUERIES["attach_journal"], (generation,))
        advances = [advance for share in filled for advance in share.advances]
        begin_progress(connection, self.projection.name, generation, advances)
        return sum(share.events for share in filled)


def add_keys(url: str, generation: int) -> None:
    """Build the primary keys, the two large ones at the same time."""

    def add(parts: tuple[str, ...]) -> None:
        with closing(connect_projector(url, "rebuild", BUILDING_SETTINGS)) as connection:
            for part in parts:
                run(connection, QUERIES["add_journal_key"], (part, generation))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, (PARTS[:1], PARTS[1:])))
