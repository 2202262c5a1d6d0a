"""OpenAI's chat completions: one body, or chunks as server-sent events."""

import msgspec

from gateway.demo.upstream.answers import Answer, Usage
from gateway.demo.upstream.asked import Asked
from gateway.demo.upstream.failures import openai_error
from gateway.demo.upstream.pieces import CREATED, Json, Piece, data_event

DONE = Piece(b"data: [DONE]\n\n")
FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls"}
CACHE_HITS = frozenset({"deepseek"})
"""Providers that state hits and misses of the cache beside OpenAI's details."""


def chat_body(asked: Asked, answer: Answer, digest: str, provider: str) -> bytes:
    """Return a whole chat completion."""
    message: Json = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if answer.tool is not None:
        function = {"name": answer.tool, "arguments": answer.text}
        message |= {"content": None, "tool_calls": [{"id": f"call_{digest}", "type": "function", "function": function}]}
    choices = [
        {
            "index": index,
            "message": message,
            "logprobs": logprobs_of(asked, answer.text),
            "finish_reason": FINISH[answer.finish],
        }
        for index in range(asked.choices)
    ]
    body = chat_head(answer, digest, "chat.completion") | {"choices": choices}
    return msgspec.json.encode(body | ({"usage": chat_usage(answer.usage, provider)} if answer.has_usage else {}))


def chat_pieces(asked: Asked, answer: Answer, digest: str, provider: str) -> list[Piece]:
    """Return a chat completion as a stream. Each piece of the text comes once for every choice."""
    head = chat_head(answer, digest, "chat.completion.chunk")
    tail: Json = {"usage": None} if asked.wants_usage else {}

    def chunks(delta: Json, text: str = "", finish: str | None = None) -> list[Piece]:
        said: Json = {"delta": delta, "logprobs": logprobs_of(asked, text), "finish_reason": finish}
        events = [data_event(head | {"choices": [{"index": n, **said}]} | tail) for n in range(asked.choices)]
        return [Piece(event, len(text.encode())) for event in events]

    opening: Json = {"role": "assistant", "content": "", "refusal": None}
    if answer.tool is not None:
        function = {"name": answer.tool, "arguments": ""}
        call = {"index": 0, "id": f"call_{digest}", "type": "function", "function": function}
        opening = {"role": "assistant", "content": None, "tool_calls": [call]}
    pieces = chunks(opening)
    for text in answer.pieces:
        delta: Json = {"content": text}
        if answer.tool is not None:
            delta = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        pieces += chunks(delta, text)
    pieces += chunks({}, finish=FINISH[answer.finish])
    if asked.wants_usage and answer.has_usage:
        pieces.append(Piece(data_event(head | {"choices": [], "usage": chat_usage(answer.usage, provider)})))
    return [*pieces, DONE]


def chat_stream_error() -> bytes:
    """Return the event by which a chat stream says that it failed."""
    return b"data: " + openai_error(500, "The demo upstream was told to fail in the middle of its stream.") + b"\n\n"


def chat_head(answer: Answer, digest: str, kind: str) -> Json:
    """Return the members that a completion and each of its chunks begin with."""
    return {
        "id": f"chatcmpl-{digest}",
        "object": kind,
        "created": CREATED,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def logprobs_of(asked: Asked, text: str) -> Json | None:
    """Return made-up probabilities of a text, taken as one token, if they were asked for."""
    if not asked.wants_logprobs or not text:
        return None
    token = {"token": text, "logprob": -0.25, "bytes": list(text.encode()), "top_logprobs": []}
    return {"content": [token], "refusal": None}


def chat_usage(usage: Usage, provider: str) -> Json:
    """Return the usage of a chat completion."""
    said: Json = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.written_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    if provider in CACHE_HITS:
        said["prompt_cache_hit_tokens"] = usage.cached_tokens
        said["prompt_cache_miss_tokens"] = usage.input_tokens - usage.cached_tokens
    return said
