"""What a request asks for, in whichever of the four interfaces it is written."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.demo.upstream.bodies import (
    ChatRequest,
    Choice,
    EmbeddingsRequest,
    Function,
    Message,
    MessagesRequest,
    Part,
    ResponsesRequest,
    Tool,
)
from gateway.demo.upstream.filling import Schema, fill

Interface = Literal["chat", "responses", "messages", "embeddings"]

REASONING_TOKENS = {"minimal": 8, "low": 32, "medium": 64, "high": 128, "xhigh": 256}
THINKING_TOKENS = 64
WEATHER = ("weather", "天气")
IMAGES = frozenset({"image_url", "input_image", "image"})
JSON_FORMATS = frozenset({"json_object", "json_schema"})
EMBEDDING_DIMENSIONS = 64


class BodyUnreadable(ValueError):
    """A body is not what the interface asks for."""


class Asked(Struct, frozen=True):
    """One request, whatever its interface."""

    model: str
    texts: tuple[str, ...]
    """Every text of the prompt, in order."""

    question: str = ""
    """The last text of the user."""

    images: int = 0
    limit: int | None = None
    choices: int = 1
    is_stream: bool = False
    wants_usage: bool = True
    wants_logprobs: bool = False
    reasoning_tokens: int = 0
    tool: str | None = None
    """The tool to be called."""

    filled: str | None = None
    """JSON that takes the place of the answer's text: the tool's arguments, or because JSON was asked for."""

    inputs: tuple[str, ...] = ()
    dimensions: int = EMBEDDING_DIMENSIONS
    is_base64: bool = False


def read_asked(interface: Interface, body: bytes) -> Asked:
    """Return what a body asks for. Raises BodyUnreadable."""
    try:
        return READERS[interface](body)
    except msgspec.DecodeError as error:
        raise BodyUnreadable(str(error)) from None


def read_chat(body: bytes) -> Asked:
    """Return what a body of `/chat/completions` asks for."""
    request = CHAT.decode(body)
    name, filled = demanded(request.tools, request.tool_choice, request.messages)
    form = request.response_format
    if name is None and form is not None and form.type in JSON_FORMATS:
        filled = fill(form.json_schema.schema if form.json_schema else None)
    return Asked(
        model=request.model,
        texts=tuple(texts_of(request.messages)),
        question=question_of(request.messages),
        images=images_in(request.messages),
        limit=request.max_completion_tokens or request.max_tokens,
        choices=request.n or 1,
        is_stream=bool(request.stream),
        wants_usage=not request.stream or bool(request.stream_options and request.stream_options.include_usage),
        wants_logprobs=bool(request.logprobs),
        reasoning_tokens=REASONING_TOKENS.get(request.reasoning_effort or "", 0),
        tool=name,
        filled=filled,
    )


def read_responses(body: bytes) -> Asked:
    """Return what a body of `/responses` asks for."""
    request = RESPONSES.decode(body)
    items = [Message("user", request.input)] if isinstance(request.input, str) else request.input
    name, filled = demanded(request.tools, request.tool_choice, items)
    form = request.text.format if request.text else None
    if name is None and form is not None and form.type in JSON_FORMATS:
        filled = fill(form.schema)
    return Asked(
        model=request.model,
        texts=(*filter(None, [request.instructions]), *texts_of(items)),
        question=question_of(items),
        images=images_in(items),
        limit=request.max_output_tokens,
        is_stream=bool(request.stream),
        reasoning_tokens=REASONING_TOKENS.get((request.reasoning and request.reasoning.effort) or "", 0),
        tool=name,
        filled=filled,
    )


def read_messages(body: bytes) -> Asked:
    """Return what a body of `/messages` asks for."""
    request = MESSAGES.decode(body)
    name, filled = demanded(request.tools, request.tool_choice, request.messages)
    is_thinking = request.thinking is not None and request.thinking.type != "disabled"
    return Asked(
        model=request.model,
        texts=(*texts_in(request.system), *texts_of(request.messages)),
        question=question_of(request.messages),
        images=images_in(request.messages),
        limit=request.max_tokens,
        is_stream=bool(request.stream),
        reasoning_tokens=THINKING_TOKENS if is_thinking else 0,
        tool=name,
        filled=filled,
    )


def read_embeddings(body: bytes) -> Asked:
    """Return what a body of `/embeddings` asks for. Token numbers count as the text of their digits."""
    request = EMBEDDINGS.decode(body)
    given = request.input
    if isinstance(given, str):
        inputs = [given]
    elif all(isinstance(each, int) for each in given):
        inputs = [str(given)]
    else:
        inputs = [each if isinstance(each, str) else str(each) for each in given]
    return Asked(
        model=request.model,
        texts=tuple(inputs),
        inputs=tuple(inputs),
        dimensions=request.dimensions or EMBEDDING_DIMENSIONS,
        is_base64=request.encoding_format == "base64",
    )


def texts_in(content: str | list[Part] | None) -> Iterable[str]:
    """Yield the texts of one content, those of a tool's result too."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if part.text is not None:
            yield part.text
        yield from texts_in(part.content)


def texts_of(messages: Sequence[Message]) -> Iterable[str]:
    """Yield the texts of all messages, in order."""
    for message in messages:
        yield from texts_in(message.content)
        yield from texts_in(message.output)


def question_of(messages: Sequence[Message]) -> str:
    """Return the last text of a user; empty where the last word was not the user's."""
    if not messages or messages[-1].role != "user":
        return ""
    content = messages[-1].content
    texts = [content] if isinstance(content, str) else [part.text for part in content or () if part.text]
    return texts[-1] if texts else ""


def images_in(messages: Sequence[Message]) -> int:
    """Return how many images the messages carry."""
    return sum(
        part.type in IMAGES
        for message in messages
        for part in (message.content if isinstance(message.content, list) else ())
    )


def demanded(
    tools: Sequence[Tool] | None, choice: str | Choice | None, messages: Sequence[Message]
) -> tuple[str | None, str | None]:
    """Return the name and the arguments of the tool that is to be called, if one is.

    It is where the caller demands one, or where the user's last words ask for the weather.
    """
    named = {name: schema for name, schema in map(tool_of, tools or ()) if name}
    kind = choice if isinstance(choice, str) else choice.type if choice else "auto"
    if not named or kind == "none":
        return None, None
    wished = None
    if isinstance(choice, Choice):
        wished = choice.function.name if choice.function else choice.name
    question = question_of(messages).lower()
    if kind == "auto" and not any(word in question for word in WEATHER):
        return None, None
    name = wished if wished in named else next(iter(named))
    return name, fill(named[name])


def tool_of(tool: Tool) -> tuple[str, Schema | None]:
    """Return name and schema of a tool, wherever the interface has them."""
    function = tool.function or Function(tool.name, tool.parameters)
    return function.name, function.parameters or tool.input_schema


CHAT = msgspec.json.Decoder(ChatRequest)
RESPONSES = msgspec.json.Decoder(ResponsesRequest)
MESSAGES = msgspec.json.Decoder(MessagesRequest)
EMBEDDINGS = msgspec.json.Decoder(EmbeddingsRequest)

READERS: dict[Interface, Callable[[bytes], Asked]] = {
    "chat": read_chat,
    "responses": read_responses,
    "messages": read_messages,
    "embeddings": read_embeddings,
}
