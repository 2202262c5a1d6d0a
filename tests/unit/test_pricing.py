"""Usage and rating: parts sum to totals, every line against an oracle in fractions."""

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from fractions import Fraction

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.core.amounts import AMOUNT_MINOR_MAX
from ledger.core.refusals import Refusal, Refused
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import (
    VALID_FROM_MAX,
    ModelRates,
    RateCard,
    check_rate_card,
    matches,
    parse_rate,
    rates_for,
)
from ledger.pricing.rating import rate_tokens, rate_usage
from ledger.pricing.usage import INPUT_PARTS, OUTPUT_PARTS, PARTS, TOKENS_MAX, ModelUsage, Usage, check_usage
from tests import strategies as drawn
from tests.unit.story import USAGE, card

DECIMAL_ROUNDINGS = {
    Rounding.HALF_EVEN: ROUND_HALF_EVEN, Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.UP: ROUND_UP, Rounding.DOWN: ROUND_DOWN,
}  # fmt: skip
CARD = card("c", "r", "credit")


def price_of(tokens: int, rate: str, scale: int, rounding: Rounding) -> int:
    """Return tokens × rate ÷ 1,000,000 in smallest parts, by way of decimals."""
    with localcontext(prec=80):
        exact = Decimal(tokens) * Decimal(rate) / 10**6
        return int((exact * 10**scale).quantize(Decimal(1), rounding=DECIMAL_ROUNDINGS[rounding]))


def refusal_of(usage: Usage) -> Refusal:
    """Return the refusal that a usage meets."""
    with pytest.raises(Refused) as refused:
        check_usage(usage)
    assert refused.value.facts["field"] == "usage"
    return refused.value.code


def test_parts_are_disjoint() -> None:
    """No part belongs to both totals, so that no token is rated twice."""
    assert len(PARTS) == len(set(PARTS))
    assert not set(INPUT_PARTS) & set(OUTPUT_PARTS)


@given(drawn.usages())
def test_parts_that_sum_to_their_totals_pass(usage: Usage) -> None:
    """A usage whose parts add up is taken as it is."""
    assert check_usage(usage) is usage


@given(drawn.usages(), st.integers(-3, 3), st.integers(-3, 3))
def test_parts_that_miss_their_totals_are_refused(usage: Usage, more_in: int, more_out: int) -> None:
    """One token too few or too many in either total is refused."""
    assume(more_in or more_out)
    wrong = Usage(usage.input_tokens + more_in, usage.output_tokens + more_out, usage.parts)
    assert refusal_of(wrong) is Refusal.USAGE_INVALID


@given(st.sampled_from(PARTS), drawn.hostile_numbers)
def test_tokens_have_bounds(part: str, tokens: int) -> None:
    """A negative or enormous count is refused even where it adds up."""
    assume(not 0 <= tokens <= TOKENS_MAX)
    totals = [tokens if part in group else 0 for group in (INPUT_PARTS, OUTPUT_PARTS)]
    assert refusal_of(Usage(totals[0], totals[1], {part: tokens})) is Refusal.USAGE_INVALID


@given(drawn.any_text)
def test_an_unknown_part_is_refused(part: str) -> None:
    """A part that no rate card could price is refused, even at zero tokens."""
    assume(part not in PARTS)
    assert refusal_of(Usage(0, 0, {part: 0})) is Refusal.USAGE_INVALID


@given(st.integers(0, TOKENS_MAX), drawn.rate_texts(), drawn.scales, drawn.roundings)
def test_a_line_is_the_exact_product_rounded_once(tokens: int, rate: str, scale: int, rounding: Rounding) -> None:
    """Tokens × rate ÷ 1,000,000 is exact to the smallest part and rounded by the named rounding."""
    charge = rate_tokens(tokens, rate, scale, rounding)
    assert charge == price_of(tokens, rate, scale, rounding)
    assert abs(charge - Fraction(rate) * tokens * 10**scale / 10**6) < 1


@given(drawn.usages(10**6), drawn.rate_cards(), st.sampled_from(("gpt-5", "o3-mini", "other")), drawn.scales)
def test_a_rating_accounts_for_every_token(usage: Usage, rate_card: RateCard, model: str, scale: int) -> None:
    """Each part with tokens is one charge line or one unpriced line; sums, list price and mismatch agree."""
    rates = rate_card.models[1] if model == "o3-mini" else rate_card.models[0]
    used = {part: tokens for part, tokens in usage.parts.items() if tokens}
    rounding = rate_card.rounding
    try:
        rating = rate_usage(usage, rate_card, model, scale)
    except Refused as refused:
        found = refused
        assert found.code is Refusal.AMOUNT_OUT_OF_RANGE
        return
    assert {line.part: line.tokens for line in rating.lines} == {p: used[p] for p in used if p in rates.rates}
    assert {line.part: line.tokens for line in rating.unpriced} == {p: used[p] for p in used if p not in rates.rates}
    charge = list_charge = 0
    for line in rating.lines:
        assert line.rate == rates.rates[line.part]
        assert line.charge_minor == price_of(line.tokens, line.rate, scale, rounding)
        charge += line.charge_minor
        if line.part in rates.list_rates:
            assert line.list_rate == rates.list_rates[line.part]
            assert line.list_minor == price_of(line.tokens, line.list_rate, scale, rounding)
            list_charge += line.list_minor
        else:
            assert (line.list_rate, line.list_minor) == (None, None)
            list_charge += line.charge_minor
    assert (rating.charge_minor, rating.list_minor) == (charge, list_charge)
    assert rating.model_mismatch is (model == "other")


@given(
    drawn.rate_cards(),
    st.lists(st.tuples(st.sampled_from(("gpt-5", "o3-mini", "other")), drawn.usages(10**4)), min_size=1, max_size=4),
)
def test_other_models_are_rated_entry_by_entry(rate_card: RateCard, used: list[tuple[str, Usage]]) -> None:
    """Each model's tokens are rated as if they were all there was, and its lines say whose they are."""
    (model, usage), *more = used
    others = tuple(ModelUsage(name, each) for name, each in more)
    alone = [rate_usage(each, rate_card, name, 6) for name, each in used]
    rating = rate_usage(usage, rate_card, model, 6, others)
    names = [None, *(name for name, _ in more)]
    own = [
        msgspec.structs.replace(line, model=name) for name, one in zip(names, alone, strict=True) for line in one.lines
    ]
    left = [
        msgspec.structs.replace(line, model=name)
        for name, one in zip(names, alone, strict=True)
        for line in one.unpriced
    ]
    assert (rating.lines, rating.unpriced) == (tuple(own), tuple(left))
    assert rating.charge_minor == sum(one.charge_minor for one in alone)
    assert rating.list_minor == sum(one.list_minor for one in alone)
    assert rating.model_mismatch is any(one.model_mismatch for one in alone)


def test_lines_come_in_the_order_of_the_parts() -> None:
    """The same usage gives the same lines, whatever the order in which its parts were written."""
    backwards = Usage(USAGE.input_tokens, USAGE.output_tokens, dict(reversed(USAGE.parts.items())))
    rating = rate_usage(backwards, CARD, "gpt-5", 6)
    assert rating == rate_usage(USAGE, CARD, "gpt-5", 6)
    assert [line.part for line in rating.lines] == ["uncached_input", "cache_read", "text_output", "reasoning"]
    assert [line.charge_minor for line in rating.lines] == [2500, 125, 2500, 500]
    assert (rating.charge_minor, rating.list_minor) == (5625, 3125 + 125 + 3125 + 500)
    assert [(line.part, line.tokens) for line in rating.unpriced] == [("requests", 1)]


@given(st.integers(1, TOKENS_MAX))
def test_a_charge_out_of_range_is_refused(tokens: int) -> None:
    """A charge, or its list price, beyond what one command may name is refused, never stored."""
    usage = Usage(tokens, 0, {"uncached_input": tokens})
    dear, cheap = "999999999999", "0.01"
    for rates, listed in ((dear, None), (cheap, dear)):
        model = ModelRates("*", {"uncached_input": rates}, {"uncached_input": listed} if listed else {})
        priced = msgspec.structs.replace(CARD, models=(model,))
        limit = price_of(tokens, dear, 6, Rounding.HALF_EVEN)
        if limit <= AMOUNT_MINOR_MAX:
            rate_usage(usage, priced, "m", 6)
        else:
            with pytest.raises(Refused) as refused:
                rate_usage(usage, priced, "m", 6)
            assert refused.value.code is Refusal.AMOUNT_OUT_OF_RANGE


@given(drawn.pattern_texts, drawn.model_texts)
def test_a_star_stands_for_any_text_and_all_else_for_itself(pattern: str, model: str) -> None:
    """Patterns match as the corresponding regular expression does."""
    oracle = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert matches(pattern, model) is (re.fullmatch(oracle, model, re.DOTALL) is not None)


@given(drawn.pattern_texts, st.data())
def test_a_model_made_from_a_pattern_matches_it(pattern: str, data: st.DataObject) -> None:
    """Filling each star with any text gives a model that the pattern matches."""
    model = "".join(data.draw(drawn.model_texts) if letter == "*" else letter for letter in pattern)
    assert matches(pattern, model)


def test_the_first_pattern_that_matches_prices() -> None:
    """Order decides between patterns; a model that matches none is priced by the first and flagged."""
    assert rates_for(CARD, "gpt-5-nano") == (CARD.models[0], True)
    assert rates_for(CARD, "gpt-4o") == (CARD.models[1], True)
    assert rates_for(CARD, "gpt-4o-mini") == (CARD.models[0], False)


@given(drawn.rate_texts())
def test_a_rate_is_exact(text: str) -> None:
    """A rate is its digits and the number of decimals, to the last one."""
    digits, decimals = parse_rate(text)
    assert Fraction(digits, 10**decimals) == Fraction(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", "NaN", ".5", "1.", "01", "1\n", "１", "1" * 13, "1." + "1" * 13, " 1"]
)
def test_a_malformed_rate_is_refused(text: str) -> None:
    """Signs, exponents, foreign digits and more than twelve digits on a side are refused."""
    with pytest.raises(Refused) as refused:
        parse_rate(text)
    assert (refused.value.code, refused.value.facts["field"]) == (Refusal.RATE_INVALID, "rate")


RATE_INVALID = Refusal.RATE_INVALID
BAD_CARDS: list[tuple[dict[str, object], Refusal, str]] = [
    ({"models": ()}, RATE_INVALID, "models"),
    ({"models": (ModelRates("m", {"text_output": "1"}),) * 65}, RATE_INVALID, "models"),
    ({"models": (ModelRates("m", {}),)}, RATE_INVALID, "rates"),
    ({"models": (ModelRates("m", {"letters": "1"}),)}, RATE_INVALID, "rates"),
    ({"models": (ModelRates("m", {"reasoning": "1"}, {"letters": "1"}),)}, RATE_INVALID, "rates"),
    ({"models": (ModelRates("m", {"reasoning": "one"}),)}, RATE_INVALID, "rate"),
    ({"models": (ModelRates("m", {"reasoning": "1"}, {"text_output": "1"}),)}, RATE_INVALID, "list_rates"),
    ({"models": (ModelRates("m", {"reasoning": "1"}, {"reasoning": "-1"}),)}, RATE_INVALID, "rate"),
    ({"models": (ModelRates("a\0", {"reasoning": "1"}),)}, Refusal.TEXT_INVALID, "pattern"),
    ({"factor": "0"}, RATE_INVALID, "factor"),
    ({"units_per_source_unit": "0.0"}, RATE_INVALID, "units_per_source_unit"),
    ({"source": "x" * 201}, Refusal.TEXT_INVALID, "source"),
    ({"source_unit": "\n"}, Refusal.TEXT_INVALID, "source_unit"),
    ({"snapshot_digest": "x" * 129}, Refusal.TEXT_INVALID, "snapshot_digest"),
    ({"rate_card": "a/b"}, Refusal.TEXT_INVALID, "rate_card"),
    ({"route": "A"}, Refusal.TEXT_INVALID, "route"),
    ({"bucket": "A"}, Refusal.TEXT_INVALID, "bucket"),
    ({"valid_from": -1}, Refusal.NUMBER_OUT_OF_RANGE, "valid_from"),
    ({"valid_from": VALID_FROM_MAX + 1}, Refusal.NUMBER_OUT_OF_RANGE, "valid_from"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "code", "field"), BAD_CARDS)
def test_a_bad_card_is_refused(fields: dict[str, object], code: Refusal, field: str) -> None:
    """A card with an unknown part, a malformed rate or text, or no base for its discount names the field."""
    with pytest.raises(Refused) as refused:
        check_rate_card(msgspec.structs.replace(CARD, **fields))
    assert (refused.value.code, refused.value.facts["field"]) == (code, field)


@given(drawn.rate_cards())
def test_a_good_card_passes(rate_card: RateCard) -> None:
    """A card of known parts with well-formed rates is taken as it is."""
    assert check_rate_card(rate_card) is rate_card
