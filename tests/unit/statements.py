"""Statements, tie-outs and margins without a database: what a world's facts, entries and rows would be read as."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.amounts import Unit
from ledger.events import TAGS, Fact
from ledger.posting_rules import post
from projections.funding.found import AccountFound, FundingFound, events_found
from projections.margin.found import MarginFound, MarginSums, plus_sums
from projections.route_ledger.spending import SpendCell, Spending, Sums
from projections.spend.asking import PeriodAsked
from projections.statements.answers import Statement
from projections.statements.asking import Month, month_of
from projections.statements.found import BalanceFound, ChargesFound, PlacedFact, StatementFound
from projections.statements.funds import FUNDS_TAGS
from projections.statements.telling import MOVED_WORDS, PERIOD_TAGS, statement_of
from tests.unit.story import ACME, ZONE
from tests.unit.world import NOW, SECOND, World

UNITS = {"credit": Unit("CREDIT", 6), "rmb": Unit("CNY", 6), "points": Unit("POINT", 0)}
WALLET = (WALLET_AVAILABLE, WALLET_HELD)


def facts_of(world: World, workspace_id: str = ACME) -> list[PlacedFact]:
    """Return a book's facts in order; each was recorded a second after the one before."""
    return [
        PlacedFact(
            done.position, done.stream, TAGS[type(done.fact.event)], NOW + done.position * SECOND, done.fact
        )
        for (name, _), done in world.recorded.items()
        if name == workspace_id
    ]  # fmt: skip


def statement_in(world: World, spending: Spending, bucket: str, month_name: str) -> Statement:
    """Return a wallet's statement of a month as the world's facts and a route ledger's spend make it."""
    month = month_of(month_name, ZONE)
    return statement_of(ACME, bucket, month, statement_found(world, spending, bucket, month))


def statement_found(world: World, spending: Spending, bucket: str, month: Month) -> StatementFound:
    """Return what would be read for a statement: balances by entries, charges by spend, funds by facts."""
    facts = facts_of(world)
    tags = {*FUNDS_TAGS, *PERIOD_TAGS}
    moved = [
        placed
        for placed in facts
        if placed.fact.served_at is not None and placed.fact.effective_at == month.begin
        if placed.tag in MOVED_WORDS and any(entry.bucket == bucket for entry in post(placed.fact.event))
    ]
    return StatementFound(
        position=len(facts),
        events_behind=0,
        units=UNITS,
        opening=balance_before(world, bucket, month.begin),
        closing=balance_before(world, bucket, month.end),
        charges=list(charges_in(spending, bucket, month)),
        facts=[placed for placed in facts if placed.tag in tags],
        moved=moved,
    )


def balance_before(world: World, bucket: str, instant: int) -> BalanceFound:
    """Return a wallet's balance by all entries that are effective before an instant."""
    sums: defaultdict[str, int] = defaultdict(int)
    for posted in world.posted:
        if posted.workspace_id == ACME and posted.effective_at < instant:
            for change in posted.changes:
                if change.bucket == bucket:
                    sums[change.account] -= change.balance_minor
    return BalanceFound(sums[WALLET_AVAILABLE] + sums[WALLET_HELD], sums[WALLET_HELD])


def charges_in(spending: Spending, bucket: str, month: Month) -> Iterator[ChargesFound]:
    """Yield what spend has of a bucket in a month, by project and model."""
    found: dict[tuple[str, str], list[Sums]] = {}
    for cell, sums in within(spending, month.begin, month.end):
        if cell.bucket == bucket:
            found.setdefault((cell.project_id, cell.model), []).append(sums)
    for (project, model), all_sums in found.items():
        yield ChargesFound(
            project,
            model,
            *(
                sum(getattr(sums, name) for sums in all_sums)
                for name in (
                    "settled", "input_tokens", "output_tokens", "charge_minor", "overrun_minor", "corrected_minor",
                    "undone_minor", "refunded_minor",
                )
            ),
        )  # fmt: skip


def within(spending: Spending, begin: int, end: int) -> Iterator[tuple[SpendCell, Sums]]:
    """Yield what was spent in a period."""
    return ((cell, sums) for (quarter, cell), sums in spending.items() if begin <= quarter < end)


def months_of(world: World) -> list[str]:
    """Return the months, in the story's time zone, from the first to the last one in which anything was posted."""
    instants = [posted.effective_at for posted in world.posted if posted.workspace_id == ACME]
    names: list[str] = []
    year, number = 2026, 1
    while not names or month_of(names[-1], ZONE).end <= max(instants):
        name = f"{year}-{number:02d}"
        if month_of(name, ZONE).end > min(instants):
            names.append(name)
        year, number = year + number // 12, number % 12 + 1
    return names


def funding_in(world: World, period: PeriodAsked) -> FundingFound:
    """Return what would be read for the funding tie-out of the story's workspace."""
    accounts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for posted in world.posted:
        for change in posted.changes:
            if posted.workspace_id == ACME and change.account.startswith("funding."):
                sums = accounts[change.bucket, change.account]
                side = 0 if change.balance_minor > 0 else 1
                if posted.effective_at < period.begin:
                    sums[side] += abs(change.balance_minor)
                if posted.effective_at < period.end:
                    sums[2 + side] += abs(change.balance_minor)
    facts: Iterable[tuple[str, int, Fact]] = ((ACME, placed.position, placed.fact) for placed in facts_of(world))
    return FundingFound(
        position=len(facts_of(world)),
        books=1,
        events_behind=0,
        accounts=[AccountFound(ACME, *name, *sums) for name, sums in sorted(accounts.items())],
        events=list(events_found(facts)),
    )


def margin_in(spending: Spending, begin: int, end: int) -> list[MarginFound]:
    """Return what would be read for the margins of a period."""
    found: dict[tuple[str, str, str | None, str | None], MarginSums] = {}
    for cell, sums in within(spending, begin, end):
        card = cell.rate_card
        if card is None and cell.reported_model is None and cell.route == cell.first_route:
            card = cell.first_rate_card
        key = (cell.bucket, cell.route, cell.cost_unit, card)
        more = MarginSums(
            sums.settled, sums.failed_attempts, sums.charge_minor, sums.overrun_minor, sums.corrected_minor,
            sums.undone_minor, sums.refunded_minor, sums.cost_minor, sums.waste_minor, sums.without_cost,
            sums.waste_unknown,
        )  # fmt: skip
        found[key] = plus_sums(found.get(key, MarginSums()), more)
    return [MarginFound(*key, sums) for key, sums in found.items() if sums != MarginSums()]
