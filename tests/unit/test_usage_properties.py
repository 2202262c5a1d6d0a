"""Whatever an upstream sends: no exception, parts that sum to their totals, and nothing ever added up."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.usage.filling import fill_in
from gateway.usage.reported import ReportedUsage
from gateway.usage.states import UsageDialect
from gateway.usage.streams import READERS, begin, fold, read_body, result
from ledger.pricing.usage import Usage, check_usage
from tests.strategies import hostile_numbers, hostile_texts

DIALECTS: tuple[UsageDialect, ...] = (*READERS, "anthropic")
COUNTS = (
    "prompt_tokens completion_tokens total_tokens input_tokens output_tokens cached_tokens cache_write_tokens"
    " ttl_30m_tokens ttl_12h_tokens audio_tokens image_tokens reasoning_tokens thinking_tokens"
    " prompt_cache_hit_tokens prompt_cache_miss_tokens cache_read_input_tokens cache_creation_input_tokens"
    " ephemeral_5m_input_tokens ephemeral_1h_input_tokens web_search_requests promptTokenCount"
    " candidatesTokenCount thoughtsTokenCount toolUsePromptTokenCount cachedContentTokenCount totalTokenCount"
    " tokenCount cost upstream_inference_cost cost_in_usd_ticks num_sources_used"
).split()
OBJECTS = (
    "prompt_tokens_details completion_tokens_details input_tokens_details output_tokens_details cost_details"
    " cache_write_tokens_details cache_creation server_tool_use server_tool_use_details"
).split()
LISTS = "promptTokensDetails cacheTokensDetails candidatesTokensDetails iterations".split()

dialects = st.sampled_from(DIALECTS)
junk = st.one_of(st.none(), st.booleans(), hostile_texts, hostile_numbers, st.floats(), st.just([]), st.just({}))
counts = st.integers(0, 2000) | st.integers(0, 9)
words = {
    "modality": st.sampled_from(("TEXT", "AUDIO", "IMAGE", "VIDEO", "DOCUMENT", "SMELL")) | junk,
    "type": st.sampled_from(("message", "compaction", "advisor_message", "fallback_message")) | junk,
    "model": st.sampled_from(("one", "two")) | junk,
    "is_byok": st.booleans() | junk,
}


def blocks(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw usage blocks with the fields of all dialects at once, nested as the dialects nest them."""
    flat: dict[str, Any] = dict.fromkeys(COUNTS, values) | words
    inner = st.fixed_dictionaries({}, optional=flat)
    nested = dict.fromkeys(OBJECTS, inner) | dict.fromkeys(LISTS, st.lists(inner, max_size=3))
    return st.fixed_dictionaries({}, optional=flat | nested)


def bodies(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw answers: the block stands wherever some dialect has it."""
    return blocks(values).map(lambda block: {"model": "one", "usage": block, "usageMetadata": block})


def events(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw events of any dialect that carry a block."""
    kinds = st.sampled_from(
        ("message_start", "message_delta", "message_stop", "response.completed", "response.created", "x")
    )
    ends: st.SearchStrategy[Any] = st.sampled_from((None, "stop", [], 1))
    return st.builds(shaped, blocks(values) | junk, kinds | junk, ends)


def shaped(block: Any, kind: Any, end: Any) -> dict[str, Any]:
    """Return an event that has a block in every place at once."""
    holder = {"model": "one", "usage": block}
    choice = {"index": 0, "finish_reason": end, "finishReason": end}
    return holder | {
        "type": kind,
        "message": holder,
        "response": holder,
        "delta": {"stop_reason": end},
        "choices": [choice],
        "candidates": [choice],
        "usageMetadata": block,
    }


def require_sound(reported: ReportedUsage) -> None:
    """Assert what holds for every report."""
    for side in (reported.input, reported.output):
        assert side is None or sum(side.parts.values()) == side.tokens
    for entry in (*reported.entries, *reported.unbilled):
        check_usage(entry.usage)
    assert reported.input is None or reported.input.tokens > 0
    if reported.status == "complete":
        assert reported.usage is not None
    else:
        assert reported.problems != ()
    if reported.status == "missing":
        assert (reported.input, reported.output, reported.others) == (None, None, ())


@given(dialects, bodies(counts))
def test_parts_are_disjoint_and_sum_to_the_totals(dialect: UsageDialect, body: dict[str, Any]) -> None:
    """However counts overlap, the parts of a report sum to its totals and the ledger accepts them."""
    require_sound(read_body(dialect, body))


@given(dialects, bodies(counts | junk) | junk)
def test_no_body_raises(dialect: UsageDialect, body: object) -> None:
    """Any JSON at all gives a sound report; what is unknown is named."""
    require_sound(read_body(dialect, body))


@given(dialects, st.lists(events(counts | junk) | junk | st.just("[DONE]"), max_size=5))
def test_no_stream_raises(dialect: UsageDialect, stream: list[object]) -> None:
    """Any events at all, cut at any point, give a sound report."""
    state = begin(dialect)
    require_sound(result(state))
    for event in stream:
        state = fold(state, event)
        require_sound(result(state))


@given(dialects, st.lists(events(counts), min_size=1, max_size=4))
def test_an_event_twice_counts_once(dialect: UsageDialect, stream: list[dict[str, Any]]) -> None:
    """Counts are overwritten, never added: every event may come twice in a row."""
    once = twice = begin(dialect)
    for event in stream:
        once = fold(once, event)
        twice = fold(fold(twice, event), event)
    assert result(once) == result(twice)


@given(dialects, bodies(counts | junk), st.integers(0, 500), st.integers(0, 500))
def test_filling_in_gives_what_can_be_settled(
    dialect: UsageDialect, body: dict[str, Any], input_estimate: int, output_estimate: int
) -> None:
    """A filled report is a usage that the ledger takes; a complete one is not touched."""
    reported = read_body(dialect, body)
    usage: Usage = fill_in(reported, input_estimate=input_estimate, output_estimate=output_estimate)
    check_usage(usage)
    if reported.status == "complete":
        assert usage == reported.usage
