"""
Everything random that the tests draw from, and how many examples are drawn.

HYPOTHESIS_PROFILE chooses `default` (seconds), `ci` or `thorough` (minutes).
"""

import os
import types
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from gateway.dialects.calls import CallBody
from gateway.dialects.surface import SPOKEN, Interface
from gateway.routing.candidates import Conditions
from ledger.catalog.events import (
    BucketDefined,
    CatalogEvent,
    ModelPublished,
    ProviderPublished,
    RateCardPublished,
    RoutePublished,
    RouteSuspended,
)
from ledger.catalog.state import Catalog, fold_catalog
from ledger.core.amounts import AMOUNT_MINOR_MAX, Amount, Unit
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates, RateCard, rates_for
from ledger.pricing.rating import rate_tokens
from ledger.pricing.usage import INPUT_PARTS, OUTPUT_PARTS, PARTS, Usage
from ledger.workspace.events import KeyLimits
from projections.change.cells import ChangeCell, Period
from projections.change.prices import PriceList
from projections.route_ledger.spending import Sums

TOO_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=TOO_SLOW)
settings.register_profile("ci", max_examples=200, deadline=None, suppress_health_check=TOO_SLOW)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=TOO_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
EXAMPLES: int = settings().max_examples
"""How many examples the profile draws, for tests that draw a part of them."""

scales = st.integers(0, 9)
unit_codes = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=24)
units = st.builds(Unit, unit_codes, scales)
minors = st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX) | st.integers(-2000, 2000)
roundings = st.sampled_from(Rounding)
any_text = st.text(st.characters(), max_size=40)

hostile_texts = st.sampled_from(
    (
        "", " ", "\0", "a\0b", "a\n", "\n", "\x1b[2J", "\x7f", "\x85", "\ud800", "x\udfff", "\u2028", "\u202e",
        "\uffff", "a" * 501, "é" * 300, "x" * 100_000, "../../etc/passwd", "a/b", "@wallet/credit", "1e5", "NaN",
        "Infinity", "-1", "0", "１２", "٣", "1.", ".5", "+1", "01", "1_000", "0x10", "9" * 20, "1" + "0" * 30,
        "0." + "1" * 10, "null", "'; drop table ledger.event; --", "🧾", "　",
    )
)  # fmt: skip
hostile_numbers = st.sampled_from((-1, 0, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), -(10**30)))


@st.composite
def rate_texts(draw: st.DrawFn, whole_max: int = 10**12 - 1) -> str:
    """Draw a rate as decimal text, up to twelve digits on each side of the point."""
    whole = draw(st.integers(0, 20) | st.integers(0, whole_max))
    fraction = draw(st.text("0123456789", max_size=12))
    return f"{whole}.{fraction}" if fraction else str(whole)


@st.composite
def usages(draw: st.DrawFn, tokens_max: int = 10**7) -> Usage:
    """Draw a usage whose parts sum to its totals."""
    counts = st.integers(0, 5) | st.integers(0, tokens_max)
    parts = draw(st.dictionaries(st.sampled_from(PARTS), counts))
    sums = [sum(parts.get(part, 0) for part in group) for group in (INPUT_PARTS, OUTPUT_PARTS)]
    return Usage(sums[0], sums[1], parts)


@st.composite
def model_rates(draw: st.DrawFn, pattern: str = "*") -> ModelRates:
    """Draw rates for some parts, with list rates for some of those."""
    rates = draw(st.dictionaries(st.sampled_from(PARTS), rate_texts(9999), min_size=1))
    listed = draw(st.lists(st.sampled_from(sorted(rates)), unique=True))
    return ModelRates(pattern, rates, {part: draw(rate_texts(9999)) for part in listed})


@st.composite
def rate_cards(draw: st.DrawFn) -> RateCard:
    """Draw a card with rates for two families of models."""
    models = (draw(model_rates("gpt-5*")), draw(model_rates("o*-mini")))
    return RateCard("card", "route", "credit", 0, models, "drawn", draw(roundings))


pattern_texts = st.text("ab*.-", min_size=1, max_size=8)
model_texts = st.text("ab.-", max_size=10)

NAMES = {
    "bucket": ("credit", "rmb"), "from_bucket": ("credit", "rmb"), "to_bucket": ("credit", "rmb", "points"),
    "cause": ("failed", "cancelled", "expired"),
}  # fmt: skip
"""Fields of events whose texts mean something to a fold or a posting rule."""
SIGNED = {("AdjustmentPosted", "amount_minor"), ("ChargeCorrected", "difference_minor")}


def field_values(kind: Any, owner: str, name: str) -> st.SearchStrategy[Any]:
    """Return a strategy for one field of an event, by its type and name."""
    origin = get_origin(kind)
    if kind is int:
        low = -AMOUNT_MINOR_MAX if (owner, name) in SIGNED else 0
        return st.integers(low, AMOUNT_MINOR_MAX) | st.integers(max(low, -9), 9)
    if kind is str:
        return st.sampled_from(NAMES.get(name, ("alpha", "beta.2", "gamma")))
    if kind is bool:
        return st.booleans()
    if kind is Amount:
        return st.builds(Amount, st.integers(0, AMOUNT_MINOR_MAX), unit_codes)
    if kind is Usage:
        return usages()
    if kind is RateCard:
        return rate_cards()
    if origin in (Union, types.UnionType):
        return st.one_of([field_values(each, owner, name) for each in get_args(kind)])
    if kind is type(None):
        return st.none()
    if origin is tuple:
        return st.lists(field_values(get_args(kind)[0], owner, name), max_size=3).map(tuple)
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    raise TypeError(f"no strategy for {owner}.{name}: {kind}")


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return a strategy for a struct, field by field."""
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: field_values(field.type, kind.__name__, field.name) for field in fields})


def event_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return a strategy for events of one type.

    An exchange is between two buckets, and a correction undoes at most as much overrun as it takes off the charge.
    """
    events = structs(kind)
    if kind.__name__ == "ChargeCorrected":
        return events.map(
            lambda event: msgspec.structs.replace(
                event, overrun_minor=min(event.overrun_minor, max(-event.difference_minor, 0))
            )
        )
    if kind.__name__ == "BucketExchanged":
        return events.filter(lambda event: event.from_bucket != event.to_bucket)
    return events


INTERFACES: tuple[Interface, ...] = get_args(Interface)
BUCKETS = {"credit": "CREDIT", "rmb": "CNY", "points": "POINT"}
ROUTE_NAMES = ("r0", "r1", "r2", "r3", "r4")
MODEL_NAMES = ("gpt-5", "claude")
ONE_RATE = (ModelRates("*", {"text_output": "1"}),)
ROUTED_AT = 1000
"""The instant for which catalogs are drawn: some cards come into force only after it."""


@st.composite
def usages_within(draw: st.DrawFn, input_tokens: int, output_tokens: int, *, audio: bool) -> Usage:
    """Draw a usage of at most so many tokens, often of exactly so many, in any parts, counted ones excepted."""
    parts: dict[str, int] = {}
    sums = []
    for group, most in ((INPUT_PARTS, input_tokens), (OUTPUT_PARTS, output_tokens)):
        possible = [part for part in group if audio or not part.startswith("audio")]
        used = draw(st.lists(st.sampled_from(possible), unique=True, min_size=1))
        total = draw(st.just(most) | st.integers(0, most))
        ends = [*sorted(draw(st.integers(0, total)) for _ in used[1:]), total]
        parts |= {part: end - start for part, start, end in zip(used, [0, *ends], ends, strict=False)}
        sums.append(total)
    return Usage(sums[0], sums[1], parts)


@st.composite
def call_bodies(draw: st.DrawFn) -> CallBody:
    """Draw what sizing reads of a call."""
    interface = draw(st.sampled_from(INTERFACES))
    return CallBody(
        interface=interface,
        body=b"",
        members={},
        model="smart",
        output_limit=None
        if interface == "embeddings"
        else draw(st.none() | st.integers(1, 100) | st.integers(1, 10**6)),
        choices=draw(st.integers(1, 128)) if interface == "chat" else 1,
        text_bytes=draw(st.integers(0, 20) | st.integers(0, 10**6)),
        uncounted_bytes=draw(st.integers(0, 20)),
        images=draw(st.integers(0, 3)),
        sound_bytes=draw(st.integers(0, 500)),
        references=draw(st.integers(0, 2)),
        has_audio=draw(st.booleans()),
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Draw a catalog with one model, `smart`, whose targets may be unpriced, suspended and in several buckets."""
    events: list[CatalogEvent] = [BucketDefined(bucket, unit, 6) for bucket, unit in BUCKETS.items()]
    dialects = sorted(SPOKEN)
    for number in range(3):
        address = "https://api.example/v1"
        events.append(ProviderPublished(f"p{number}", draw(st.sampled_from(dialects)), address, "USD", 9))
    for name in ROUTE_NAMES:
        bucket = draw(st.sampled_from(tuple(BUCKETS)))
        events.append(
            RoutePublished(
                name,
                draw(st.sampled_from(("p0", "p1", "p2"))),
                draw(st.sampled_from(MODEL_NAMES)),
                bucket,
                draw(st.sampled_from(("direct", "ordinary"))),
                draw(st.sampled_from(("ledger", "ledger", "ledger", "caller"))),
                None,
                draw(st.none() | st.integers(1, 10**4)),
                draw(st.none() | st.sampled_from((1000, 2000, 3000))),
            )
        )
        for valid_from in draw(st.lists(st.sampled_from((0, ROUTED_AT, ROUTED_AT + 1)), unique=True, max_size=2)):
            events.append(
                RateCardPublished(RateCard(f"{name}.{valid_from}", name, bucket, valid_from, ONE_RATE, "drawn"))
            )
    events += [RouteSuspended(name) for name in draw(st.sets(st.sampled_from(ROUTE_NAMES), max_size=2))]
    targets = draw(st.lists(st.sampled_from(ROUTE_NAMES), min_size=1, unique=True))
    allowed = draw(st.tuples(st.booleans(), st.booleans()))
    events.append(ModelPublished("smart", tuple(targets), 0, 600, *allowed))
    catalog = Catalog()
    for position, event in enumerate(events, start=1):
        catalog = fold_catalog(catalog, event, position)
    return catalog


key_limits = st.builds(
    KeyLimits,
    models=st.none() | st.sampled_from(((), ("smart",), ("other",))),
    buckets=st.none() | st.lists(st.sampled_from(tuple(BUCKETS)), unique=True).map(tuple),
    allow_bucket_change=st.booleans(),
)


@st.composite
def routing_conditions(draw: st.DrawFn) -> Conditions:
    """Draw what a gateway knows beside the catalogs above: most providers can be called."""
    providers = ("p0", "p1", "p2")
    circuits = draw(st.sets(st.sampled_from(ROUTE_NAMES), max_size=2))
    empty = draw(st.sets(st.sampled_from(providers), max_size=1))
    keyless = draw(st.sets(st.sampled_from(providers), max_size=1))
    return Conditions(
        ROUTED_AT,
        frozenset(providers) - keyless,
        dict.fromkeys(circuits, "its circuit is open"),
        dict.fromkeys(empty, "the account is empty"),
    )


CHANGE_ROUTES: dict[str, tuple[str, str | None, str]] = {
    "a1": ("credit", None, "USD"), "a2": ("credit", "deep", "USD"), "a3": ("credit", None, "USD"),
    "a4": ("credit", None, "CNY"), "b1": ("tokens", None, "CNY"), "b2": ("tokens", "deep", "USD"),
}  # fmt: skip
"""Routes of generated histories: bucket, depth, and the unit that they are billed in."""
CHANGE_RATES = ("0", "2.5", "1234.000001", "0.000000000001", "7", "33.333333")
CHANGE_PARTS = ("uncached_input", "cache_read", "text_output", "reasoning", "web_searches")


def change_rates(number: int, parts: int = len(CHANGE_PARTS)) -> dict[str, str]:
    """Return rates for the first so many parts that differ from card to card."""
    return {part: CHANGE_RATES[(number + at) % len(CHANGE_RATES)] for at, part in enumerate(CHANGE_PARTS[:parts])}


CHANGE_CARDS = {
    f"{route}.{version}": RateCard(
        f"{route}.{version}", route, bucket, version,
        (ModelRates("g*", change_rates(at + version, 5 - version)), ModelRates("h", change_rates(at))), "drawn",
        cost_unit=unit, cost_models=(ModelRates("*", change_rates(at + 2 * version, 4 + version)),),
    )
    for at, (route, (bucket, _, unit)) in enumerate(CHANGE_ROUTES.items()) for version in (0, 1)
}  # fmt: skip
CHANGE_PRICES = PriceList(CHANGE_CARDS, {route: depth for route, (_, depth, _) in CHANGE_ROUTES.items()})
few = st.integers(0, 3)
any_size = st.integers(0, 10**12) | st.integers(0, 10**4) | st.integers(0, 9)


@st.composite
def change_cells(draw: st.DrawFn) -> ChangeCell:
    """Draw what requests have in common: most stayed on their first route, some are priced by the caller."""
    route = draw(st.sampled_from(tuple(CHANGE_ROUTES)))
    first = draw(st.sampled_from((route, route, *CHANGE_ROUTES)))
    card, first_card = (draw(st.sampled_from((f"{name}.0", f"{name}.1", "lost"))) for name in (route, first))
    return ChangeCell(
        draw(st.sampled_from("wwwwwwv")),
        draw(st.sampled_from(("x", "x", "x", "x", None, "y"))),
        draw(st.sampled_from("mmmmn")),
        CHANGE_ROUTES[route][0],
        route,
        draw(st.sampled_from(("g1", "h"))),
        draw(st.just(card) | st.none()),
        first,
        CHANGE_ROUTES[first][0],
        first_card,
        draw(st.just(CHANGE_ROUTES[route][2]) | st.none()),
        draw(st.sampled_from(("", "k"))),
    )


@st.composite
def change_sums(draw: st.DrawFn, cell: ChangeCell) -> Sums:
    """Draw what a cell's requests used and came to; what was not settled now may have been refunded all the same."""
    settled, failed = draw(st.integers(0, 9) | st.integers(1, 10**6)), draw(few)
    sums = Sums(settled + failed, settled, failed, estimated=min(settled, draw(few)))
    sums.refunded_minor, sums.corrected_minor, sums.undone_minor = draw(few), -draw(any_size), draw(few)
    sums.failed_attempts, sums.waste_minor = (draw(few), draw(any_size)) if cell.cost_unit else (0, 0)
    if not settled:
        return sums
    card = CHANGE_CARDS.get(cell.rate_card or "")
    rates = {} if card is None else rates_for(card, cell.reported_model or "")[0].rates
    for part in CHANGE_PARTS:
        tokens = draw(any_size)
        minor = rate_tokens(tokens, rates[part], 6, Rounding.HALF_EVEN) if part in rates else 0
        sums.lines[part, rates.get(part, "")] = [tokens, minor]
    rated = sum(minor for _, minor in sums.lines.values()) if card else draw(any_size) * 10**5
    sums.waived_minor = draw(st.just(0) | st.integers(0, rated))
    sums.charge_minor = rated - sums.waived_minor
    sums.overrun_minor = draw(st.just(0) | st.integers(0, sums.charge_minor))
    sums.input_tokens = sum(tokens for (part, _), (tokens, _) in sums.lines.items() if part in INPUT_PARTS)
    sums.output_tokens = sum(tokens for (part, _), (tokens, _) in sums.lines.items() if part in OUTPUT_PARTS)
    if draw(st.booleans()):
        sums.listed_minor, sums.list_minor = rated, rated + draw(few)
    if cell.cost_unit is not None:
        sums.cost_minor = draw(st.just(rated) | any_size)
    return sums


@st.composite
def change_histories(draw: st.DrawFn) -> tuple[Period, Period]:
    """Draw two periods, of which each has some of a dozen cells: many are in both."""
    cells = draw(st.lists(change_cells(), unique=True, min_size=2, max_size=12))
    both = [[cell for cell in cells if draw(st.integers(0, 4))] for _ in range(2)]
    before, after = ({cell: draw(change_sums(cell)) for cell in some} for some in both)
    return before, after
