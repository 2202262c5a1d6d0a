"""Bodies pass through: what the upstream gets and what the client gets are what the other side wrote, byte for byte.

The demo's upstream answers the same body with the same bytes, so that each call is compared with a direct one.
"""

import hashlib
import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.demo.configuration import upstream_key
from ledger.catalog.commands import PublishModel
from ledger.request.events import RequestRouted, TokensSettled
from tests.integration.edge_scene import CLIENT, EdgeScene

COMMENT = re.compile(rb": x-ledger (\{[^\n]*\})\n\n")
PIXEL = "data:image/png;base64," + "iVBORw0KGgo" * 4000
TOOL = '{"type":"function","function":{"name":"forecast","parameters":{"type":"object","properties":{}}}}'
ODD = '"unknown" : {"a": 1.0, "b":[1e400, "\\u4e2d" ]},\n  "service_tier":"flex"'
HI = '"messages":[{"role":"user","content":"Hi, 中文 \\u4e2d\\n"}]'

CHATS = {
    "plain": HI,
    "unknown members": f"{HI}, {ODD}",
    "choices": f'{HI},"n":3',
    "logprobs": f'{HI},"logprobs":true,"top_logprobs":2',
    "limit": f'{HI},"max_completion_tokens": 3',
    "json": f'{HI},"response_format":{{"type":"json_object"}}',
    "tools": f'{HI},"tools":[{TOOL}],"tool_choice":"required"',
    "reasoning": f'{HI},"reasoning_effort":"low","max_completion_tokens":200',
    "image": '"messages":[{"role":"user","content":[{"type":"text","text":"See"},'
    f'{{"type":"image_url","image_url":{{"url":"{PIXEL}"}}}}]}}]',
    "metadata": f'{HI},"user":"end-user-7","metadata":{{"team":"blue"}},"store":false',
}
"""Members of chat completions beside the model, as they are written."""

WHOLE = {
    **{f"chat {name}": ("/chat/completions", "smart", members) for name, members in CHATS.items()},
    "responses": ("/responses", "smart", f'"input":"Hi","reasoning":{{"effort":"low"}}, {ODD}'),
    "responses tools": ("/responses", "smart", '"input":"weather","tools":[{"type":"function","name":"f"}]'),
    "messages": ("/messages", "claude", f'"max_tokens":50,{HI},{ODD}'),
    "messages thinking": ("/messages", "claude", f'"thinking":{{"type":"enabled"}},"max_tokens":2000,{HI}'),
    "embeddings": ("/embeddings", "embed", '"input":["a","b"],"encoding_format":"base64" '),
}
UPSTREAMS = {
    "smart": ("openai", "gpt-5"),
    "claude": ("anthropic", "claude-sonnet-4-6"),
    "embed": ("openai", "text-embedding-3-small"),
}


def send(edge: EdgeScene, path: str, body: bytes, told: str = "") -> httpx.Response:
    """Call the gateway with a body as it is."""
    headers = {"Authorization": f"Bearer {edge.key}", "content-type": "application/json", "x-demo": told}
    return CLIENT.post(f"{edge.address}/v1{path}", content=body, headers=headers)


def direct(edge: EdgeScene, provider: str, path: str, body: bytes, told: str = "") -> httpx.Response:
    """Call the upstream with a body as it is."""
    headers = {"Authorization": f"Bearer {upstream_key()}", "x-demo": told}
    return CLIENT.post(f"{edge.address}/demo/{provider}/v1{path}", content=body, headers=headers)


def routed_and_settled(edge: EdgeScene, answer: httpx.Response) -> tuple[RequestRouted, TokensSettled]:
    """Return the first and the last event of a call."""
    first, *_, last = edge.events(answer.headers["x-request-id"])
    assert isinstance(first, RequestRouted)
    assert isinstance(last, TokensSettled)
    return first, last


def came(edge: EdgeScene, provider: str, answer: httpx.Response) -> str:
    """Return the digest of the body that the upstream got for a call."""
    digest: str = edge.served(provider)["requests"][answer.headers["x-request-id"]][-1]["body_sha256"]
    return digest


@pytest.mark.parametrize(("path", "model", "members"), WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_answer_is_the_upstreams_own(edge: EdgeScene, path: str, model: str, members: str) -> None:
    """Only the name of the model is another one in the call, and nothing at all in the answer."""
    provider, upstream_model = UPSTREAMS[model]
    answer = send(edge, path, f'{{"model":"{model}",{members}}}'.encode())
    # The names of members and what lies between them are written anew where one of them changes.
    raw = f'{{"model":"{upstream_model}",{members}}}'.encode()
    expected = re.sub(rb'"unknown" : ', b'"unknown":', raw).replace(b',\n  "service_tier"', b',"service_tier"')
    expected = re.sub(rb"(?<=[\]}\"0-9a-z]) *, *(?=\"(?:unknown|max_completion_tokens)\")", b",", expected)
    expected = expected.replace(b'tokens": 3', b'tokens":3').replace(b'"base64" }', b'"base64"}')
    assert answer.status_code == 200, answer.text
    assert came(edge, provider, answer) == hashlib.sha256(expected).hexdigest()
    assert answer.content == direct(edge, provider, path, expected).content


@pytest.fixture(scope="module")
def same_name(edge: EdgeScene) -> str:
    """A model that is called what the upstream calls it."""
    edge.do(PublishModel(model="gpt-5", targets=("smart-direct",), num_retries=0, change_id="gpt-5"))
    edge.follow_catalog()
    return "gpt-5"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    more=st.dictionaries(st.text(min_size=1).map(lambda name: f"x_{name}"), JSON_VALUES, max_size=4),
    indent=st.sampled_from([None, 1]),
    is_ascii=st.booleans(),
    text=st.text(max_size=30),
)
def test_a_body_that_need_not_change_is_not_touched(
    edge: EdgeScene, same_name: str, more: dict[str, Any], indent: int | None, is_ascii: bool, text: str
) -> None:
    """Whatever stands in it and however it is written: the upstream gets the very bytes."""
    body = {**more, "model": same_name, "messages": [{"role": "user", "content": text}]}
    try:
        written = json.dumps(body, indent=indent, ensure_ascii=is_ascii).encode()
    except UnicodeEncodeError:
        written = json.dumps(body, indent=indent).encode()
    answer = send(edge, "/chat/completions", written)
    assert answer.status_code == 200, answer.text
    assert came(edge, "openai", answer) == hashlib.sha256(written).hexdigest()
    assert answer.content == direct(edge, "openai", "/chat/completions", written).content


@pytest.mark.parametrize("members", CHATS.values(), ids=CHATS.keys())
@pytest.mark.parametrize("split", ["", "openai:split=13"])
def test_a_stream_without_usage_is_the_upstreams_less_its_usage(edge: EdgeScene, members: str, split: str) -> None:
    """Usage is asked for upstream and taken out again: each chunk is otherwise the same, and a comment is added."""
    body = f'{{"model":"smart","stream":true,{members}}}'.encode()
    answer = send(edge, "/chat/completions", body, split)
    asked = (
        body.replace(b'"smart"', b'"gpt-5"')
        .replace(b',\n  "service_tier"', b',"service_tier"')
        .replace(b', "unknown" : ', b',"unknown":')
        .replace(b'tokens": 3', b'tokens":3')
    )
    asked = asked[:-1] + b',"stream_options":{"include_usage":true}}'
    assert came(edge, "openai", answer) == hashlib.sha256(asked).hexdigest()
    upstream = direct(edge, "openai", "/chat/completions", asked, split).content
    without = re.sub(rb'data: [^\n]*"choices":\[\],"usage"[^\n]*\n\n', b"", upstream.replace(b',"usage":null', b""))
    assert without.count(b"\n\n") == upstream.count(b"\n\n") - 1
    assert COMMENT.sub(b"", answer.content) == without
    assert answer.content.endswith(b"\n\ndata: [DONE]\n\n")


STREAMS = {
    "chat": ("/chat/completions", "smart", f'"stream_options":{{"include_usage":true}},{HI}'),
    "responses": ("/responses", "smart", '"input":"Hi"'),
    "messages": ("/messages", "claude", f'"max_tokens":50,{HI}'),
}


@pytest.mark.parametrize(("path", "model", "members"), STREAMS.values(), ids=STREAMS.keys())
@pytest.mark.parametrize("size", [0, 7, 100])
def test_a_stream_with_usage_is_the_upstreams_and_the_charge(
    edge: EdgeScene, path: str, model: str, members: str, size: int
) -> None:
    """Every event is the upstream's own; beside the usage stands one member more, and a comment before the end."""
    provider, upstream_model = UPSTREAMS[model]
    told = f"*:split={size}" if size else ""
    answer = send(edge, path, f'{{"model":"{model}","stream":true,{members}}}'.encode(), told)
    upstream = direct(
        edge, provider, path, f'{{"model":"{upstream_model}","stream":true,{members}}}'.encode(), told
    ).content
    comment = COMMENT.search(answer.content)
    assert comment is not None
    without = COMMENT.sub(b"", answer.content)
    assert without.count(b"x_ledger") == 1
    assert without.replace(b',"x_ledger":' + comment[1], b"") == upstream
    assert json.loads(comment[1])["status"] == "settled"
    last = answer.content[comment.end() :]
    assert last.count(b"\n\n") == 1


def test_each_part_of_the_usage_has_its_rate(edge: EdgeScene) -> None:
    """What came from the cache, reasoning and every choice are rated as what they are."""
    text = "x" * 392 + "[cached]" + "y" * 400
    answer = edge.chat("smart", text, reasoning_effort="low", n=2, max_completion_tokens=50)
    _, event = routed_and_settled(edge, answer)
    assert {line.part: (line.tokens, line.charge_minor) for line in event.lines} == {
        "uncached_input": (100, 781),
        "cache_read": (100, 78),
        "text_output": (2 * 18, 2250),
        "reasoning": (2 * 32, 4000),
    }
    assert event.charge_minor == 781 + 78 + 2250 + 4000
    assert event.provider_cost is not None
    assert event.provider_cost.minor == 125_000 + 12_500 + 360_000 + 640_000


def test_images_count_in_the_hold_and_their_bytes_do_not(edge: EdgeScene) -> None:
    """Each image is held for at 2,000 tokens, in every interface, whatever its base64 weighs."""
    data = PIXEL.partition(",")[2]
    anthropic_image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    calls: tuple[tuple[str, str, Any], ...] = (
        ("/chat/completions", "messages", {"type": "image_url", "image_url": {"url": PIXEL}}),
        ("/responses", "input", {"type": "input_image", "image_url": PIXEL}),
        ("/messages", "messages", anthropic_image),
    )
    for path, member, image in calls:
        kind = "input_text" if path == "/responses" else "text"
        content = [{"type": kind, "text": "1234"}, image, image]
        model = "claude" if path == "/messages" else "smart"
        body = {"model": model, member: [{"role": "user", "content": content}]}
        answer = edge.post(path, body | ({"max_tokens": 50} if path == "/messages" else {}))
        assert answer.status_code == 200, answer.text
        routed, event = routed_and_settled(edge, answer)
        assert routed.estimate is not None
        # Beside text and images the body's own signs are held: members that nobody knows count as text.
        assert 2 + 2 * 2000 <= routed.estimate.input_tokens < 2 + 2 * 2000 + 200
        assert event.usage.input_tokens == 1 + 2 * 85


@pytest.mark.parametrize("text", ["请用中文解释复式记账。" * 200, "a" * 4000, "🜚" * 500])
@pytest.mark.parametrize("model", ["smart", "claude", "cheap"])
def test_the_hold_covers_the_charge_in_any_script(edge: EdgeScene, text: str, model: str) -> None:
    """Half a token a byte: Chinese, three bytes a character and about one token, is covered too."""
    routed, event = routed_and_settled(edge, edge.chat(model, text, max_tokens=400))
    assert routed.estimate is not None
    half = -(-len(text.encode()) // 2)
    assert half <= routed.estimate.input_tokens < half + 100
    assert (event.from_available_minor, event.overrun_minor) == (0, 0)
    assert event.released_minor > 0


def test_the_end_user_stands_in_the_book_as_a_hash(edge: EdgeScene) -> None:
    """The upstream gets the caller's own name for them, the book none that can be read."""
    answer = edge.chat("smart", "who", user="alice@example.com")
    routed, _ = routed_and_settled(edge, answer)
    assert routed.end_user == edge.ledger.hash_end_user("acme", "alice@example.com")
