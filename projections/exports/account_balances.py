"""The accounts of an export in plain text, and what they held before its period and hold at its end.

Balances come from the movements, as everywhere on the read side, and never from the entries that are exported.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.amounts import Unit, format_minor
from projections.balances.moments import AsOf
from projections.balances.summing import read_turnovers
from projections.exports.account_names import account_name, opening_account
from projections.exports.scope import BookSpan, Scope

__all__ = ["Account", "Balance", "BalanceReader"]


class Account(msgspec.Struct, frozen=True):
    """An account as a file names it, with its names in the ledger and the only unit that it may hold.

    `account` is empty for the one that opening balances are brought in against: it is in no book.
    """

    name: str
    workspace_id: str
    bucket: str
    account: str
    unit: Unit


class Balance(msgspec.Struct, frozen=True):
    """What an account holds, debit less credit in smallest parts."""

    account: Account
    minor: int

    @property
    def value(self) -> str:
        """The balance at full scale."""
        return format_minor(self.minor, self.account.unit.scale)


class BalanceReader:
    """Reads the balances of the books of a scope, one book at a time: there may be more than fit in memory."""

    def __init__(
        self,
        connection: Connection[TupleRow],
        generation: int,
        scope: Scope,
        spans: Sequence[BookSpan],
        units: dict[tuple[str, str], Unit],
    ) -> None:
        self._connection = connection
        self._generation = generation
        self._effective_from, self._effective_before = scope.effective_from, scope.effective_before
        self._spans = spans
        self._units = units

    def openings(self) -> Iterator[list[Balance]]:
        """Yield, for each bucket, what accounts held when the period began, and what they were brought in against."""
        if self._effective_from is None:
            return
        for span in self._spans:
            for balances in self._read(span, self._effective_from):
                if held := [balance for balance in balances if balance.minor]:
                    own = self._opening_account(held[0].account)
                    yield [*held, Balance(own, -sum(balance.minor for balance in held))]

    def closings(self) -> Iterator[list[Balance]]:
        """Yield, for each bucket, what each of its accounts holds at the end, all that ever moved."""
        for span in self._spans:
            for balances in self._read(span, self._effective_before):
                if self._effective_from is not None:
                    yield [*balances, Balance(self._opening_account(balances[0].account), 0)]
                else:
                    yield balances

    def accounts(self) -> Iterator[Account]:
        """Yield every account that the file names."""
        for balances in self.closings():
            for balance in balances:
                yield balance.account

    def _read(self, span: BookSpan, before: int | None) -> Iterator[list[Balance]]:
        """Yield the balances of a book before an instant, bucket by bucket, in the order of names."""
        as_of = AsOf(position=span.position, effective_before=before)
        turnovers = read_turnovers(self._connection, self._generation, span.workspace_id, as_of)
        moved = sorted(item for item in turnovers.items() if any(item[1]))
        for bucket, accounts in groupby(moved, lambda item: item[0][0]):
            unit = self._units[span.workspace_id, bucket]
            yield [
                Balance(
                    Account(account_name(span.workspace_id, bucket, account), span.workspace_id, bucket, account, unit),
                    debit_minor - credit_minor,
                )
                for (_, account), (debit_minor, credit_minor) in accounts
            ]

    @staticmethod
    def _opening_account(beside: Account) -> Account:
        name = opening_account(beside.workspace_id, beside.bucket)
        return Account(name, beside.workspace_id, beside.bucket, "", beside.unit)
