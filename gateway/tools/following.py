"""Projections brought level with the books by a tool, where perhaps no server follows them."""

from contextlib import closing

from gateway.tools.failures import ToolFailed
from gateway.tools.voice import note
from projections.connections import connect_projector
from projections.followers import find_news, follow_group, groups_of, read_generation
from projections.following import Projection

__all__ = ["draw_level"]

EVENTS_PER_PAGE = 4000
MANY_EVENTS = 50_000
"""So many take seconds: it is said what is waited for."""


def draw_level(database: str, projection: Projection) -> None:
    """Follow what a projection does not have yet, where no server does it: each event counts once whoever does.

    What is recorded meanwhile is not waited for. Raises ToolFailed for a database that has no such projection.
    """
    name = projection.name.replace("_", " ")
    with closing(connect_projector(database, "tool")) as connection:
        try:
            generation = read_generation(connection, projection.name)
        except LookupError:
            raise ToolFailed(f"this database has no {name} yet: serve it once with this version") from None
        missing: int | None = None
        while news := find_news(connection, projection, generation):
            if missing is None:
                missing = sum(reached - followed for _, reached, followed in news)
                if missing >= MANY_EVENTS:
                    note(f"the {name} reads {missing:,} events that it does not have yet")
            groups = groups_of(news, EVENTS_PER_PAGE)
            applied = sum(follow_group(connection, projection, generation, group, EVENTS_PER_PAGE) for group in groups)
            missing -= applied
            if not applied or missing <= 0:
                return
