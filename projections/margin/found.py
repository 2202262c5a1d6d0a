"""What a margin is made of: sums of the route ledger by route, bucket, unit of the bill and rate card. Pure."""

import msgspec

__all__ = ["MarginFound", "MarginSums", "plus_sums"]


class MarginSums(msgspec.Struct, frozen=True, array_like=True):
    """Counts and amounts, in the order in which the statement brings them.

    Charges are in smallest parts of the bucket's unit, costs in those of the provider's.
    """

    requests: int = 0
    failed_attempts: int = 0
    charge_minor: int = 0
    overrun_minor: int = 0
    corrected_minor: int = 0
    undone_minor: int = 0
    refunded_minor: int = 0
    cost_minor: int = 0
    waste_minor: int = 0
    without_cost: int = 0
    waste_unknown: int = 0

    @property
    def owed_minor(self) -> int:
        """What customers owe: charged and corrected, less refunds."""
        return self.charge_minor + self.corrected_minor - self.refunded_minor

    @property
    def unpaid_minor(self) -> int:
        """What of that no balance has paid."""
        return self.overrun_minor - self.undone_minor


class MarginFound(msgspec.Struct, frozen=True):
    """The sums of what one rate card has priced on one route; the unit is that of the bills, None where none is known.

    Attempts that failed on the route that a request was routed to at first are with the card that it was routed under.
    """

    bucket: str
    route: str
    cost_unit: str | None
    rate_card: str | None
    sums: MarginSums


def plus_sums(left: MarginSums, right: MarginSums) -> MarginSums:
    """Return two sums of the same route, bucket and unit of bills as one."""
    added = zip(msgspec.structs.astuple(left), msgspec.structs.astuple(right), strict=True)
    return MarginSums(*(mine + other for mine, other in added))
