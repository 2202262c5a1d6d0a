"""Requests of one week whose price was wrong, in two workspaces, and the card that puts it right."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from ledger.catalog.commands import PublishRateCard
from ledger.core.commands import Command
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.request.commands import CorrectCharge
from ledger.service import Ledger
from tests.integration.scenes import (
    ACME,
    RATES,
    catalog_commands,
    credit,
    do,
    fall_back,
    hold,
    record,
    refund,
    release,
    settle,
    workspace_commands,
)

FIRST = datetime(2025, 6, 9, tzinfo=UTC)
WEEK = {"from": "2025-06-09", "to": "2025-06-16"}
PERIOD = ("--from", WEEK["from"], "--to", WEEK["to"])
RIGHT = "direct.right"
"""Half of what was charged: 1000 tokens in and out are 0.006 units, not 0.012."""

REASON = "the list price was read wrongly"


def publish_right(name: str = RIGHT, rates: dict[str, str] | None = None) -> Command:
    """Return what publishes the corrected prices of the direct route, as a card of long ago."""
    valid_from = 1 + sum(map(ord, name))
    half = rates or {"uncached_input": "1", "text_output": "5"}
    return PublishRateCard(card=RateCard(name, "direct", "credit", valid_from, (ModelRates("*", half),), "corrected"))


def asked(request_id: str, days: float, workspace_id: str = ACME, route: str = "direct", **more: Any) -> list[Command]:
    """Return a request that began and was settled so many days after the week began."""
    at = FIRST + timedelta(days=days)
    own: dict[str, Any] = {"workspace_id": workspace_id, "route": route, "effective_at": at}
    return [hold(request_id, "3", **own), replace(settle(request_id, **own), **more)]


def tell_week(ledger: Ledger) -> None:
    """Record a week of two workspaces, with requests before and after it, of other routes, refunded and corrected."""
    record(ledger, catalog_commands())
    record(ledger, workspace_commands(ACME, time_zone="Asia/Shanghai"))
    record(ledger, workspace_commands("other"))
    record(ledger, [command for number in range(7) for command in asked(f"r-{number}", number + 0.5)])
    record(ledger, asked("r-before", -0.1) + asked("r-after", 7) + asked("r-other", 2, "other"))
    record(ledger, asked("r-cheap", 2, route="cheap"))
    record(ledger, asked("r-guess", 3, usage_source="estimated", charge_limit=credit("0.010")))
    record(ledger, asked("r-hand", 3) + asked("r-back", 3))
    own: dict[str, Any] = {"route": "own-price", "effective_at": FIRST}
    record(ledger, [hold("r-own", **own), replace(settle("r-own", **own), charge=credit("0.25"))])
    begun = FIRST + timedelta(days=1)
    record(ledger, [hold("r-late", effective_at=begun), release("r-late", effective_at=begun)])
    record(ledger, [settle("r-late", effective_at=FIRST + timedelta(days=9))])
    early = FIRST - timedelta(days=2)
    record(ledger, [hold("r-early", effective_at=early), release("r-early", effective_at=early)])
    record(ledger, [settle("r-early", effective_at=FIRST + timedelta(days=1))])
    moved = FIRST + timedelta(days=4)
    record(ledger, [hold("r-moved", effective_at=moved), fall_back("r-moved", "7", to_route="cheap")])
    record(ledger, [settle("r-moved", route="cheap", effective_at=moved), hold("r-open", effective_at=moved)])
    do(ledger, by_hand("r-hand", "-0.001"), refund("r-back", "0.011"), publish_right())


def by_hand(request_id: str, difference: str) -> Command:
    """Return what a person corrects a charge by."""
    return CorrectCharge(
        workspace_id=ACME, request_id=request_id, correction_id="hand", cause="mistake", difference=credit(difference),
        reason="miscounted",
    )  # fmt: skip


def same_prices() -> Command:
    """Return a card under which nothing changes."""
    return publish_right("direct.same", RATES)


BEGUN_IN_THE_WEEK = {
    *((ACME, f"r-{number}") for number in range(7)), (ACME, "r-guess"), (ACME, "r-hand"), (ACME, "r-back"),
    (ACME, "r-late"), ("other", "r-other"),
}  # fmt: skip
"""What a card of the direct route is about, by days of UTC."""
