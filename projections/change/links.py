"""The links of the chain: requests, tokens and amounts that are counted at each, both periods side by side."""

from collections import defaultdict

import msgspec

from ledger.pricing.usage import INPUT_PARTS, OUTPUT_PARTS
from projections.change.lines import Priced
from projections.change.places import Spot
from projections.change.tallies import Pair, pair

__all__ = ["Arrival", "ModelUse", "PartUse", "RouteUse", "SegmentUse", "add_use"]

INPUT = frozenset(INPUT_PARTS)
OUTPUT = frozenset(OUTPUT_PARTS)


class PartUse(msgspec.Struct):
    """Tokens of a part on a route, what they come to at the card's rates, and what they came to, in atoms."""

    tokens: Pair = msgspec.field(default_factory=pair)
    carded: Pair = msgspec.field(default_factory=pair)
    amount: Pair = msgspec.field(default_factory=pair)


class RouteUse(msgspec.Struct):
    """What settled on a route here, of one model and arrival. `stated` are prices for whole requests, in atoms."""

    settled: Pair = msgspec.field(default_factory=pair)
    input_tokens: Pair = msgspec.field(default_factory=pair)
    output_tokens: Pair = msgspec.field(default_factory=pair)
    parts: dict[str, PartUse] = msgspec.field(default_factory=lambda: defaultdict(PartUse))
    stated: Pair = msgspec.field(default_factory=pair)


class Arrival(msgspec.Struct):
    """What settled here of one model and began at the same spot."""

    settled: Pair = msgspec.field(default_factory=pair)
    input_tokens: Pair = msgspec.field(default_factory=pair)
    routes: dict[str, RouteUse] = msgspec.field(default_factory=lambda: defaultdict(RouteUse))


class ModelUse(msgspec.Struct):
    """A model's requests in a segment: those that ended and were settled anywhere, and where these began.

    `began_here` is by first route, `began_elsewhere` by spot and whether the route there is discounted, as are the
    `tokens_elsewhere` of these; `left` is by first route here and the spot where a fallback led. `arrivals` is what
    settled here, by where it began: None is here.
    """

    ended: Pair = msgspec.field(default_factory=pair)
    settled: Pair = msgspec.field(default_factory=pair)
    began_here: dict[str, Pair] = msgspec.field(default_factory=lambda: defaultdict(pair))
    began_elsewhere: dict[tuple[Spot, str], Pair] = msgspec.field(default_factory=lambda: defaultdict(pair))
    tokens_elsewhere: dict[tuple[Spot, str], Pair] = msgspec.field(default_factory=lambda: defaultdict(pair))
    left: dict[str, dict[Spot, Pair]] = msgspec.field(default_factory=lambda: defaultdict(lambda: defaultdict(pair)))
    arrivals: dict[Spot | None, Arrival] = msgspec.field(default_factory=lambda: defaultdict(Arrival))


class SegmentUse(msgspec.Struct):
    """Requests of a workspace's workflow that ended, over all buckets, and its models."""

    ended: Pair = msgspec.field(default_factory=pair)
    models: dict[str, ModelUse] = msgspec.field(default_factory=lambda: defaultdict(ModelUse))


def add_use(arrival: Arrival, use: RouteUse, period: int, settled: int, priced: Priced) -> None:
    """Count what requests on a route used and came to."""
    arrival.settled[period] += settled
    use.settled[period] += settled
    use.stated[period] += priced.stated
    for name, used in priced.parts.items():
        part = use.parts[name]
        part.tokens[period] += used.tokens
        part.carded[period] += used.carded
        part.amount[period] += used.amount
        if name in INPUT:
            use.input_tokens[period] += used.tokens
            arrival.input_tokens[period] += used.tokens
        elif name in OUTPUT:
            use.output_tokens[period] += used.tokens
