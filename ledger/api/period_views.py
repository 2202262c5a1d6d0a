"""The months that a book has closed, as a key may see them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ledger.api.answers import instant
from ledger.api.period_answers import AccountBalanceView, ClosingView, PeriodActView, PeriodsView, PeriodView
from ledger.api.views import unit_named
from ledger.catalog.state import Catalog
from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.amounts import state_amount
from ledger.events import Recorded
from ledger.service import Principal
from ledger.workspace.events import AccountBalance, PeriodClosed, PeriodReopened
from ledger.workspace.periods import open_from
from ledger.workspace.state import WorkspaceState, fold_workspace

OWN_ACCOUNTS = frozenset({WALLET_AVAILABLE, WALLET_HELD})
"""What a workspace's own key sees of a closing: the other accounts are the platform's business with it."""


def periods_view(
    workspace: WorkspaceState,
    events: Sequence[Recorded],
    of_platform: Sequence[Recorded],
    catalog: Catalog,
    principal: Principal,
) -> PeriodsView:
    """Return the months of a book from what closed and reopened them, and the platform's.

    The platform may have closed more than a young book has itself.
    """
    own, platform = (
        folded(WorkspaceState(workspace.workspace_id, 0, workspace.time_zone), each) for each in (events, of_platform)
    )
    opens = open_from(own, msgspec.structs.replace(catalog, closed_period=platform.closed_period))
    periods = periods_of(events, catalog, principal)
    return PeriodsView(own.workspace_id, own.time_zone, instant(opens) if opens else None, periods)


def folded(workspace: WorkspaceState, events: Iterable[Recorded]) -> WorkspaceState:
    """Return a workspace with the months that these events leave closed."""
    for recorded in events:
        event: Any = recorded.fact.event
        workspace = fold_workspace(workspace, event)
    return workspace


def periods_of(events: Iterable[Recorded], catalog: Catalog, principal: Principal) -> list[PeriodView]:
    """Return the months that events of a book have closed and reopened, the latest first."""
    periods: dict[str, PeriodView] = {}
    for recorded in events:
        fact = recorded.fact
        match fact.event:
            case PeriodClosed() as event:
                known = periods.get(event.period)
                closings = [] if known is None else known.closings
                balances = balances_view(event.balances, catalog, principal)
                made = ClosingView(len(closings) + 1, act_view(recorded, principal), None, balances)
                periods[event.period] = PeriodView(event.period, "closed", instant(event.until), [*closings, made])
            case PeriodReopened(period=period):
                known = periods[period]
                undone = msgspec.structs.replace(known.closings[-1], reopened=act_view(recorded, principal))
                periods[period] = msgspec.structs.replace(
                    known, status="reopened", closings=[*known.closings[:-1], undone]
                )
    return [period for _, period in sorted(periods.items(), reverse=True)]


def act_view(recorded: Recorded, principal: Principal) -> PeriodActView:
    """Return where an event stands, with its person's name and words for the platform."""
    fact = recorded.fact
    told = (fact.actor, fact.reason) if principal.is_platform else (None, None)
    return PeriodActView(recorded.position, instant(recorded.recorded_at), *told)


def balances_view(
    balances: Iterable[AccountBalance], catalog: Catalog, principal: Principal
) -> list[AccountBalanceView]:
    """Return balances in decimal text, for a workspace's own key those of its wallets."""
    codes: Mapping[str, str] = {name: bucket.unit for name, bucket in catalog.buckets.items()}
    return [
        AccountBalanceView(
            each.bucket,
            each.account,
            state_amount(each.balance_minor, unit_named(codes.get(each.bucket, each.bucket), catalog.units)),
        )
        for each in balances
        if principal.is_platform or each.account in OWN_ACCOUNTS
    ]
