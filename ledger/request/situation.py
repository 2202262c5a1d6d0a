"""What a decision about a request looks at beside the request itself."""

from collections.abc import Mapping

import msgspec

from ledger.catalog.state import Catalog
from ledger.core.amounts import Amount, StatedAmount, parse_amount
from ledger.wallet.state import WalletState
from ledger.workspace.budgets import Budgets
from ledger.workspace.pace import Pace
from ledger.workspace.state import WorkspaceState


class Situation(msgspec.Struct, frozen=True):
    """The moment of a decision: `now` is the recording, `happened_at` when it happened (microseconds).

    What happened in a closed period is posted later; prices and budgets are those of when it happened.
    """

    now: int
    happened_at: int
    catalog: Catalog
    workspace: WorkspaceState
    wallets: Mapping[str, WalletState]
    budgets: Budgets
    pace: Pace


def provider_cost(
    stated: StatedAmount | None, route: str, situation: Situation, field: str = "provider_cost"
) -> Amount | None:
    """Return what the provider billed for an attempt, in its own unit; None is unknown."""
    if stated is None:
        return None
    provider = situation.catalog.providers[situation.catalog.routes[route].provider]
    return parse_amount(stated, situation.catalog.units[provider.cost_unit], field, zero=True)
