"""Calls, answers and streams for the tests of translation, read back with the types of the official SDKs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from anthropic.lib.streaming import MessageStream
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai import OpenAI
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import BaseModel, TypeAdapter

from gateway.dialects.calls import CallRefused, read_call
from gateway.dialects.surface import Interface
from gateway.dialects.translation.calls import translate_call
from gateway.dialects.translation.events import ClientEvent
from gateway.dialects.translation.streams import StreamTranslator

Json = dict[str, Any]

CHAT_PARAMETERS: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
MESSAGES_PARAMETERS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
BEYOND_SDK = frozenset({"temperature", "top_p", "top_k"})
"""Anthropic's SDK has no names for these any more; its API takes them for many models."""

MODEL = "upstream-model"
LIMIT = 512
KEY = "not-a-key"
PIXEL = "iVBORw0KGgo="
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
WEATHER_TOOL: Json = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": WEATHER["function"]["parameters"],
    "strict": True,
}


def chat_call(messages: Sequence[object], **members: object) -> Json:
    """Return a chat's call."""
    return {"model": "smart", "messages": messages, **members}


def messages_call(messages: Sequence[object], **members: object) -> Json:
    """Return a call of messages."""
    return {"model": "claude", "max_tokens": 100, "messages": messages, **members}


def user(content: object) -> Json:
    """Return what a user says."""
    return {"role": "user", "content": content}


def asked(call_id: str, arguments: str) -> Json:
    """Return a chat's call of the weather tool."""
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def use(call_id: str, given: Json) -> Json:
    """Return Anthropic's use of the weather tool."""
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": given}


def text(said: str) -> Json:
    """Return a block or part of text; both dialects write it the same."""
    return {"type": "text", "text": said}


def to_messages(call: Json, *, output_limit: int = LIMIT) -> Json:
    """Return the call of messages that a chat's call becomes; the SDK's own type has a place for all of it."""
    body = translated("chat", "messages", call, "anthropic", output_limit)
    known = {name: value for name, value in body.items() if name not in BEYOND_SDK and value is not True}
    assert settled(MESSAGES_PARAMETERS.validate_python(known)) == known
    return body


def to_chat(call: Json, *, dialect: str = "openai", output_limit: int = LIMIT) -> Json:
    """Return the chat's call that a call of messages becomes; the SDK's own type has a place for all of it."""
    body = translated("messages", "chat", call, dialect, output_limit)
    known = {name: value for name, value in body.items() if name != "top_k" and value is not True}
    assert settled(CHAT_PARAMETERS.validate_python(known)) == known
    return body


def settled(value: object) -> object:
    """Return what the SDKs' types keep of a value. They look at the items of a list only when somebody asks."""
    if isinstance(value, BaseModel):
        return settled(value.model_dump(exclude_unset=True))
    if isinstance(value, Mapping):
        return {name: settled(each) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [settled(each) for each in value]
    return value


def translated(interface: Interface, to: Interface, call: Json, dialect: str, output_limit: int) -> Json:
    """Return a call as an upstream gets it."""
    read = read_call(interface, json.dumps(call).encode())
    body: Json = json.loads(translate_call(read, to, model=MODEL, output_limit=output_limit, dialect=dialect))
    return body


def refused(interface: Interface, call: Json, dialect: str = "openai") -> str | None:
    """Return which parameter a refusal of the call names."""
    to: Interface = "messages" if interface == "chat" else "chat"
    with pytest.raises(CallRefused) as caught:
        translated(interface, to, call, dialect, LIMIT)
    assert caught.value.error.status == 400
    return caught.value.error.param


def translate_all(to: Interface, events: Iterable[object], *, asked_usage: bool = True) -> list[ClientEvent]:
    """Return all the client's events for a stream."""
    translator = StreamTranslator(to, asked_usage=asked_usage)
    said = [client for event in events for client in translator.translate(event)]
    return said + translator.close()


def sse(events: Iterable[ClientEvent]) -> bytes:
    """Return events as a server sends them."""
    lines = []
    for event in events:
        data = event.data if isinstance(event.data, str) else json.dumps(event.data)
        lines.append(("" if event.name is None else f"event: {event.name}\n") + f"data: {data}\n\n")
    return "".join(lines).encode()


def read_message(events: Iterable[ClientEvent]) -> Message:
    """Return what the anthropic SDK's stream helper makes of events."""
    content = sse(events)

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content, request=request)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        Anthropic(api_key=KEY, base_url="http://gateway.test", http_client=http, max_retries=0) as client,
        client.messages.stream(model="claude", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        return final_message(stream)


def final_message(stream: MessageStream[None]) -> Message:
    """Return the accumulated message, checked by its own type without mercy."""
    return Message.model_validate_json(stream.get_final_message().to_json(), strict=True)


def read_completion(events: Iterable[ClientEvent]) -> ChatCompletion:
    """Return what the openai SDK's stream helper makes of chunks."""
    content = sse(events)

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content, request=request)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        OpenAI(api_key=KEY, base_url="http://gateway.test", http_client=http, max_retries=0) as client,
        client.chat.completions.stream(model="smart", messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        completion = stream.get_final_completion()
    return ChatCompletion.model_validate_json(completion.to_json(), strict=True)


def calls_of(answer: ChatCompletion) -> list[tuple[str, str, str]]:
    """Return the calls of an answer as (id, name, arguments)."""
    calls = answer.choices[0].message.tool_calls or []
    return [(call.id, call.function.name, call.function.arguments) for call in calls if call.type == "function"]
