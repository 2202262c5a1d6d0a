"""What an export covers: whose books, which period, and how far each book goes."""

import msgspec

__all__ = ["BookSpan", "Scope", "WalletUnit"]


class Scope(msgspec.Struct, frozen=True):
    """Which entries an export has: of one workspace or of all, that happened within a period; None is no bound.

    Instants are microseconds since 1970. Days are those of `zone`; without one, of each workspace's own time zone.
    """

    workspace_id: str | None = None
    effective_from: int | None = None
    effective_before: int | None = None
    zone: str | None = None


class WalletUnit(msgspec.Struct, frozen=True):
    """What the amounts of one wallet are counted in."""

    bucket: str
    unit: str
    scale: int


class BookSpan(msgspec.Struct, frozen=True):
    """The part of a book that an export has: positions first to last, of a chain that reaches to `position`.

    `digest` is the one at `position`, `previous_digest` the one before `first_position`. Entries and legs are those
    of the scope's period; the wallets are sorted by bucket.
    """

    workspace_id: str
    first_position: int
    last_position: int
    position: int
    digest: bytes
    previous_digest: bytes
    time_zone: str
    wallets: tuple[WalletUnit, ...] = ()
    entries: int = 0
    legs: int = 0

    @property
    def events(self) -> int:
        """How many events the part has."""
        return self.last_position - self.first_position + 1
