"""Journal entries: legs in one bucket, by construction.

A leg moves a positive amount from its credit account to its debit account, so an entry cannot be out of
balance; and it has no bucket of its own, so an entry cannot touch two.
"""

import msgspec


class Leg(msgspec.Struct, frozen=True):
    """One movement: `minor` smallest parts, always positive."""

    debit_account: str
    credit_account: str
    minor: int

    def __post_init__(self) -> None:
        if self.minor <= 0:
            raise ValueError(f"a leg must be positive, not {self.minor}")
        if self.debit_account == self.credit_account:
            raise ValueError(f"a leg must name two accounts, not {self.debit_account} twice")


class Entry(msgspec.Struct, frozen=True):
    """What one event did to one bucket."""

    bucket: str
    legs: tuple[Leg, ...]


def make_entry(bucket: str, *legs: tuple[str, str, int]) -> Entry:
    """Return an entry of (debit account, credit account, minor) legs; legs of zero are left out."""
    # A list on the way: a generator takes longer than the legs themselves, millions of times.
    return Entry(bucket, tuple([Leg(debit, credit, minor) for debit, credit, minor in legs if minor]))


def account_movement(entry: Entry, account: str) -> int:
    """Return what an entry added to an account's debit less its credit, in smallest parts."""
    debit = sum(leg.minor for leg in entry.legs if leg.debit_account == account)
    credit = sum(leg.minor for leg in entry.legs if leg.credit_account == account)
    return debit - credit
