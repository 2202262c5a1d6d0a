"""Reading an export in plain text again, whichever program it is for: dates and postings look the same in both."""

import re
from collections.abc import Iterator

import msgspec

from projections.exports.account_names import OPENING_BALANCES, read_account

POSTING = re.compile(r"  ([A-Z][A-Za-z]+(?::[A-Z0-9][A-Za-z0-9-]*)+)  (-?\d+(?:\.\d+)?) ([A-Z]{2,24})")
BEGINNING = re.compile(r"(\d{4}-\d\d-\d\d) ([*!]) ")
CLOSING = re.compile(r"(?:[0-9-]+ balance| ) (\S+)  (?:[0.]+ [A-Z]+ == )?(-?\d+(?:\.\d+)?) (?:~ 0 )?[A-Z]+")
POSITION = re.compile(r"\bposition: ?(\d+)")


class Posting(msgspec.Struct, frozen=True):
    """A posting on a line (counted from 0) of the file."""

    line: int
    account: str
    value: str
    unit: str

    @property
    def minor(self) -> int:
        """Smallest parts, debit positive."""
        return int(self.value.replace(".", ""))


class Transaction(msgspec.Struct, frozen=True):
    """A transaction that moves something, from its first line to the one after its last. An opening has no position."""

    first: int
    after: int
    day: str
    flag: str
    position: int | None
    postings: list[Posting]


def transactions_of(text: str) -> Iterator[Transaction]:
    """Yield the transactions of a file: paragraphs that begin with a date and have postings."""
    lines = text.split("\n")
    ends = [number for number, line in enumerate(lines) if not line]
    for before, after in zip([-1, *ends], ends, strict=False):
        first = before + 1
        beginning = BEGINNING.match(lines[first])
        found = [(number, POSTING.fullmatch(lines[number])) for number in range(first, after)]
        postings = [Posting(number, *match.groups()) for number, match in found if match is not None]
        if beginning and postings:
            position = POSITION.search("\n".join(lines[first:after]))
            yield Transaction(
                first, after, beginning[1], beginning[2], int(position[1]) if position else None, postings
            )


def legs_of(text: str) -> list[tuple[str, str, int, int, str, str, int]]:
    """Return the legs of a file: workspace, bucket, position, number, debit account, credit account, smallest parts.

    Fails where two postings are no leg: debit first, the same amount on both sides, within one bucket.
    """
    legs = []
    for transaction in transactions_of(text):
        if transaction.position is None:
            continue
        for number, (debit, credit) in enumerate(pairs_of(transaction.postings), 1):
            workspace_id, bucket, debit_account = read_account(debit.account)
            *of_credit, credit_account = read_account(credit.account)
            assert of_credit == [workspace_id, bucket]
            assert debit.minor == -credit.minor > 0
            assert debit.unit == credit.unit
            legs.append(
                (workspace_id, bucket, transaction.position, number, debit_account, credit_account, debit.minor)
            )
    return legs


def pairs_of(postings: list[Posting]) -> list[tuple[Posting, Posting]]:
    """Return postings two by two."""
    return list(zip(postings[::2], postings[1::2], strict=True))


def openings_of(text: str) -> dict[tuple[str, str, str], int]:
    """Return what accounts are brought in with, and nothing of what they are brought in against."""
    return {
        read_account(posting.account): posting.minor
        for transaction in transactions_of(text)
        if transaction.position is None
        for posting in transaction.postings
        if not posting.account.startswith(OPENING_BALANCES)
    }


def closings_of(text: str) -> dict[tuple[str, str, str], int]:
    """Return what is asserted of accounts at the end, and nothing of those that balances are brought in against."""
    found = [match for line in text.split("\n") if (match := CLOSING.fullmatch(line))]
    return {
        read_account(match[1]): int(match[2].replace(".", ""))
        for match in found
        if not match[1].startswith(OPENING_BALANCES)
    }
