"""The journal for hledger: `hledger check --strict ordereddates balancednoautoconversion` proves it."""

import re
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.amounts import Unit, format_minor
from projections.exports.account_balances import Account, Balance
from projections.exports.dated_legs import DatedEntry
from projections.exports.plain_text import write_plain_text
from projections.exports.scope import BookSpan, Scope
from projections.exports.streaming import OnProgress
from projections.exports.wording import instant_text, legs_text, subject_of, word_of

__all__ = ["Hledger", "percent_encode", "write_hledger"]

UNSAFE = re.compile(r"[^A-Za-z0-9._:/@+-]")


def write_hledger(
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
    """Write a scope of the journal for hledger and return how many entries it had; see `write_plain_text`."""
    return write_plain_text(
        Hledger(), connection, generation, scope, spans, out, on_progress, made_at, checkpoint
    )  # fmt: skip


class Hledger:
    """hledger's syntax. That accounts hold one commodity only is said where they are closed, by `==`.

    Texts are written in ASCII, the rest of them percent-encoded: a comma or a line's end would end a tag, and what is
    not ASCII fails where the reader's locale is.
    """

    check = "hledger check --strict ordereddates balancednoautoconversion -f journal.hledger"

    def beginning(self, title: str, day: str, scales: Mapping[str, int]) -> str:
        """Return the commodities with all their digits, to which transactions must balance."""
        commodities = "".join(f"commodity {format_minor(1000 * 10**scale, scale)}{'.' * (scale == 0)} {unit}\n"
                              for unit, scale in scales.items())  # fmt: skip
        return f"decimal-mark .\n{commodities}\n"

    def account(self, day: str, account: Account) -> str:
        """Return a declaration with the account's own names as tags."""
        own = f", account:{percent_encode(account.account)}" if account.account else ""
        names = f"workspace:{percent_encode(account.workspace_id)}, bucket:{percent_encode(account.bucket)}{own}"
        return f"account {account.name}  ; {names}\n"

    def transaction(self, day: str, entry: DatedEntry, unit: Unit) -> str:
        """Return an entry as a transaction with its position as code, flagged `!` while it is only reserved."""
        postings, route, is_pending = legs_text(entry, unit)
        word, subject = word_of(entry), percent_encode(subject_of(entry))
        request = "" if entry.request_id is None else f", request:{subject}"
        on_route = "" if route is None else f", route:{percent_encode(route)}"
        flag = "!" if is_pending else "*"
        time, recorded = instant_text(entry.effective_at), ""
        if entry.recorded_at != entry.effective_at:
            recorded = f", recorded:{instant_text(entry.recorded_at)}"
        return (
            f"{day} {flag} ({entry.position}) {entry.workspace_id} | {word} {subject}  ; {word}:\n"
            f"  ; position:{entry.position}, event:{entry.tag}, command:{percent_encode(entry.command_id)}"
            f"{request}{on_route}, time:{time}{recorded}\n"
            f"  ; digest:{entry.digest.hex()}\n{postings}\n"
        )

    def opening(self, day: str, balances: Sequence[Balance]) -> str:
        """Return a transaction of all balances, which come to nothing together."""
        beside = balances[0].account
        postings = "".join(f"  {each.account.name}  {each.value} {each.account.unit.code}\n" for each in balances)
        return f"{day} * {beside.workspace_id} | opening {percent_encode(beside.bucket)}  ; opening:\n{postings}\n"

    def closing(self, day: str, balances: Sequence[Balance]) -> str:
        """Return a transaction that moves nothing and asserts that each account holds exactly this and nothing else."""
        beside = balances[0].account
        postings = []
        for each in balances:
            unit = each.account.unit
            nothing = format_minor(0, unit.scale)
            postings.append(f"  {each.account.name}  {nothing} {unit.code} == {each.value} {unit.code}\n")
        name = f"{beside.workspace_id} | closing {percent_encode(beside.bucket)}"
        return f"{day} * {name}  ; closing:\n{''.join(postings)}\n"


def percent_encode(text: str) -> str:
    """Return a text in letters, digits and `._:/@+-`, everything else as the bytes of UTF-8 after `%`."""
    if UNSAFE.search(text) is None:
        return text
    return UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), text)
