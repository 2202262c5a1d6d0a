"""What the demo's upstream plans for a call: behaviour as told, usage by the stated rules, the same every time."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.demo
from gateway.configuration import parse_configuration
from gateway.demo.configuration import UPSTREAM_KEY, demo_configuration, upstream_key
from gateway.demo.upstream.asked import Interface
from gateway.demo.upstream.behaviour import Behaviour, BehaviourUnreadable, behaviour_of, is_counted, read_rules
from gateway.demo.upstream.failures import told_failure
from gateway.demo.upstream.planning import Plan, plan_call
from gateway.settings import parse_settings
from gateway.usage.reported import ReportedUsage
from gateway.usage.states import UsageDialect
from gateway.usage.streams import begin, fold, read_body, result

INTERFACES: tuple[Interface, ...] = ("chat", "responses", "messages")
DIALECTS: dict[Interface, UsageDialect] = {
    "chat": "openai_chat",
    "responses": "openai_responses",
    "messages": "anthropic",
    "embeddings": "embeddings",
}
README = Path(gateway.demo.__file__).with_name("README.md")


def body_of(interface: Interface, prompt: str, **members: object) -> bytes:
    """Return a request with one text of a user."""
    body: dict[str, object] = {"model": "gpt-5"}
    if interface == "responses":
        body["input"] = prompt
    else:
        body["messages"] = [{"role": "user", "content": prompt}]
    if interface == "messages":
        body["max_tokens"] = 10_000
    if interface == "chat":
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body | members)


def plan(interface: Interface, body: bytes, told: str = "") -> Plan:
    """Return the plan for the first call of a request to OpenAI."""
    return plan_call(interface, "openai", body, behaviour_of(read_rules(told.encode()), "openai"))


def sent(planned: Plan) -> bytes:
    """Return all bytes of a plan."""
    return b"".join(piece.data for piece in planned.pieces)


def events_of(stream: bytes) -> list[Any]:
    """Return the data of a stream's events, decoded; `[DONE]` as it is."""
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [line.decode() if line == b"[DONE]" else msgspec.json.decode(line) for line in lines]


def reported(interface: Interface, stream: bytes) -> tuple[int | None, int | None]:
    """Return the totals that a stream reports, as the gateway reads them."""
    state = begin(DIALECTS[interface])
    for event in events_of(stream):
        state = fold(state, event)
    return totals_of(result(state))


def totals_of(report: ReportedUsage) -> tuple[int | None, int | None]:
    """Return the totals of a report; the output None where it may have been more."""
    output = None if report.output is None or report.output_may_grow else report.output.tokens
    return None if report.input is None else report.input.tokens, output


@given(
    st.sampled_from(INTERFACES),
    st.text(min_size=1, max_size=200),
    st.integers(1, 40),
    st.integers(1, 60),
    st.booleans(),
)
def test_usage_is_what_the_rules_say(interface: Interface, prompt: str, limit: int, chunks: int, tools: bool) -> None:
    """Whole and streamed answers have the usage of the rule, keep to the limit, and say the same text."""
    limits = {"chat": "max_completion_tokens", "responses": "max_output_tokens", "messages": "max_tokens"}
    members: dict[str, object] = {limits[interface]: limit}
    if tools:
        members |= {"tools": [{"type": "function", "name": "get", "function": {"name": "get"}}]}
        members |= {"tool_choice": {"type": "any"} if interface == "messages" else "required"}

    whole = plan(interface, body_of(interface, prompt, **members))
    stream = plan(interface, body_of(interface, prompt, stream=True, **members), f"*:chunks={chunks}")

    assert whole.usage == stream.usage
    assert whole.usage.input_tokens == max(1, -(-len(prompt.encode()) // 4))
    assert 1 <= whole.usage.output_tokens <= limit
    totals = (whole.usage.input_tokens, whole.usage.output_tokens)
    assert reported(interface, sent(stream)) == totals
    report = read_body(DIALECTS[interface], msgspec.json.decode(sent(whole)))
    assert totals_of(report) == totals
    text_bytes = sum(piece.content_bytes for piece in stream.pieces)
    assert max(1, -(-text_bytes // 4)) == whole.usage.output_tokens
    assert sum(piece.content_bytes for piece in whole.pieces) == text_bytes


@given(st.sampled_from(INTERFACES), st.integers(1, 50), st.text(max_size=40))
def test_split_streams_have_the_same_bytes(interface: Interface, size: int, prompt: str) -> None:
    """A stream that is cut into parts of one size says what it says otherwise, and the same every time."""
    body = body_of(interface, prompt, stream=True)

    parts = plan(interface, body, f"*:split={size}")

    assert sent(parts) == sent(plan(interface, body))
    assert {len(piece.data) for piece in parts.pieces[:-1]} <= {size}


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize(("word", "ending"), [("cut", "cut"), ("hang", "hung"), ("error", "error")])
@pytest.mark.parametrize("count", [0, 3, 99])
def test_streams_end_where_they_are_told(interface: Interface, word: str, ending: str, count: int) -> None:
    """After so many pieces of text a stream is cut, hangs or fails, and its usage never comes."""
    planned = plan(interface, body_of(interface, "hello", stream=True), f"*:{word}_after={count}")

    assert planned.ending == ending
    assert sum(piece.content_bytes > 0 for piece in planned.pieces) == min(count, 8)
    assert b"[DONE]" not in sent(planned)
    assert reported(interface, sent(planned))[1] is None
    assert (b"error" in planned.pieces[-1].data) == (word == "error")


def test_cache_and_reasoning_are_parts_of_the_totals() -> None:
    """Marked text counts as read from or written to the cache, and reasoning comes out of the limit first."""
    prompt = "x" * 92 + "[cached]" + "y" * 87 + "[cache-write]" + "z" * 100
    chat = plan("chat", body_of("chat", prompt, reasoning_effort="low", max_tokens=40))
    message = plan("messages", body_of("messages", prompt, thinking={"type": "enabled", "budget_tokens": 2000}))

    assert (chat.usage.input_tokens, chat.usage.cached_tokens, chat.usage.written_tokens) == (75, 25, 25)
    assert (chat.usage.output_tokens, chat.usage.reasoning_tokens) == (40, 32)
    report = read_body("anthropic", msgspec.json.decode(sent(message)))
    assert report.usage is not None
    assert report.usage.input_tokens == 75
    assert report.usage.parts == {
        "uncached_input": 25,
        "cache_read": 25,
        "cache_write_5m": 25,
        "reasoning": 64,
        "text_output": message.usage.output_tokens - 64,
    }


def test_every_choice_costs() -> None:
    """Three choices are sent three times and cost three times as much."""
    one, three = (plan("chat", body_of("chat", "hello", n=count)) for count in (1, 3))

    assert three.usage.output_tokens == 3 * one.usage.output_tokens
    assert [each["index"] for each in msgspec.json.decode(sent(three))["choices"]] == [0, 1, 2]


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("stream", [False, True])
def test_usage_can_be_left_out(interface: Interface, stream: bool) -> None:
    """Told so, the upstream says nothing of tokens; and a chat stream does not either when nobody asked."""
    silent = plan(interface, body_of(interface, "hello", stream=stream), "openai:no_usage")

    assert b'tokens"' not in sent(silent).replace(b'"max_output_tokens"', b"")
    assert b'"usage"' not in sent(plan("chat", body_of("chat", "hello", stream=True, stream_options=None)))


@pytest.mark.parametrize(
    ("interface", "provider", "status", "words"),
    [
        ("chat", "openai", 429, b"insufficient_quota"),
        ("responses", "azure", 429, b"insufficient_quota"),
        ("chat", "deepseek", 402, b"Insufficient Balance"),
        ("messages", "anthropic", 400, b"credit balance is too low"),
    ],
)
def test_empty_accounts_speak_as_their_provider(interface: Interface, provider: str, status: int, words: bytes) -> None:
    """An empty account is told in the words of each provider."""
    failure = told_failure(interface, provider, Behaviour(account_empty=True))

    assert failure is not None
    assert failure.status == status
    assert words in failure.body


def test_entries_are_for_their_provider_and_their_times() -> None:
    """An entry holds for its provider and the first calls it names; a later one wins."""
    rules = read_rules(b"*:chunks=20;status=500, deepseek:status=503;times=2, openai:stall_ms=5")

    assert behaviour_of(rules, "deepseek", "r", 2) == Behaviour(chunks=20, status=503)
    assert behaviour_of(rules, "deepseek", "r", 3) == Behaviour(chunks=20, status=500)
    assert behaviour_of(rules, "openai") == Behaviour(chunks=20, status=500, stall_ms=5)
    assert (is_counted(rules, "deepseek"), is_counted(rules, "openai")) == (True, False)


@pytest.mark.parametrize(
    "header", ["status=503", "*:status=200", "*:nonsense=1", "*:times=x", "*:chunks=0", "*:delay_ms"]
)
def test_unreadable_headers_are_refused(header: str) -> None:
    """A header that says nothing the upstream knows is refused, not passed over."""
    with pytest.raises(BehaviourUnreadable):
        read_rules(header.encode())


@given(st.integers(), st.integers(1, 5))
def test_chaos_falls_the_same_way_each_time(seed: int, ordinal: int) -> None:
    """The same seed, request and call meet the same mishap; none at chance 0, always one at chance 1."""
    rules = read_rules(f"*:chaos=1;seed={seed}".encode())

    assert behaviour_of(rules, "openai", "r", ordinal) == behaviour_of(rules, "openai", "r", ordinal)
    assert behaviour_of(rules, "openai", "r", ordinal) != Behaviour(chaos=1, seed=seed)
    assert behaviour_of(read_rules(f"*:chaos=0;seed={seed}".encode()), "openai") == Behaviour(seed=seed)


def test_chaos_strikes_about_as_often_as_told() -> None:
    """Of a thousand requests about a fifth meet a mishap, of every kind."""
    rules = read_rules(b"*:chaos=0.2;seed=7")
    met = [behaviour_of(rules, "openai", f"request-{number}") for number in range(1000)]
    struck = [each for each in met if each != Behaviour(chaos=0.2, seed=7)]

    assert 150 < len(struck) < 250
    assert {each.status for each in struck} == {None, 429, 500, 503}
    assert any(each.stall_ms for each in struck)
    assert any(each.cut_after for each in struck)
    assert any(each.error_after for each in struck)


def test_every_word_stands_in_the_readme() -> None:
    """The table of the README has every word that the header may hold, and no other."""
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = {row.split("`")[1].partition("=")[0] for row in rows}

    assert listed == {field.name for field in msgspec.structs.fields(Behaviour)} | {"times"}


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("127.0.0.1", "http://127.0.0.1:9/"),
        ("0.0.0.0", "http://127.0.0.1:9/"),  # noqa: S104 - served everywhere, called here
        ("::", "http://[::1]:9/"),
    ],
)
def test_the_demo_calls_itself_where_it_is_served(host: str, base: str) -> None:
    """Each provider of the demo is called on the demo's own port, and the header of its behaviour goes on."""
    text = demo_configuration(host, 9)
    config = parse_configuration(text)

    assert {provider.api_base.partition("demo/")[0] for provider in config.providers} == {base}
    assert {provider.api_key for provider in config.providers} == {f"os.environ/{UPSTREAM_KEY}"}
    assert parse_settings(text).edge.forward_headers == ("x-demo",)


def test_the_demo_needs_no_key_of_its_user() -> None:
    """A key is made where none is set, and a set one is left alone."""
    environ: dict[str, str] = {}

    assert len(upstream_key(environ)) > 20
    assert environ == {UPSTREAM_KEY: upstream_key(environ)}
    assert upstream_key({UPSTREAM_KEY: "mine"}) == "mine"
