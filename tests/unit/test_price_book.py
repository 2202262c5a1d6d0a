"""The published price list: our rates against the library's own arithmetic, dates, and everything it can't say."""

import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from genai_prices import Usage as LibraryUsage
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import price_book
from gateway.price_book import dated_rates, find_prices, list_digest, listed_prices
from ledger.catalog.config.listed import DatedRates
from ledger.core.commands import to_datetime, to_microseconds
from ledger.pricing.usage import INPUT_PARTS, OUTPUT_PARTS, PARTS

DAY = 86_400_000_000
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
KEYS = {
    "cache_read": ("cache_read_tokens",),
    "cache_write_5m": ("cache_write_tokens",),
    "cache_write_1h": ("cache_write_tokens", "cache_write_1h_tokens"),
    "audio_input": ("input_audio_tokens",),
    "audio_cache_read": ("input_audio_tokens", "cache_read_tokens", "cache_audio_read_tokens"),
    "image_input": ("input_image_tokens",),
    "video_input": ("input_video_tokens",),
    "reasoning": ("output_reasoning_tokens",),
    "audio_output": ("output_audio_tokens",),
    "image_output": ("output_image_tokens",),
    "web_searches": ("web_searches",),
}
"""The library's counts that a token of our part raises, beside the total of its side."""


def models() -> Iterator[tuple[Provider, ModelInfo]]:
    """Yield every model of the list that has rates of ours."""
    for provider in providers:
        for model in provider.models:
            if not listed_prices(provider, model, 0).problem:
                yield provider, model


MODELS = list(models())
VARYING = [
    at for at, found in enumerate(MODELS) if any(dated.alternatives for dated in listed_prices(*found, 0).prices)
]
NUMBERS = st.integers(0, len(MODELS) - 1) | st.sampled_from(VARYING)


def library_usage(parts: dict[str, int]) -> LibraryUsage:
    """Return disjoint parts as the library's inclusive counts."""
    counts = {"input_tokens": 0, "output_tokens": 0, **{key: 0 for keys in KEYS.values() for key in keys}}
    for part, tokens in parts.items():
        side = "output_tokens" if part in OUTPUT_PARTS else "input_tokens"
        for key in (*(() if part == "web_searches" else (side,)), *KEYS.get(part, ())):
            counts[key] += tokens
    return LibraryUsage(**counts)


def rates_at(dated: list[DatedRates], instant: int, prompt: int) -> list[dict[str, Decimal]]:
    """Return the sets of rates that may hold at an instant for a prompt of a length."""
    now = [each for each in dated if each.start is None or each.start <= instant][-1]
    tiers = [each for each in now.alternatives if each.above_tokens is not None and each.above_tokens < prompt]
    timed = [each.rates for each in now.alternatives if each.above_tokens is None]
    if not tiers:
        return [now.rates, *timed]
    reached = max(tier.above_tokens or 0 for tier in tiers)
    return [each.rates for each in tiers if each.above_tokens == reached]


@settings(max_examples=300)
@given(NUMBERS, INSTANTS, st.data())
def test_our_rates_give_the_library_s_own_prices(number: int, instant: datetime, data: st.DataObject) -> None:
    """For any model, date, time of day, length of prompt and usage in parts that have a rate: the same dollars."""
    provider, model = MODELS[number]
    dated = list(listed_prices(provider, model, 0).prices)
    sets = [rates for each in dated for rates in (each.rates, *(other.rates for other in each.alternatives))]
    priced = sorted(set.intersection(*(set(rates) for rates in sets)))
    parts = data.draw(st.dictionaries(st.sampled_from(priced), st.integers(0, 600_000))) if priced else {}
    usage = library_usage(parts)
    candidates = rates_at(dated, to_microseconds(instant), sum(parts[part] for part in parts if part in INPUT_PARTS))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        price = model.calc_price(usage, provider, genai_request_timestamp=instant).total_price

    ours = [sum((rates[part] * tokens for part, tokens in parts.items()), Decimal(0)) / 10**6 for rates in candidates]
    once = Decimal(vars(model.get_prices(instant)).get("requests_kcount") or 0) / 1000
    assert any(abs(each + once - price) < Decimal("1e-20") for each in ours), (price, ours)


def test_the_parts_are_ours() -> None:
    """Every part that the list prices is a part of the ledger's."""
    assert {part for part, _ in price_book.PARTS_OF_PRICES.values()} <= set(PARTS)


def test_a_known_price_is_what_the_provider_publishes() -> None:
    """o3 became cheaper on 2025-06-10: two dated prices before it, one after it; searches are per thousand."""
    before = find_prices("openai", "o3", 0)
    after = find_prices("openai", "o3", to_microseconds(datetime(2026, 1, 1, tzinfo=UTC)))
    june = to_microseconds(datetime(2025, 6, 10, tzinfo=UTC))
    assert [(each.start, str(each.rates["uncached_input"])) for each in before.prices] == [(None, "10"), (june, "2")]
    assert after.prices == before.prices[1:]
    assert after.prices[0].rates["reasoning"] == after.prices[0].rates["text_output"] == 8
    assert after.prices[0].rates["web_searches"] == 10_000
    assert after.source == f"{price_book.list_name()}: openai o3"
    assert after.digest == list_digest()
    assert len(list_digest()) == 64
    assert any("storage_searches_kcount" in notice for notice in after.notices)
    assert any("service_tier" in notice for notice in after.notices)


def test_names_that_the_list_does_not_have_are_problems_with_a_hint() -> None:
    """An unknown provider or model is told with what is near; another provider's price is never taken instead."""
    assert "no provider opnai; did you mean openai" in find_prices("opnai", "gpt-5", 0).problem
    assert "no openai model gtp-5; did you mean gpt-5" in find_prices("openai", "gtp-5", 0).problem
    azure = next(each for each in providers if each.id == "azure")
    assert azure.fallback_model_providers
    assert azure.find_model("o1-preview-none", all_providers=providers) is None
    borrowed = next(
        model.id
        for each in providers
        if each.id in azure.fallback_model_providers
        for model in each.models
        if azure.find_model(model.id) is None and azure.find_model(model.id, all_providers=providers)
    )
    assert f"has no azure model {borrowed}" in find_prices("azure", borrowed, 0).problem


TIERED = TieredPrices(Decimal(1), [Tier(200_000, Decimal(2)), Tier(400_000, Decimal(4))])


def test_tiers_and_times_of_day_are_alternatives() -> None:
    """Longer prompts and some hours have rates of their own; a date after them ends them."""
    noon = TimeOfDateConstraint(time(12, tzinfo=UTC), time(13, tzinfo=UTC))
    spring = StartDateConstraint(date(2026, 3, 1))
    conditional = [
        ConditionalPrice(prices=ModelPrice(input_mtok=TIERED, output_mtok=Decimal(3))),
        ConditionalPrice(noon, prices=ModelPrice(input_mtok=Decimal(9))),
        ConditionalPrice(spring, prices=ModelPrice(input_mtok=Decimal(5))),
    ]
    (first, end), (second, last) = dated_rates(conditional)
    shown = [(each.above_tokens, str(each.rates["uncached_input"])) for each in first.alternatives]
    assert shown == [(200_000, "2"), (400_000, "4"), (None, "9")]
    assert str(first.alternatives[0].rates["text_output"]) == "3"
    assert (first.start, str(first.rates["uncached_input"])) == (None, "1")
    assert (second.rates, second.alternatives) == ({"uncached_input": Decimal(5)}, ())
    assert end == second.start == to_microseconds(datetime(2026, 3, 1, tzinfo=UTC))
    assert last is None


def model_of(*conditional: ConditionalPrice) -> ModelInfo:
    """Return a model with these prices."""
    return ModelInfo("m", ClauseEquals("m"), prices=list(conditional))


def test_where_no_date_holds_yet_the_first_price_does() -> None:
    """A list that begins with a date prices what came before by its first entry, as the library does."""
    march = ConditionalPrice(StartDateConstraint(date(2026, 3, 1)), prices=ModelPrice(input_mtok=Decimal(5)))
    april = ConditionalPrice(StartDateConstraint(date(2026, 4, 1)), prices=ModelPrice(input_mtok=Decimal(6)))
    prices = [dated.rates["uncached_input"] for dated, _ in dated_rates([march, april])]
    assert prices == [5, 5, 6]
    early = model_of(march, april).get_prices(to_datetime(0))
    assert early == march.prices


@pytest.mark.parametrize("rate", [Decimal("NaN"), Decimal("-1"), Decimal("Infinity"), "1", 1.5])
def test_a_rate_that_is_none_is_a_problem(rate: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the data holds, a problem in words is what comes out, never an exception."""
    broken = model_of(ConditionalPrice(prices=ModelPrice(input_mtok=rate)))  # type: ignore[arg-type]
    monkeypatch.setattr(price_book, "providers", [Provider("p", "P", "x", models=[broken])])
    assert find_prices("p", "m", 0).problem.endswith("input_mtok is no rate")


def test_a_model_without_rates_of_ours_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price per hour of audio alone can't price tokens."""
    hours = model_of(ConditionalPrice(prices=ModelPrice(audio_hours=Decimal(1))))
    monkeypatch.setattr(price_book, "providers", [Provider("p", "P", "x", models=[hours])])
    assert "has no rates of p m" in find_prices("p", "m", 0).problem
