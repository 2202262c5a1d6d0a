"""Live rows against a replayed book: every field, both ways, and the identities between accounts and wallets."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.request.state import RequestState
from ledger.wallet.state import WalletState
from ledger.workspace.budgets import Budget
from projections.replaying import BookReplay, Turnovers

__all__ = [
    "Balances", "LiveBook", "LiveHold", "Reporter", "as_hold", "compare", "compare_budgets", "compare_fields",
    "compare_route_sums", "compare_turnovers", "credit_balance",
]  # fmt: skip

Balances = dict[tuple[str, str], int]
"""Debit less credit by (bucket, account), in smallest parts."""

OF_REQUESTS = ("revenue.", "overrun.", "refunds.")


class Reporter(Protocol):
    """Whoever wants to hear of differences."""

    def report(self, what: str, expected: object, found: object) -> None:
        """Note a difference by its name: what it must be, and what was found."""


class LiveHold(msgspec.Struct, frozen=True):
    """An open request as its row has it."""

    bucket: str
    held_minor: int
    expires_at: int
    budgets: tuple[str, ...]
    state: RequestState | None


class LiveBook(msgspec.Struct):
    """What the write side, the journal and the route ledger have of one book, read in one snapshot.

    `request_balances` and `spend_balances` are what the accounts must be in debt by, as the rows of requests and of
    spend say.
    """

    position: int = 0
    digest: bytes = b""
    recorded_at: int = 0
    workspace_version: int = 0
    catalog_version: int = 0
    wallets: dict[str, WalletState] = {}
    holds: dict[str, LiveHold] = {}
    budgets: dict[str, Budget] = {}
    journal_position: int = 0
    accounts: Turnovers = {}
    leg_sums: Turnovers = {}
    route_position: int = 0
    request_balances: Balances = {}
    spend_balances: Balances = {}


def compare(live: LiveBook, replay: BookReplay) -> None:
    """Report every difference between what is live of a book and its replay."""
    compare_head(live, replay)
    if replay.is_broken:
        # An event that cannot be applied is the difference; whatever else differs follows from it.
        return
    state = replay.state
    compare_fields("wallet", live.wallets, state.wallets, replay)
    holds = {name: as_hold(request) for name, request in state.requests.items()}
    compare_fields("hold", live.holds, holds, replay)
    compare_budgets(live.budgets, state.budgets, replay)
    compare_identities(replay)
    compare_accounts(live, replay)
    compare_routes(live, replay)


def compare_head(live: LiveBook, replay: BookReplay) -> None:
    """Compare where the book ends."""
    workspace_version, catalog_version = replay.stream_versions
    expected = {
        "position": replay.state.position,
        "digest": replay.digest.hex(),
        "recorded_at": replay.state.recorded_at,
        "workspace_version": workspace_version,
        "catalog_version": catalog_version,
    }
    for name, value in expected.items():
        found = live.digest.hex() if name == "digest" else getattr(live, name)
        if found != value and not (replay.is_broken and name.endswith("_version")):
            replay.report(f"book {name}", value, found)


def as_hold(request: RequestState) -> LiveHold:
    """Return the row that an open request must have."""
    return LiveHold(request.bucket, request.held_minor, request.expires_at, request.budgets, request)


def compare_fields(what: str, live: Mapping[str, Any], folded: Mapping[str, Any], reporter: Reporter) -> None:
    """Compare structs by name, field by field; report those that only one side has."""
    if live == folded:
        return
    for name in sorted(live.keys() | folded.keys()):
        expected, found = folded.get(name), live.get(name)
        if expected is None or found is None:
            reporter.report(f"{what} {name}", presence(expected), presence(found))
            continue
        for field in expected.__struct_fields__:
            wanted, present = getattr(expected, field), getattr(found, field)
            if wanted == present:
                continue
            if isinstance(wanted, RequestState) and isinstance(present, RequestState):
                compare_fields(f"{what} {name}", {field: present}, {field: wanted}, reporter)
            else:
                reporter.report(f"{what} {name} {field}", wanted, present)


def presence(value: object) -> str:
    """Return how a difference names a thing that one side does not have."""
    return "nothing" if value is None else str(value)


def compare_budgets(live: Mapping[str, Budget], folded: Mapping[str, Budget], reporter: Reporter) -> None:
    """Compare budgets; one without a row is one that nothing was counted in."""
    for name in sorted(live.keys() | folded.keys()):
        compare_fields("budget", {name: live.get(name, Budget())}, {name: folded.get(name, Budget())}, reporter)


def compare_identities(replay: BookReplay) -> None:
    """Check that the wallet's two accounts say what the wallet says, and held what the open holds say."""
    open_minor: dict[str, int] = {}
    for request in replay.state.requests.values():
        open_minor[request.bucket] = open_minor.get(request.bucket, 0) + request.held_minor
    turnovers = replay.turnovers
    for bucket, wallet in replay.state.wallets.items():
        available = credit_balance(turnovers, bucket, WALLET_AVAILABLE)
        if available != wallet.posted_minor - wallet.held_minor:
            expected = wallet.posted_minor - wallet.held_minor
            replay.report(f"identity {bucket} {WALLET_AVAILABLE} = posted − held", expected, available)
        held = credit_balance(turnovers, bucket, WALLET_HELD)
        if not held == wallet.held_minor == open_minor.get(bucket, 0):
            replay.report(f"identity {bucket} {WALLET_HELD} = open holds", open_minor.get(bucket, 0), held)


def credit_balance(turnovers: Turnovers, bucket: str, account: str) -> int:
    """Return an account's credit less its debit."""
    debit, credit = turnovers.get((bucket, account), (0, 0))
    return credit - debit


def compare_accounts(live: LiveBook, replay: BookReplay) -> None:
    """Compare the journal with the accounts as they were at the position that the journal has reached."""
    if live.journal_position > live.position:
        replay.report("journal position", f"at most {live.position}", live.journal_position)
    folded = replay.turnovers_at.get(live.journal_position, {})
    for what, rows in (("account", live.accounts), ("legs of account", live.leg_sums)):
        compare_turnovers(what, rows, folded, replay)


def compare_turnovers(what: str, live: Turnovers, folded: Turnovers, reporter: Reporter) -> None:
    """Report every account through which something else has gone than must have."""
    for bucket, account in sorted(live.keys() | folded.keys()):
        expected, found = folded.get((bucket, account), [0, 0]), live.get((bucket, account), [0, 0])
        for side, wanted, present in zip(("debit_minor", "credit_minor"), expected, found, strict=True):
            if wanted != present:
                reporter.report(f"{what} {bucket} {account} {side}", wanted, present)


def compare_routes(live: LiveBook, replay: BookReplay) -> None:
    """Compare what requests and spend add up to with the accounts at the position that the route ledger has reached."""
    if live.route_position > live.position:
        replay.report("route ledger position", f"at most {live.position}", live.route_position)
    compare_route_sums(live, replay.turnovers_at.get(live.route_position, {}), replay)


def compare_route_sums(live: LiveBook, folded: Turnovers, reporter: Reporter) -> None:
    """Compare what requests and spend add up to with what had gone through the accounts of their routes."""
    balances = {account: debit - credit for account, (debit, credit) in folded.items() if debit != credit}
    of_routes = {account: minor for account, minor in balances.items() if account[1].startswith(OF_REQUESTS)}
    held = {account: minor for account, minor in balances.items() if account[1] == WALLET_HELD}
    compare_balances("requests of", of_routes | held, live.request_balances, reporter)
    compare_balances("spend of", of_routes, live.spend_balances, reporter)


def compare_balances(what: str, expected: Balances, found: Balances, reporter: Reporter) -> None:
    """Report every account that is in debt by something else than it must be."""
    for bucket, account in sorted(expected.keys() | found.keys()):
        wanted, present = (balances.get((bucket, account), 0) for balances in (expected, found))
        if wanted != present:
            reporter.report(f"{what} {bucket} {account}", wanted, present)
