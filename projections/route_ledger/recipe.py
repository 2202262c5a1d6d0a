"""How the route ledger is built anew: followed from the first event on, in large pages, unseen until it is level."""

from contextlib import closing
from typing import LiteralString

from psycopg import sql

from ledger.store.queries import load_queries
from projections.building import Book, Building, OnEvents, begin_progress, build_shares
from projections.collecting import rare_collections
from projections.connections import connect_projector, run
from projections.followers import follow_group, groups_of
from projections.following import Advance
from projections.route_ledger.writing import RouteLedger

__all__ = ["RouteLedgerRecipe"]

QUERIES = load_queries("projections.sql", "rebuild.sql")
PARTS = ("request", "spend_cell", "spend", "spend_line")
EVENTS_PER_PAGE = 16_000
"""Many, so that most requests begin and end in one page and are written once."""


class RouteLedgerRecipe:
    """The route ledger's part of a rebuild."""

    projection = RouteLedger()
    detach_query: LiteralString = "detach_route_ledger"
    drop_query: LiteralString = "drop_route_ledger"

    def build(self, building: Building) -> int:
        """Follow all books into a generation of their own; return the number of events applied."""
        connection, generation = building.connection, building.generation
        run(connection, QUERIES["create_route_ledger"], (generation,))
        advances = [Advance(name, 0, 0) for name, _ in building.books]
        begin_progress(connection, self.projection.name, generation, advances)
        events = sum(build_shares(building, follow_books))
        for part in PARTS:
            table = sql.Identifier("projections", f"{part}_{generation}")
            connection.execute(sql.SQL(QUERIES["analyze"]).format(table=table))
        return events


def follow_books(url: str, generation: int, books: list[Book], on_events: OnEvents) -> int:
    """Follow books as far as they had come, and return the number of events applied."""
    applied = 0
    news = [(name, position, 0) for name, position in books]
    with rare_collections(), closing(connect_projector(url, "rebuild")) as connection:
        for group in groups_of(news, EVENTS_PER_PAGE):
            # A book with more than a page is a group of its own, and is claimed until it is level or stands still.
            while advanced := follow_group(connection, RouteLedger(), generation, group, EVENTS_PER_PAGE):
                applied += advanced
                on_events(advanced)
    return applied
