"""What is held before a call covers what it can cost, to the last smallest part; what is not covered is said."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.dialects.calls import CallBody, read_call
from gateway.routing.candidates import Target
from gateway.routing.sizing import (
    affordable_output_limit,
    cost_minor,
    cost_of,
    dearest_of,
    estimate_input,
    estimate_of,
    hold_minor,
    output_limit_of,
)
from gateway.settings import Hold
from ledger.catalog.events import ProviderPublished, RoutePublished
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.rating import rate_usage
from ledger.pricing.usage import ModelUsage, Usage
from tests import strategies as drawn

PROVIDER = ProviderPublished("openai", "openai", "https://api.example/v1", "USD", 9)
CALL = CallBody(interface="chat", body=b"", members={}, model="smart")
SERVED = st.sampled_from(("gpt-5-2025-08-07", "o3-mini", "unheard-of"))
"""Models of both families of the drawn cards, and one that falls back to the first."""

# A sentence; its tokens as OpenAI's tokenizers of 2023 (cl100k) and 2024 (o200k) and Anthropic's published one count.
SENTENCES = {
    "english": (
        "Please summarise the following contract in three sentences and list all payment terms.", (15, 15, 15),
    ),
    "chinese": ("请用三句话概括以下合同，并列出所有付款条款。", (22, 16, 21)),
    "english, longer": (
        "Artificial intelligence is changing how companies work. Many teams use large language models to write code, "
        "answer customers and analyse data. The cost of each request depends on the number of tokens.", (37, 36, 37),
    ),
    "chinese, longer": (
        "人工智能正在改变企业的工作方式。许多团队使用大语言模型编写代码、回答客户问题和分析数据。"
        "每个请求的费用取决于令牌的数量。", (59, 40, 48),
    ),
    "traditional chinese": (
        "人工智慧正在改變企業的工作方式。許多團隊使用大型語言模型撰寫程式、回答客戶問題和分析資料。", (56, 33, 52),
    ),
}  # fmt: skip
UNUSUAL = {
    "classical chinese": (
        "落霞与孤鹜齐飞，秋水共长天一色。渔舟唱晚，响穷彭蠡之滨；雁阵惊寒，声断衡阳之浦。",
        (65, 47, 61),
    ),
    "rare characters": ("龘靐齉爩龗", (11, 10, 10)),
    "random letters": ("Zq7xK9vB2mW4pL8tR1yH6nJ3cF5gD0sA", (32, 32, 32)),
}


TIMES = 50
"""How often a text is said where only the text shall count."""


def target_of(card: RateCard, *, default: int | None = None, name: str = "route") -> Target:
    """Return a target with a card."""
    route = RoutePublished(name, "openai", "gpt-5", "credit", "direct", default_output_limit=default)
    return Target(route, PROVIDER, card, "chat")


def priced(rounding: Rounding = Rounding.HALF_EVEN, **rates: str) -> Target:
    """Return a target with one model and these rates."""
    return target_of(RateCard("card", "route", "credit", 0, (ModelRates("*", rates),), "test", rounding))


def charge_of(target: Target, usage: Usage, scale: int, model: str = "gpt-5", others: Sequence[ModelUsage] = ()) -> int:
    """Return what the ledger charges for a usage."""
    return rate_usage(usage, target.card, model, scale, others).charge_minor


targets = st.builds(target_of, drawn.rate_cards(), default=st.none() | st.integers(1, 10**5))
groups = st.lists(targets, min_size=1, max_size=4)
holds = st.builds(
    Hold,
    bytes_per_token=st.integers(1, 16),
    tokens_per_image=st.integers(1, 3000),
    default_output_limit=st.integers(64, 5000),
    minimum_output_limit=st.integers(1, 64),
)


@given(st.data(), drawn.call_bodies(), groups, holds, drawn.scales, SERVED)
def test_a_hold_covers_every_usage_within_its_estimate(
    data: st.DataObject, call: CallBody, group: list[Target], settings: Hold, scale: int, model: str
) -> None:
    """Whichever target serves, whichever model and parts it reports: the charge is no smallest part above the hold."""
    target = data.draw(st.sampled_from(group))
    estimate = estimate_of(call, target, settings)
    usage = data.draw(drawn.usages_within(estimate.input_tokens, estimate.output_tokens, audio=call.has_audio))
    assert charge_of(target, usage, scale, model) <= hold_minor(call, group, settings, scale)


@given(st.data(), drawn.call_bodies(), targets, drawn.scales, SERVED)
def test_other_models_of_an_answer_add_a_rounding_each_line(
    data: st.DataObject, call: CallBody, target: Target, scale: int, model: str
) -> None:
    """Tokens of several models within the estimate pass the hold by one smallest part a line of theirs at most."""
    settings = Hold()
    estimate = estimate_of(call, target, settings)
    own = data.draw(drawn.usages_within(estimate.input_tokens, estimate.output_tokens, audio=call.has_audio))
    left = (estimate.input_tokens - own.input_tokens, estimate.output_tokens - own.output_tokens)
    others = (ModelUsage("o1-mini", data.draw(drawn.usages_within(*left, audio=call.has_audio))),)
    rating = rate_usage(own, target.card, model, scale, others)
    lines = sum(line.model is not None for line in rating.lines)
    assert rating.charge_minor <= hold_minor(call, [target], settings, scale) + lines


@pytest.mark.parametrize(
    ("rounding", "rates", "parts", "charge", "hold"),
    [
        (Rounding.HALF_UP, ("0.5", "0.5"), (1, 1), 2, 2),
        (Rounding.HALF_EVEN, ("1.5", "1.5"), (1, 1), 4, 4),
        (Rounding.UP, ("0.000001", "0.000001"), (1, 1), 2, 2),
        (Rounding.UP, ("1", "1"), (1, 1), 2, 2),
        (Rounding.DOWN, ("0.9", "0.9"), (1, 1), 0, 2),
        (Rounding.HALF_EVEN, ("2", "3"), (7, 3), 23, 30),
    ],
)
def test_what_rounding_adds_is_held(
    rounding: Rounding, rates: tuple[str, str], parts: tuple[int, int], charge: int, hold: int
) -> None:
    """Two lines that are both rounded up are covered; rates without a rest per token hold nothing for rounding."""
    target = priced(rounding, uncached_input=rates[0], cache_read=rates[1])
    call = msgspec.structs.replace(CALL, text_bytes=2 * sum(parts))
    usage = Usage(sum(parts), 0, {"uncached_input": parts[0], "cache_read": parts[1]})
    assert charge_of(target, usage, 6) == charge
    assert hold_minor(call, [target], Hold(), 6) == hold


def test_the_lines_of_the_model_that_has_most_are_held() -> None:
    """Three lines of a card's second model, each rounded up from next to nothing, are three smallest parts held."""
    small = dict.fromkeys(("uncached_input", "cache_read", "cache_write_1h"), "0.000001")
    models = (ModelRates("gpt-5*", {"uncached_input": "0"}), ModelRates("o*", small))
    target = target_of(RateCard("card", "route", "credit", 0, models, "test", Rounding.UP))
    call = msgspec.structs.replace(CALL, text_bytes=6)
    assert charge_of(target, Usage(3, 0, dict.fromkeys(small, 1)), 6, "o3") == 3
    assert hold_minor(call, [target], Hold(), 6) == 3


def test_a_hold_is_the_dearest_target_at_its_dearest_rates() -> None:
    """1,000 tokens in and 4,096 out at the highest rates of the card that costs most: 2.5 + 40.96 thousandths."""
    cheap = priced(uncached_input="1", text_output="2")
    dear = priced(uncached_input="2.50", cache_read="0.25", text_output="4", reasoning="10")
    call = msgspec.structs.replace(CALL, text_bytes=2000)
    # The input's two rates both leave a rest per token: their two lines can be rounded up by one part together.
    assert hold_minor(call, [cheap], Hold(), 6) == 1000 + 2 * 4096
    assert hold_minor(call, [cheap, dear], Hold(), 6) == hold_minor(call, [dear], Hold(), 6) == 2500 + 1 + 40_960


def test_the_dearest_model_of_a_card_counts() -> None:
    """An upstream may answer with any model that the card prices: the hold covers the dearest."""
    models = (ModelRates("mini*", {"text_output": "1"}), ModelRates("*", {"text_output": "60"}))
    target = target_of(RateCard("card", "route", "credit", 0, models, "test"))
    assert hold_minor(CALL, [target], Hold(), 6) == 60 * 4096


def test_audio_is_held_at_audio_rates_only_where_a_call_has_audio() -> None:
    """A call without sound does not hold what sound would cost; one with sound does, cached or not."""
    target = priced(text_output="1", audio_output="80", uncached_input="1", audio_input="40", audio_cache_read="50")
    call = msgspec.structs.replace(CALL, text_bytes=2000, output_limit=1000)
    assert hold_minor(call, [target], Hold(), 6) == 2000
    assert hold_minor(msgspec.structs.replace(call, has_audio=True), [target], Hold(), 6) == (1000 + 2000) * 50 + 80_000


def test_every_answer_that_is_asked_for_is_held() -> None:
    """With n answers each may be as long as the limit; the prompt is read once."""
    target = priced(uncached_input="1", text_output="1")
    call = msgspec.structs.replace(CALL, text_bytes=200, output_limit=50, choices=3)
    assert estimate_of(call, target, Hold()).output_tokens == 150
    assert hold_minor(call, [target], Hold(), 6) == 100 + 150


def test_things_that_are_counted_are_not_held() -> None:
    """Requests, searches and calls of tools can't be known before: what they cost comes on top of the hold."""
    target = priced(text_output="1", requests="1000000", web_searches="10000", tool_calls="100")
    usage = Usage(0, 4096, {"text_output": 4096, "requests": 1, "web_searches": 2, "tool_calls": 5})
    assert hold_minor(CALL, [target], Hold(), 6) == 4096
    assert charge_of(target, usage, 6) == 4096 + 1_000_000 + 20_000 + 500


def test_the_output_limit_is_the_callers_else_the_routes_else_the_settings() -> None:
    """Who names a limit is believed first; embeddings have no output."""
    card = RateCard("card", "route", "credit", 0, (ModelRates("*", {"text_output": "1"}),), "test")
    plain, own = target_of(card), target_of(card, default=300)
    limited = msgspec.structs.replace(CALL, output_limit=7)
    assert [output_limit_of(CALL, each, Hold()) for each in (plain, own)] == [4096, 300]
    assert [output_limit_of(limited, each, Hold()) for each in (plain, own)] == [7, 7]
    assert output_limit_of(msgspec.structs.replace(CALL, interface="embeddings"), own, Hold()) == 0


def test_a_hold_is_never_zero() -> None:
    """A route that costs nothing holds one smallest part: a hold of nothing is none."""
    assert hold_minor(CALL, [priced(text_output="0")], Hold(), 6) == 1


@given(st.integers(0, 10**9), st.integers(0, 10**24), st.integers(0, 9), st.integers(0, 5))
def test_a_cost_is_rounded_up(tokens: int, rate: int, scale: int, rounding: int) -> None:
    """What tokens cost is the smallest whole number that is not below the exact product, and nothing for no tokens."""
    cost = cost_minor(tokens, rate, rounding, scale) - (rounding if tokens else 0)
    exact = tokens * rate * 10**scale
    assert cost * 10**18 >= exact > (cost - 1) * 10**18


@given(drawn.call_bodies(), groups, holds, drawn.scales, st.data())
def test_the_affordable_limit_is_the_largest_that_fits(
    call: CallBody, group: list[Target], settings: Hold, scale: int, data: st.DataObject
) -> None:
    """Its hold fits into available, one token more does not unless no more was wanted; it is never below the least."""
    most = hold_minor(call, group, settings, scale)
    available = data.draw(st.integers(-5, most + 5) | st.integers(max(0, most - 20), most))
    limit = affordable_output_limit(call, group, available, settings, scale)
    wanted = min(output_limit_of(call, target, settings) for target in group)
    lowest = min(settings.minimum_output_limit, call.output_limit or settings.minimum_output_limit)

    def needed(output_limit: int) -> int:
        return hold_minor(msgspec.structs.replace(call, output_limit=output_limit), group, settings, scale)

    if limit is None:
        assert call.interface == "embeddings" or wanted < lowest or needed(lowest) > available
    else:
        assert lowest <= limit <= wanted
        assert needed(limit) <= available
        assert limit == wanted or needed(limit + 1) > available


@pytest.mark.parametrize(
    ("available", "asked", "limit"),
    [(10_100, None, 1000), (10_099, None, 999), (740, None, 64), (739, None, None), (739, 50, 50), (200, 10, 10),
     (199, 10, None), (100, None, None), (99, None, None), (0, None, None), (-1, None, None)],
)  # fmt: skip
def test_a_small_balance_affords_a_short_answer(available: int, asked: int | None, limit: int | None) -> None:
    """After 100 for the prompt, 10 a token; less than 64 tokens are no use unless the caller asked for less."""
    target = priced(uncached_input="1", text_output="10")
    call = msgspec.structs.replace(CALL, text_bytes=200, output_limit=asked)
    assert affordable_output_limit(call, [target], available, Hold(), 6) == limit


def test_no_limit_makes_a_free_answer_fit_into_nothing() -> None:
    """Where output is free, the limit stays what was wanted if the prompt can be paid; with nothing there is none."""
    prompt = msgspec.structs.replace(CALL, text_bytes=200)
    paid = [priced(uncached_input="1", text_output="0")]
    assert [affordable_output_limit(prompt, paid, left, Hold(), 6) for left in (100, 99)] == [4096, None]
    free = priced(text_output="0")
    assert affordable_output_limit(CALL, [free], 1, Hold(), 6) == 4096
    assert affordable_output_limit(CALL, [free], 0, Hold(), 6) is None


def test_no_target_is_sent_a_higher_limit_than_its_own() -> None:
    """A route whose answers are short by default keeps the whole group's limit down to its own."""
    card = priced(text_output="1").card
    assert affordable_output_limit(CALL, [target_of(card), target_of(card, default=100)], 2000, Hold(), 6) == 100


@given(drawn.call_bodies(), targets, holds, drawn.scales)
@example(msgspec.structs.replace(CALL, interface="embeddings", text_bytes=10), priced(uncached_input="1"), Hold(), 0)
def test_more_to_read_never_costs_less(call: CallBody, target: Target, settings: Hold, scale: int) -> None:
    """A longer prompt, another picture, sound or another answer never makes a hold smaller."""
    cost = cost_of(call, target, settings, scale)
    for more in (
        {"text_bytes": call.text_bytes + 99},
        {"images": call.images + 1},
        {"has_audio": True},
        {"uncounted_bytes": call.uncounted_bytes + 99},
        {"sound_bytes": call.sound_bytes + 99},
        {"references": call.references + 1},
    ):
        assert cost_of(msgspec.structs.replace(call, **more), target, settings, scale) >= cost
    assert cost_of(msgspec.structs.replace(call, choices=call.choices + 1), target, settings, scale) >= cost


def said(text: str) -> CallBody:
    """Return a call that says a text so often that the rest of its body hardly counts."""
    message = {"role": "user", "content": text * TIMES}
    return read_call("chat", msgspec.json.encode({"model": "m", "messages": [message]}))


@pytest.mark.parametrize("name", SENTENCES)
def test_the_estimate_covers_ordinary_chinese_and_english(name: str) -> None:
    """A sentence is estimated at no fewer tokens than three real tokenizers make of it, nor at thrice as many."""
    text, counts = SENTENCES[name]
    assert TIMES * max(counts) <= estimate_input(said(text), Hold()) <= 3 * TIMES * max(counts)


@pytest.mark.parametrize(("english", "chinese"), [("english", "chinese"), ("english, longer", "chinese, longer")])
def test_the_same_in_chinese_is_held_alike(english: str, chinese: str) -> None:
    """The same sentence is held at much the same in both languages, though Chinese has a third of the letters."""
    in_english, in_chinese = (estimate_input(said(SENTENCES[each][0]), Hold()) for each in (english, chinese))
    assert 0.75 * in_english <= in_chinese <= in_english


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_text_needs_a_byte_for_a_token(name: str) -> None:
    """Classical or rare Chinese and random letters pass the estimate; no tokenizer makes two tokens of one byte."""
    text, counts = UNUSUAL[name]
    held, more = (estimate_input(said(text), Hold(bytes_per_token=each)) for each in (2, 1))
    assert held < TIMES * max(counts) <= more


@given(st.text(max_size=50), st.integers(0, 5), st.integers(1, 16), st.integers(1, 5000))
def test_the_estimate_is_bytes_and_pictures(text: str, images: int, per_token: int, per_image: int) -> None:
    """Bytes are divided and rounded up; each picture counts for so many tokens."""
    assume(text.isprintable())
    settings = Hold(bytes_per_token=per_token, tokens_per_image=per_image)
    size = len(text.encode())
    call = msgspec.structs.replace(CALL, text_bytes=size, images=images)
    tokens = estimate_input(call, settings) - images * per_image
    assert tokens * per_token >= size > (tokens - 1) * per_token


def test_the_estimate_has_sound_and_references() -> None:
    """Sound counts by its length, and what a call only names as much as the settings say."""
    call = msgspec.structs.replace(
        CALL, text_bytes=9, uncounted_bytes=1, images=1, has_audio=True, sound_bytes=201, references=3
    )
    settings = Hold(tokens_per_image=100, tokens_per_reference=1000)
    assert estimate_input(call, settings) == 5 + 3 + 2 * 100 + 3 * 1000


@pytest.mark.parametrize(
    ("budget", "asked", "available", "limit"),
    [
        (500, None, 5_110, 501),
        (500, None, 5_100, None),
        (500, 2000, 5_100, None),
        (500, 2000, 30_000, 2000),
        (3000, 2000, 30_000, 2000),
        (None, 2000, 5_100, 500),
    ],
)
def test_no_limit_is_lowered_below_the_thinking(
    budget: int | None, asked: int | None, available: int, limit: int | None
) -> None:
    """Anthropic refuses a limit that leaves no room beside the thinking; the caller's own limit is the caller's."""
    target = priced(uncached_input="1", text_output="10")
    call = msgspec.structs.replace(CALL, text_bytes=200, output_limit=asked, thinking_budget=budget)
    assert affordable_output_limit(call, [target], available, Hold(), 6) == limit


def test_the_highest_rates_are_found_whatever_their_places() -> None:
    """Rates compare by value, not by their text: 10 is more than 9.999999999999."""
    card = priced(uncached_input="9.999999999999", cache_write_1h="10", text_output="0.000000000001").card
    rates = dearest_of(card, 6)
    assert (rates.input, rates.output) == (10 * 10**12, 1)
