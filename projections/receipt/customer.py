"""The receipt as a workspace sees it: the same less cost, providers, our accounts there, overrun and price sources."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

from msgspec.structs import replace

from ledger.core.amounts import StatedAmount
from projections.receipt.answers import (
    Choice,
    CustomerReceipt,
    Receipt,
    Settlement,
    SkippedCandidate,
    TokensUsed,
    WalletEntry,
)
from projections.receipt.moments import (
    AnyMoment,
    AttemptFailedMoment,
    CorrectedMoment,
    FallbackMoment,
    HoldExtendedMoment,
    InBucket,
    SettledMoment,
)
from projections.receipt.policies import CHARGE_LIMIT
from projections.receipt.summary import settlement_text, summary_of
from projections.receipt.timeline import worded
from projections.receipt.words import choice_text, usage_text
from projections.stated import is_zero, negated, plus

__all__ = ["customer_view"]

PRIVATE_FAILURES = frozenset({"authentication", "upstream_account_empty"})
PRIVATE_STATUSES = frozenset({401, 402, 403})
"""How an upstream answers to the platform's own key and account."""

PRIVATE_WORDS = re.compile(
    r"\b(?:accounts?|bill\w*|costs?|invoices?|keys? for|loss|margins?|overrun|providers?|quota|upstreams?)\b",
    re.IGNORECASE,
)
"""A gateway gives its reasons in words of its own. One that speaks of the platform's side is not repeated."""

UNREACHABLE = "it could not be called at that moment"
OWN_RULE = "the gateway's own order"
OWN_REASON = "the gateway asked for it"
Reveal = Callable[[str, str], str]
"""Returns a gateway's own words, or the second text instead of them."""

Changes = Mapping[int, StatedAmount]
"""What each event took from the wallet, by position."""


def customer_view(receipt: Receipt) -> CustomerReceipt:
    """Return the receipt for a workspace's own key. Its sentences are made anew from what is left."""
    reveal = revealing([each.provider for each in receipt.platform.providers])
    changes = {entry.position: negated(entry.posted_change) for entry in receipt.entries}
    settlement = None if receipt.settlement is None else paid_settlement(receipt.settlement)
    timeline = [worded(shown_moment(moment, reveal, settlement)) for moment in receipt.timeline]
    if settlement is not None:
        timeline = list(shown_corrections(timeline, settlement.charge, changes))
    fields: dict[str, Any] = {name: getattr(receipt, name) for name in CustomerReceipt.__struct_fields__}
    shown = replace(
        CustomerReceipt(**fields),
        choices=[shown_choice(choice, reveal, moved=at > 0) for at, choice in enumerate(receipt.choices)],
        policies=[each for each in receipt.policies if each.policy != CHARGE_LIMIT],
        timeline=timeline,
        usage=None if receipt.usage is None else shown_usage(receipt.usage, reveal),
        settlement=settlement,
        entries=[entry for entry in receipt.entries if moves_wallet(entry)],
    )
    return replace(shown, summary=summary_of(shown))


def revealing(providers: list[str]) -> Reveal:
    """Return what lets a gateway's own words through, unless they name a provider or the platform's side."""

    patterns = [re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE) for name in providers if name]

    def reveal(text: str, instead: str) -> str:
        private = any(pattern.search(text) for pattern in (*patterns, PRIVATE_WORDS))
        return instead if private or speaks_of_failure(text) else text

    return reveal


def speaks_of_failure(text: str) -> bool:
    """Return whether a text has the code of a failure that is the platform's own affair."""
    return any(failure in text for failure in PRIVATE_FAILURES)


def moves_wallet(entry: WalletEntry) -> bool:
    """Return whether an entry is the customer's at all: one between the platform's own accounts is not."""
    return not (is_zero(entry.posted_change) and is_zero(entry.held_change))


def paid_settlement(settlement: Settlement) -> Settlement:
    """Return a settlement whose charge is what was paid, and in which all the rest is waived.

    The lines show what the usage came to, so that a rest can't be hidden. It must not tell what no balance paid from
    what the gateway waived: to the customer both are the same, and neither is ever taken.
    """
    charge = plus(settlement.captured, settlement.from_available)
    paid = replace(settlement, charge=charge, waived=plus(settlement.rated, negated(charge)))
    return replace(paid, text=settlement_text(paid))


def shown_usage(usage: TokensUsed, reveal: Reveal) -> TokensUsed:
    """Return what was used, less terms of the upstream's that name a provider or the platform's side."""
    terms = [term for term in usage.terms if reveal(term, "")]
    return replace(usage, terms=terms, text=usage_text(usage.source, usage.policy, terms))


def shown_corrections(moments: Iterable[AnyMoment], paid: StatedAmount, changes: Changes) -> Iterator[AnyMoment]:
    """Yield moments with corrections as they changed the wallet, `paid` having been charged before.

    Lines that a charge was rated anew at may come to more than what is paid for it now: the rest is waived, as above.
    """
    for moment in moments:
        if isinstance(moment, CorrectedMoment):
            bucket = moment.change.bucket
            change = changes.get(moment.position, zero(paid))
            paid = plus(paid, change)
            rest = plus(reduce(plus, (line.amount for line in moment.lines), zero(paid)), negated(paid))
            waived = InBucket(bucket, rest) if moment.lines and not is_zero(rest) else None
            yield worded(replace(moment, change=InBucket(bucket, change), waived=waived))
        else:
            yield moment


def zero(amount: StatedAmount) -> StatedAmount:
    """Return nothing in the unit of an amount."""
    return plus(amount, negated(amount))


def shown_choice(choice: Choice, reveal: Reveal, *, moved: bool) -> Choice:
    """Return a choice with the reasons that may be told."""
    rule = reveal(choice.rule, OWN_RULE)
    return replace(
        choice,
        rule=rule,
        skipped=[SkippedCandidate(each.route, reveal(each.reason, UNREACHABLE)) for each in choice.skipped],
        text=choice_text(choice.route, choice.bucket, rule, moved=moved),
    )


def shown_moment(moment: AnyMoment, reveal: Reveal, settlement: Settlement | None) -> AnyMoment:
    """Return a moment as it may be told, corrections aside."""
    match moment:
        case AttemptFailedMoment(failure=failure, http_status=status):
            return replace(moment, failure=shown_failure(failure), http_status=shown_status(failure, status))
        case FallbackMoment(failure=failure):
            return replace(moment, failure=shown_failure(failure))
        case HoldExtendedMoment(why=why):
            return replace(moment, why=reveal(why, OWN_REASON))
        case SettledMoment(charge=charge) if settlement is not None:
            return replace(moment, charge=InBucket(charge.bucket, settlement.charge))
    return moment


def shown_failure(failure: str) -> str:
    """Return why an attempt failed, as far as it is not about the platform's account or key."""
    return "other" if failure in PRIVATE_FAILURES else failure


def shown_status(failure: str, http_status: int | None) -> int | None:
    """Return an upstream's status, unless it is its answer to the platform's account or key."""
    return None if failure in PRIVATE_FAILURES or http_status in PRIVATE_STATUSES else http_status
