"""What a cell used and what that came to, part by part and exactly: before any rounding, in atoms.

An atom is 10^-18 of the unit: tokens × rate is a whole number of them. What a cell's lines were rounded by stays
behind and ends in the explanation's line `rounding`.
"""

from collections.abc import Mapping

import msgspec

from projections.change.cells import ChangeCell
from projections.change.prices import PriceList, rate_units
from projections.route_ledger.spending import Sums

__all__ = ["ATOM_PLACES", "PartUsed", "Priced", "at_rates", "billed", "charged", "reprice"]

ATOM_PLACES = 18
"""A rate has 12 decimal places and is per million tokens: 12 + 6."""


class PartUsed(msgspec.Struct):
    """Tokens of one part, what they come to at the card's rates, and what they came to; equal but for stated costs."""

    tokens: int = 0
    carded: int = 0
    amount: int = 0


class Priced(msgspec.Struct):
    """What a cell used, and beside it what was stated as a price for whole requests. Amounts in atoms."""

    parts: dict[str, PartUsed]
    stated: int = 0

    def amount(self) -> int:
        """Return what it all came to."""
        return self.stated + sum(part.amount for part in self.parts.values())


def charged(sums: Sums, atoms_per_minor: int) -> Priced:
    """Return what a cell's requests were charged before anything was waived.

    What is not on any line is the price that the callers stated. Tokens without a price come to nothing.
    """
    parts: dict[str, PartUsed] = {}
    rated_minor = 0
    for (part, rate), (tokens, minor) in sums.lines.items():
        used = parts.setdefault(part, PartUsed())
        exact = tokens * rate_units(rate) if rate else 0
        used.tokens += tokens
        used.carded += exact
        used.amount += exact
        rated_minor += minor
    return Priced(parts, (sums.charge_minor + sums.waived_minor - rated_minor) * atoms_per_minor)


def billed(cell: ChangeCell, sums: Sums, prices: PriceList, unit: str, atoms_per_minor: int) -> Priced:
    """Return what providers bill for a cell's requests.

    A cost that differs from the card's by no more than its rounding, one smallest part a request, is the card's. Any
    other was stated by the provider: it is spread over the parts as the card would, so that larger prompts stay larger
    prompts. Where the card has no rate for a part it is a price for whole requests.
    """
    tokens: dict[str, int] = {}
    for (part, _), (count, _) in sums.lines.items():
        tokens[part] = tokens.get(part, 0) + count
    cost = sums.cost_minor * atoms_per_minor
    used = at_rates(tokens, prices.cost_rates(cell.rate_card, cell.reported_model, unit))
    if used is None:
        return Priced({part: PartUsed(count) for part, count in tokens.items()}, cost)
    carded = sum(part.carded for part in used.values())
    if abs(cost - carded) <= sums.settled * atoms_per_minor:
        return Priced(used)
    if carded == 0:
        return Priced(used, cost)
    spread(used, carded, cost)
    return Priced(used)


def at_rates(tokens: Mapping[str, int], rates: Mapping[str, int] | None) -> dict[str, PartUsed] | None:
    """Return tokens at a card's rates; None where there is no card or it has no rate for one of them."""
    if rates is None or any(count and part not in rates for part, count in tokens.items()):
        return None
    return {part: priced_tokens(count, rates[part]) for part, count in tokens.items() if count}


def priced_tokens(tokens: int, rate: int) -> PartUsed:
    """Return tokens at a rate."""
    return PartUsed(tokens, tokens * rate, tokens * rate)


def spread(used: dict[str, PartUsed], carded: int, cost: int) -> None:
    """Give each part its share of a stated cost. Atoms that don't divide go to the dearest part."""
    left = cost
    for part in used.values():
        part.amount = part.carded * cost // carded
        left -= part.amount
    dearest = min(used, key=lambda name: (-used[name].carded, name))
    used[dearest].amount += left


def reprice(priced: Priced, rates: Mapping[str, int] | None) -> Priced | None:
    """Return what the same tokens come to at the rates of the first route; None where that is not known.

    A part without a rate there keeps its own. A price for whole requests is left out only where every part has one:
    else it can't be told what it stands for.
    """
    if rates is None:
        return None
    if priced.stated:
        used = at_rates({part: used.tokens for part, used in priced.parts.items()}, rates)
        return None if used is None else Priced(used)
    return Priced(
        {
            part: priced_tokens(used.tokens, rates[part]) if part in rates else used
            for part, used in priced.parts.items()
        }
    )
