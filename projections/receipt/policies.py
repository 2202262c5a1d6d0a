"""Events of a request → the policies that had a say in it, each with a sentence. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ledger.core.amounts import Unit, state_amount
from ledger.events import Fact
from ledger.request import events
from projections.receipt.answers import AppliedPolicy
from projections.receipt.words import POLICIES, of, said

CHARGE_LIMIT = "charge_limit"
"""Told to the platform alone: to a customer all that is not taken is waived, whatever the reason."""

WALLET_CHANGE = "wallet_change"
SPEND_LIMIT = "spend_limit"
SETTLEMENT = frozenset(POLICIES)
"""How the counts of an answer came about, as the settlement says it."""

OWNERS = {"key": "API key", "project": "project"}


def policies_of(facts: Sequence[Fact], units: Mapping[str, Unit]) -> list[AppliedPolicy]:
    """Return the policies that applied, in order: of the wallet, of spend limits, of the settlement."""
    happened = [fact.event for fact in facts]
    moves = [each for each in happened if isinstance(each, events.FallbackTaken)]
    found = [*wallet_changes(moves), *spend_limits(happened)]
    for event in happened:
        if isinstance(event, events.TokensSettled):
            found += settlement_policies(event, units)
    return found


def wallet_changes(moves: Iterable[events.FallbackTaken]) -> Iterator[AppliedPolicy]:
    """Yield what let another wallet pay: without it the ledger refuses such a move."""
    for move in moves:
        if move.from_bucket != move.to_bucket:
            text = f"Both the model and the API key allow the {move.to_bucket} wallet to pay instead of "
            yield AppliedPolicy(WALLET_CHANGE, f"{text}the {move.from_bucket} wallet.")


def spend_limits(happened: Iterable[object]) -> Iterator[AppliedPolicy]:
    """Yield each spend limit that the request counted against."""
    named = (name for event in happened for name in getattr(event, "budgets", ()))
    for name in dict.fromkeys(named):
        kind, _, rest = name.partition("/")
        owner, bucket, period, begun = rest.rsplit("/", 3)
        when = f"on {begun}" if period == "day" else f"in {begun}"
        text = f"It counts against what {OWNERS[kind]} {owner} may spend of the {bucket} wallet {when}."
        yield AppliedPolicy(SPEND_LIMIT, text)


def settlement_policies(event: events.TokensSettled, units: Mapping[str, Unit]) -> Iterator[AppliedPolicy]:
    """Yield how the counts came about, and the most that was to be charged for them."""
    if event.policy is not None:
        yield AppliedPolicy(event.policy, said(POLICIES, event.policy))
    if event.charge_limit_minor is not None:
        limit = state_amount(event.charge_limit_minor, units[event.bucket])
        yield AppliedPolicy(CHARGE_LIMIT, f"At most {of(limit)} were to be charged.")
