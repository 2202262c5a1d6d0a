"""The time zone of a book, which its first event states. Pure."""

from functools import lru_cache

from ledger.events import decode_fact
from ledger.workspace.events import WorkspaceCreated

__all__ = ["ZONE_DEFAULT", "zone_of_book"]

ZONE_DEFAULT = "UTC"


def zone_of_book(beginning: bytes | None) -> str:
    """Return the time zone in which a book's days begin, by its first event as it is stored; None without any."""
    return ZONE_DEFAULT if beginning is None else decoded_zone(bytes(beginning))


@lru_cache(maxsize=65_536)
def decoded_zone(state: bytes) -> str:
    """Return the time zone that a stored event states. Books that begin alike are decoded once."""
    event = decode_fact(state).event
    return event.time_zone if isinstance(event, WorkspaceCreated) else ZONE_DEFAULT
