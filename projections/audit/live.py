"""What stands beside the events of a whole book, against what they come to: heads, balances, budgets, sums."""

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.events import CATALOG_STREAM, WORKSPACE_STREAM
from ledger.wallet.state import WalletState
from ledger.workspace.budgets import Budget
from projections.audit.findings import Findings
from projections.audit.holds import HeldByBucket, compare_holds
from projections.audit.reading import QUERIES
from projections.audit.sums import Sums, WalletFacts
from projections.comparing import (
    LiveBook,
    compare_budgets,
    compare_fields,
    compare_route_sums,
    compare_turnovers,
    credit_balance,
)
from projections.connections import run
from projections.live_books import read_accounts, read_decisions, read_route_ledger, rows_of
from projections.replaying import Turnovers

__all__ = ["compare_books"]


def compare_books(connection: Connection[TupleRow], generation: int, books: Sequence[tuple[Sums, Findings]]) -> None:
    """Compare whole books with everything that is stored beside their events."""
    names = [sums.workspace_id for sums, _ in books]
    live = {name: LiveBook() for name in names}
    rows = rows_of(connection, live)
    read_decisions(rows)
    read_accounts(rows)
    read_route_ledger(rows)
    journal_wallets = read_journal_wallets(connection, generation, names)
    findings = {sums.workspace_id: found for sums, found in books}
    held = compare_holds(connection, findings)
    for sums, found in books:
        book = live[sums.workspace_id]
        compare_head(book, sums, found)
        if sums.is_broken:
            # An event that cannot be applied is the finding; whatever else differs follows from it.
            continue
        compare_wallets(book, sums, found)
        compare_open(connection, held[sums.workspace_id], sums, found)
        budgets = {name: Budget(*amounts) for name, amounts in sums.budgets.items()}
        compare_budgets(book.budgets, budgets, found)
        compare_turnovers("account", book.accounts, sums.at_journal.turnovers, found)
        compare_journal_wallets(journal_wallets[sums.workspace_id], sums, found)
        compare_route_sums(book, sums.at_routes.turnovers, found)


def compare_head(live: LiveBook, sums: Sums, findings: Findings) -> None:
    """Compare where the book ends."""
    expected = {
        "position": sums.position,
        "digest": sums.digest.hex(),
        "recorded_at": sums.recorded_at,
        "workspace_version": sums.streams.get(WORKSPACE_STREAM, 0),
        "catalog_version": sums.streams.get(CATALOG_STREAM, 0),
    }
    for name, value in expected.items():
        found = live.digest.hex() if name == "digest" else getattr(live, name)
        if found != value and not (sums.is_broken and name.endswith("_version")):
            findings.report(f"book {name}", value, found)


def compare_wallets(live: LiveBook, sums: Sums, findings: Findings) -> None:
    """Compare wallets with what went through their two accounts, and with what events say of them."""
    turnovers = sums.at_end.turnovers
    expected = {bucket: wallet_of(bucket, facts, turnovers) for bucket, facts in sums.at_end.wallets.items()}
    compare_fields("wallet", live.wallets, expected, findings)


def wallet_of(bucket: str, facts: WalletFacts, turnovers: Turnovers) -> WalletState:
    """Return the wallet that events say: posted is what both accounts hold together."""
    held = credit_balance(turnovers, bucket, WALLET_HELD)
    posted = credit_balance(turnovers, bucket, WALLET_AVAILABLE) + held
    return WalletState(
        bucket, facts.unit or "", facts.scale or 0, posted, held, facts.credit_limit_minor or 0, bool(facts.frozen),
        facts.version,
    )  # fmt: skip


def compare_open(connection: Connection[TupleRow], held: HeldByBucket, sums: Sums, findings: Findings) -> None:
    """Compare how many holds there are, and what they come to, with the open requests."""
    amounts = {bucket: minor for bucket, minor in held.minor.items() if minor}
    expected = {
        bucket: minor
        for bucket, account in sums.at_end.turnovers
        if account == WALLET_HELD and (minor := credit_balance(sums.at_end.turnovers, bucket, account))
    }
    if held.holds == sums.open_requests and amounts == expected:
        return
    rows = run(connection, QUERIES["read_requests_without_hold"], (sums.workspace_id, 100)).fetchall()
    for stream, position in rows:
        findings.report(f"hold {stream.removeprefix('request/')}", "a hold", "nothing", position)
    if held.holds != sums.open_requests + held.strays - len(rows):
        findings.report("holds", sums.open_requests, held.holds)
    for bucket in sorted(amounts.keys() | expected.keys()):
        if amounts.get(bucket, 0) != expected.get(bucket, 0):
            findings.report(f"holds of {bucket}", expected.get(bucket, 0), amounts.get(bucket, 0))


def read_journal_wallets(
    connection: Connection[TupleRow], generation: int, names: list[str]
) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Return unit, scale and credit limit of the journal's wallets, by workspace and bucket."""
    wallets: dict[str, dict[str, tuple[Any, ...]]] = {name: {} for name in names}
    for name, bucket, *fields in run(connection, QUERIES["read_journal_wallets"], (names, generation)):
        wallets[name][bucket] = tuple(fields)
    return wallets


def compare_journal_wallets(live: dict[str, tuple[Any, ...]], sums: Sums, findings: Findings) -> None:
    """Compare the journal's wallets with the events, at the position that the journal has reached."""
    expected = {
        bucket: (facts.unit, facts.scale, facts.credit_limit_minor) for bucket, facts in sums.at_journal.wallets.items()
    }
    for bucket in sorted(live.keys() | expected.keys()):
        wanted, present = expected.get(bucket), live.get(bucket)
        for name, one, other in fields_of(wanted, present):
            if one != other:
                findings.report(f"journal wallet {bucket} {name}", one, other)


def fields_of(wanted: tuple[Any, ...] | None, present: tuple[Any, ...] | None) -> Iterator[tuple[str, object, object]]:
    """Yield name and both values of each field of a journal's wallet; nothing where one side has none."""
    nothing = ("nothing",) * 3
    yield from zip(("unit", "scale", "credit_limit_minor"), wanted or nothing, present or nothing, strict=True)
