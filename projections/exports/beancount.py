"""The journal for Beancount: `bean-check` proves it, and Fava shows it."""

import re
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.amounts import Unit
from projections.exports.account_balances import Account, Balance
from projections.exports.account_names import link_name
from projections.exports.dated_legs import DatedEntry
from projections.exports.plain_text import write_plain_text
from projections.exports.scope import BookSpan, Scope
from projections.exports.streaming import OnProgress
from projections.exports.wording import instant_text, legs_text, subject_of, word_of

__all__ = ["Beancount", "quote", "write_beancount"]

UNQUOTABLE = re.compile(r'[\\"\x00-\x1f\x7f]')
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\f": "\\f", "\b": "\\b"}


def write_beancount(
    connection: Connection[TupleRow],
    generation: int,
    scope: Scope,
    spans: Sequence[BookSpan],
    out: BinaryIO,
    on_progress: OnProgress,
    *,
    made_at: int | None = None,
    checkpoint: str | None = None,
) -> int:
    """Write a scope of the journal for Beancount and return how many entries it had; see `write_plain_text`."""
    return write_plain_text(
        Beancount(), connection, generation, scope, spans, out, on_progress, made_at, checkpoint
    )  # fmt: skip


class Beancount:
    """Beancount's syntax. An account holds its own currency only; there is never a price, which it would believe."""

    check = "bean-check journal.beancount"

    def beginning(self, title: str, day: str, scales: Mapping[str, int]) -> str:
        """Return options, and the commodities with the digits that Fava shows."""
        options = "".join(f'option "operating_currency" "{unit}"\n' for unit in scales)
        commodities = "".join(f"{day} commodity {unit}\n  precision: {scale}\n" for unit, scale in scales.items())
        return f'option "title" {quote(title)}\n{options}\n{commodities}\n'

    def account(self, day: str, account: Account) -> str:
        """Return an `open` with the account's own names."""
        own = f"  account: {quote(account.account)}\n" if account.account else ""
        return (
            f"{day} open {account.name} {account.unit.code}\n"
            f"  workspace: {quote(account.workspace_id)}\n  bucket: {quote(account.bucket)}\n{own}"
        )

    def transaction(self, day: str, entry: DatedEntry, unit: Unit) -> str:
        """Return an entry as a transaction, flagged `!` while it is only reserved, linked by its request."""
        workspace_id, request_id = entry.workspace_id, entry.request_id
        postings, route, is_pending = legs_text(entry, unit)
        word, subject = word_of(entry), quote(subject_of(entry))
        link = "" if request_id is None else f" ^{link_name(workspace_id, request_id)}"
        request = "" if request_id is None else f"  request: {subject}\n"
        on_route = "" if route is None else f"  route: {quote(route)}\n"
        flag = "!" if is_pending else "*"
        time, recorded = instant_text(entry.effective_at), ""
        if entry.recorded_at != entry.effective_at:
            recorded = f'  recorded: "{instant_text(entry.recorded_at)}"\n'
        return (
            f'{day} {flag} {quote(workspace_id)} "{word} {subject[1:]} #{word}{link}\n'
            f"  position: {entry.position}\n"
            f'  event: "{entry.tag}"\n'
            f"  command: {quote(entry.command_id)}\n"
            f'{request}{on_route}  time: "{time}"\n'
            f'{recorded}  digest: "{entry.digest.hex()}"\n{postings}\n'
        )

    def opening(self, day: str, balances: Sequence[Balance]) -> str:
        """Return a transaction of all balances, which come to nothing together."""
        beside = balances[0].account
        postings = "".join(f"  {each.account.name}  {each.value} {each.account.unit.code}\n" for each in balances)
        return f"{day} * {quote(beside.workspace_id)} {quote(f'opening {beside.bucket}')} #opening\n{postings}\n"

    def closing(self, day: str, balances: Sequence[Balance]) -> str:
        """Return assertions without any tolerance, as of the beginning of a day."""
        return "".join(
            f"{day} balance {each.account.name}  {each.value} ~ 0 {each.account.unit.code}\n" for each in balances
        )


def quote(text: str) -> str:
    """Return a text as a string on one line."""
    if UNQUOTABLE.search(text) is None:
        return f'"{text}"'
    return f'"{UNQUOTABLE.sub(lambda found: ESCAPES.get(found.group(), found.group()), text)}"'
