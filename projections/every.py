"""All projections that there are: each is followed, rebuilt and shown."""

from projections.following import Projection
from projections.journal_rows import Journal
from projections.route_ledger.writing import RouteLedger

__all__ = ["every_projection"]


def every_projection() -> tuple[Projection, ...]:
    """Return one of each kind, by name."""
    return Journal(), RouteLedger()
