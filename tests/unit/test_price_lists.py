"""Prices that a configuration takes from a list: exact products, dated cards, cost, and every choice in words."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.catalog.commands import PublishRateCard
from ledger.catalog.config.difference import diff
from ledger.catalog.config.listed import Alternative, DatedRates, ListedPrices, LookUp, no_list
from ledger.catalog.config.parsing import parse_config
from ledger.catalog.config.pricing import content_of_card, content_of_price
from ledger.catalog.config.tables import Problem
from ledger.catalog.config.values import Config, Price
from ledger.catalog.state import card_in_force
from ledger.core.commands import Command
from tests.unit.configurations import RIGHT, catalog_of, platform
from tests.unit.world import NOW, SECOND, World

DAY = 86_400 * SECOND
LISTED = (
    RIGHT.split("[routes.price]", maxsplit=1)[0]
    + """[routes.price]
from = "genai-prices"
provider = "openai"
units_per_source_unit = "5"
factor = "0.8"
pattern = "gpt-5*"

"""
    + "[[routes]]\nname = "
    + RIGHT.split("[[routes]]\nname = ", maxsplit=2)[2]
)
FLAT = {"uncached_input": Decimal("1.25"), "text_output": Decimal(10), "cache_read": Decimal("0.125")}
LONG = {"uncached_input": Decimal("2.50"), "text_output": Decimal(15), "cache_read": Decimal("0.1")}
TIERED = DatedRates(None, FLAT, (Alternative(LONG, 200_000),))
TIMED = DatedRates(None, FLAT, (Alternative(LONG),))
DIGEST = "ab" * 32
OTHERS = '[[routes.price.models]]\npattern = "helper"\nrates = { text_output = "1" }\n'


def listing(*prices: DatedRates, digest: str = DIGEST, notices: tuple[str, ...] = ()) -> LookUp:
    """Return a list in which every model has these prices."""

    def look_up(provider: str, model: str) -> ListedPrices:
        return ListedPrices(f"list 1: {provider} {model}", digest, prices, notices)

    return look_up


def right(text: str, look_up: LookUp) -> Config:
    """Return a configuration that is right."""
    config, problems = parse_config(text, look_up)
    assert problems == ()
    assert config is not None
    return config


def wrong(text: str, look_up: LookUp) -> list[Problem]:
    """Return the problems of a configuration that is not."""
    config, problems = parse_config(text, look_up)
    assert config is None
    return list(problems)


def smart(text: str, look_up: LookUp) -> tuple[Price, ...]:
    """Return the prices of the route whose price comes from the list."""
    return right(text, look_up).routes[0].prices


def apply(world: World, config: Config, now: int) -> tuple[Command, ...]:
    """Apply a configuration; return the commands."""
    wanted = diff(catalog_of(world), config, now)
    world.now = now
    world.all(*wanted.commands)
    return wanted.commands


def test_a_listed_price_is_the_exact_product() -> None:
    """Dollars × units × factor, with the undiscounted list price, the cost in dollars and where all of it is from."""
    (price,) = smart(LISTED.replace("factor", f'digest = "{DIGEST}"\nfactor'), listing(DatedRates(None, FLAT)))
    (rates,) = price.models
    assert rates.pattern == "gpt-5*"
    assert rates.rates == {"uncached_input": "5", "text_output": "40", "cache_read": "0.5"}
    assert rates.list_rates == {"uncached_input": "6.25", "text_output": "50", "cache_read": "0.625"}
    assert (price.source, price.snapshot_digest) == ("list 1: openai gpt-5", DIGEST)
    assert (price.source_unit, price.units_per_source_unit, price.factor) == ("USD", "5", "0.8")
    (cost,) = price.cost_models
    assert (price.cost_unit, cost.pattern) == ("USD", "gpt-5*")
    assert cost.rates == {"uncached_input": "1.25", "text_output": "10", "cache_read": "0.125"}
    (dearer,) = smart(LISTED.replace('"0.8"', '"1"'), listing(DatedRates(None, FLAT)))
    assert dearer.models[0].list_rates == {}


def test_rates_of_one_s_own_stand_beside_the_listed_ones() -> None:
    """A part that the list lacks, or that shall cost something else, is in the bucket's unit and said in the source."""
    own = 'rates = { cache_read = "7", cache_write_1h = "9" }\npattern = '
    text = LISTED.replace("pattern = ", own, 1).replace(
        '[[routes]]\nname = "cheap"', OTHERS + '[[routes]]\nname = "cheap"'
    )
    (price,) = smart(text, listing(DatedRates(None, FLAT)))
    assert price.models[0].rates["cache_read"] == "7"
    assert price.models[0].rates["cache_write_1h"] == "9"
    assert "cache_read" not in price.models[0].list_rates
    assert price.source == "list 1: openai gpt-5, own rates for cache_read, cache_write_1h"
    assert price.models[1].rates == {"text_output": "1"}
    assert price.cost_models[0].rates["cache_read"] == "0.125"


WRONG: tuple[tuple[str, str, DatedRates, str, str], ...] = (
    ('from = "genai-prices"', 'from = "hearsay"', TIERED, ".from", "one of genai-prices"),
    ('from = "genai-prices"', "from = 3", TIERED, ".from", "must be text"),
    ('provider = "openai"\nunits', "units", TIERED, ".provider", "is missing"),
    ('units_per_source_unit = "5"\n', "", TIERED, ".units_per_source_unit", "is missing"),
    ('factor = "0.8"\n', "", TIERED, ".factor", "is missing"),
    ('factor = "0.8"', 'factor = "0"', TIERED, ".factor", "greater than zero"),
    ('factor = "0.8"', 'factor = "0.8"\nsource_unit = "CNY"', TIERED, ".source_unit", "one of USD"),
    ('factor = "0.8"', 'factor = "0.8"\nvarying = "average"', TIERED, ".varying", "one of base, highest"),
    ('factor = "0.8"', 'factor = "0.8"\nlist_rates = { reasoning = "1" }', TIERED, ".list_rates", "unknown key"),
    ('factor = "0.8"', 'factor = "0.8"\nrates = { smell = "1" }', TIERED, ".rates.smell", "unknown key"),
    ('factor = "0.8"', 'factor = "0.8"', TIERED, "", "the length of the prompt (above 200000 tokens)"),
    ('factor = "0.8"', 'factor = "0.8"', TIMED, "", "the time of day"),
    ('factor = "0.8"', 'factor = "0.8"', DatedRates(None, {}), "", "has no rates"),
    ('factor = "0.8"', f'factor = "0.8"\ndigest = "{"cd" * 32}"', TIERED, "", f"has the digest {DIGEST}, not the one"),
    ('factor = "0.8"', 'factor = "0.8"\ndigest = "latest"', TIERED, ".digest", "must look like"),
    ("[[routes]]\nname = \"cheap\"", OTHERS * 64 + "[[routes]]\nname = \"cheap\"", TIERED, ".models", "more than 63"),
    (
        'factor = "0.8"', 'factor = "0.123456789012"', DatedRates(None, {"reasoning": Decimal("0.33")}),
        "", "at most 12 digits",
    ),
    ('factor = "0.8"', 'factor = "1"', DatedRates(None, {"reasoning": Decimal(f"1.{10**90}")}), "", "too many digits"),
    ('factor = "0.8"', 'factor = "1"', DatedRates(None, {"reasoning": Decimal("1e-18")}), "", "at most 12 digits"),
)  # fmt: skip


@pytest.mark.parametrize(("before", "after", "dated", "place", "words"), WRONG)
def test_what_a_list_cannot_say_is_a_problem(
    before: str, after: str, dated: DatedRates, place: str, words: str
) -> None:
    """No exchange rate is hidden, nothing is rounded, and of several prices none is taken in silence."""
    assert before in LISTED
    problems = wrong(LISTED.replace(before, after, 1), listing(dated))
    assert [p for p in problems if p.place == "routes.smart.price" + place and words in p.message], problems


def test_the_list_s_own_problem_is_the_file_s() -> None:
    """A model that the list does not have, and no list at all."""
    assert wrong(LISTED, no_list) == [Problem("routes.smart.price", "there is no price list at hand")]


def test_a_choice_between_several_prices_is_recorded() -> None:
    """The highest of each part, or the first; the source says which."""
    (price,) = smart(LISTED.replace("factor", 'varying = "highest"\nfactor'), listing(TIERED))
    assert price.cost_models[0].rates == {"uncached_input": "2.5", "text_output": "15", "cache_read": "0.125"}
    assert price.source == "list 1: openai gpt-5, highest where it varies"
    (price,) = smart(LISTED.replace("factor", 'varying = "base"\nfactor'), listing(TIMED))
    assert price.cost_models[0].rates["uncached_input"] == "1.25"


@pytest.mark.parametrize(("context", "reached"), [(200_000, False), (200_001, True)])
def test_a_tier_that_cannot_be_reached_needs_no_choice(context: int, reached: bool) -> None:
    """A prompt is never longer than the route's context; a time of day comes round whatever the context."""
    text = LISTED.replace('tier = "direct"', f'tier = "direct"\ncontext_tokens = {context}', 1)
    assert (parse_config(text, listing(TIERED))[1] != ()) is reached
    assert parse_config(text, listing(TIMED))[1] != ()


def test_the_same_list_changes_nothing_and_a_new_one_makes_new_cards() -> None:
    """Applied again there is no difference; another snapshot with the same rates is another card from now on."""
    world = platform()
    old = right(LISTED, listing(DatedRates(NOW - 90 * DAY, FLAT), DatedRates(NOW + 9 * DAY, LONG)))
    apply(world, old, NOW)
    first, second = catalog_of(world).cards_of_route["smart"]
    assert [card.valid_from for card in (first, second)] == [NOW - 90 * DAY, NOW + 9 * DAY]
    assert (first.snapshot_digest, first.cost_unit) == (DIGEST, "USD")
    for later in (NOW, NOW + DAY, NOW + 10 * DAY):
        assert diff(catalog_of(world), old, later).commands == ()

    new = right(LISTED, listing(DatedRates(NOW - 90 * DAY, FLAT), digest="cd" * 32))
    commands = apply(world, new, NOW + DAY)

    cards = [command.card for command in commands if isinstance(command, PublishRateCard)]
    assert [card.valid_from for card in cards] == [NOW + DAY, NOW + 9 * DAY + 1]
    assert {card.snapshot_digest for card in cards} == {"cd" * 32}


def test_prices_that_ended_are_not_published() -> None:
    """A route that is new today gets the price of today and those to come."""
    dated = listing(DatedRates(None, FLAT), DatedRates(NOW - 9 * DAY, LONG), DatedRates(NOW - DAY, FLAT))
    commands = apply(platform(), right(LISTED, dated), NOW)
    (card,) = [command.card for command in commands if isinstance(command, PublishRateCard)]
    assert card.valid_from == NOW - DAY


RATES = st.integers(1, 3).map(lambda rate: {"text_output": Decimal(rate)})
STARTS = st.lists(st.integers(-5, 9), max_size=3, unique=True).map(sorted)


@st.composite
def dated_lists(draw: st.DrawFn) -> tuple[DatedRates, ...]:
    """Return prices of one model, of which the first may hold since ever."""
    starts = [NOW + day * DAY for day in draw(STARTS)]
    begin = [None] if not starts or draw(st.booleans()) else []
    return tuple(DatedRates(start, draw(RATES)) for start in (*begin, *starts))


@given(st.lists(st.tuples(dated_lists(), st.integers(0, 3 * DAY)), min_size=1, max_size=4))
def test_cards_follow_the_dates_of_any_list(steps: list[tuple[tuple[DatedRates, ...], int]]) -> None:
    """Lists applied one after the other: from then on each instant has the price that the last list dates there."""
    world, now = platform(), NOW
    for number, (dated, pause) in enumerate(steps):
        now += pause
        config = right(LISTED, listing(*dated, digest=f"{number % 2:064d}"))
        apply(world, config, now)
        catalog = catalog_of(world)
        prices = config.routes[0].prices
        for instant in (now, *(now + day * DAY + DAY // 2 for day in range(12)), *instants_after(prices, now)):
            # A card that was dated to the same instant is succeeded a microsecond later.
            card = card_in_force(catalog, "smart", instant + 9)
            begun = [price for price in prices if price.valid_from is None or price.valid_from <= instant]
            if begun:
                assert card is not None
                assert content_of_card(card) == content_of_price(begun[-1])
        for later in (now, now + 1, now + DAY, now + 20 * DAY):
            assert diff(catalog, config, later).commands == ()


def instants_after(prices: tuple[Price, ...], now: int) -> list[int]:
    """Return the dates of prices that lie ahead."""
    return [price.valid_from for price in prices if price.valid_from is not None and price.valid_from > now]


COST = '\n[routes.cost]\nrates = { text_output = "3" }\n'
LISTED_COST = '\n[routes.cost]\nfrom = "genai-prices"\nprovider = "openai"\n'


def with_cost(text: str, cost: str) -> str:
    """Return a file whose first route says what it costs."""
    head, tail = text.split('[[routes]]\nname = "cheap"')
    return f'{head}{cost}\n[[routes]]\nname = "cheap"{tail}'


def test_cost_is_stated_or_listed() -> None:
    """Rates of cost are in the provider's unit, of the same models as the price unless another pattern is named."""
    (price,) = smart(with_cost(LISTED, COST), listing(DatedRates(None, FLAT)))
    assert [(each.pattern, each.rates) for each in price.cost_models] == [("gpt-5*", {"text_output": "3"})]
    (price,) = smart(with_cost(RIGHT, COST), no_list)
    assert (price.cost_unit, price.cost_models[0].pattern) == ("USD", "gpt-5")
    later = listing(DatedRates(NOW, FLAT), DatedRates(NOW + DAY, LONG))
    now, then = smart(with_cost(RIGHT.replace("[routes.price]", "[routes.price]\nvalid_from = 2026-01-01T00:00:00Z", 1),
                                LISTED_COST), later)[-2:]  # fmt: skip
    assert (now.valid_from, then.valid_from) == (NOW, NOW + DAY)
    assert now.models == then.models
    assert [each.cost_models[0].rates["text_output"] for each in (now, then)] == ["10", "15"]
    (plain,) = smart(RIGHT, no_list)
    assert (plain.cost_unit, plain.cost_models) == (None, ())


def test_a_change_of_cost_is_a_new_card() -> None:
    """The price stays, the cost changes: what was routed before keeps the cost that it had."""
    world = platform()
    apply(world, right(with_cost(RIGHT, COST), no_list), NOW)
    commands = apply(world, right(with_cost(RIGHT, COST.replace("3", "4")), no_list), NOW + DAY)
    (card,) = [command.card for command in commands if isinstance(command, PublishRateCard)]
    assert (card.valid_from, card.cost_models[0].rates) == (NOW + DAY, {"text_output": "4"})


def test_dollars_are_no_cost_of_a_provider_that_bills_otherwise() -> None:
    """A listed price then leaves the cost unknown and says so; a cost from the list is a problem."""
    text = LISTED.replace('cost_unit = "USD"\ncost_scale = 9', 'cost_unit = "CNY"')
    config = right(text, listing(DatedRates(None, FLAT), notices=("also prices hours",)))
    assert config.routes[0].prices[0].cost_models == ()
    assert [notice.message[:18] for notice in config.notices] == ["also prices hours", "the provider bills"]
    assert set(config.notices) <= set(diff(catalog_of(platform()), config, NOW).notices)
    (problem,) = wrong(with_cost(text, LISTED_COST), listing(DatedRates(None, FLAT)))
    assert (problem.place, "bills in CNY" in problem.message) == ("routes.smart.cost.from", True)
    stated = right(with_cost(text, COST), listing(DatedRates(None, FLAT)))
    assert (stated.routes[0].prices[0].cost_unit, stated.notices) == ("CNY", ())


@pytest.mark.parametrize(
    ("cost", "place", "words"),
    [
        ("\n[routes.cost]\nrates = {}\n", "routes.smart.cost.rates", "are missing"),
        ("\n[routes.cost]\nrates = { text_output = 0.5 }\n", "routes.smart.cost.rates.text_output", "TOML float"),
        (f"{COST}list_rates = {{}}\n", "routes.smart.cost.list_rates", "unknown key"),
        (f'{COST}factor = "2"\n', "routes.smart.cost.factor", "unknown key"),
        (f'{LISTED_COST}factor = "2"\n', "routes.smart.cost.factor", "unknown key"),
        (LISTED_COST, "routes.smart.cost", "the length of the prompt"),
    ],
)
def test_a_wrong_cost_is_a_problem(cost: str, place: str, words: str) -> None:
    """Cost has rates and nothing that belongs to a price."""
    problems = wrong(with_cost(RIGHT, cost), listing(TIERED))
    assert [p for p in problems if p.place == place and words in p.message], problems


def test_a_route_that_the_caller_prices_has_no_cost() -> None:
    """There is no card that could hold it."""
    problems = wrong(RIGHT.replace('priced_by = "caller"', f'priced_by = "caller"{COST}'), no_list)
    assert [problem.place for problem in problems] == ["routes.cheap.cost"]


def test_a_listed_price_can_be_dated() -> None:
    """`valid_from` puts off the price that the list has then, and those that follow."""
    text = LISTED.replace("factor", "valid_from = 2027-01-01T00:00:00Z\nfactor", 1)
    january = 1_798_761_600_000_000
    prices = smart(text, listing(DatedRates(None, LONG), DatedRates(NOW, FLAT), DatedRates(january + DAY, LONG)))
    assert [price.valid_from for price in prices] == [january, january + DAY]
    assert prices[0].cost_models[0].rates["uncached_input"] == "1.25"
