"""The request bodies of the four interfaces, as far as the upstream acts on them. All else may be anything."""

from msgspec import Struct

from gateway.demo.upstream.filling import Schema


class Part(Struct, frozen=True):
    """A part of a message's content, or a block."""

    type: str = "text"
    text: str | None = None
    content: "str | list[Part] | None" = None


class Function(Struct, frozen=True):
    """A function that may be called."""

    name: str = ""
    parameters: Schema | None = None


class Tool(Struct, frozen=True):
    """A tool in any interface: chat nests the function, the others have it at the top."""

    type: str = "function"
    function: Function | None = None
    name: str = ""
    parameters: Schema | None = None
    input_schema: Schema | None = None


class Choice(Struct, frozen=True):
    """Which tool must be called."""

    type: str = ""
    name: str | None = None
    function: Function | None = None


class Message(Struct, frozen=True):
    """A message, or an item of a response's input."""

    role: str = ""
    content: str | list[Part] | None = None
    type: str = "message"
    output: str | list[Part] | None = None


class JsonSchema(Struct, frozen=True):
    """The schema that an answer must keep to."""

    schema: Schema | None = None


class Format(Struct, frozen=True):
    """The format of an answer."""

    type: str = "text"
    json_schema: JsonSchema | None = None
    schema: Schema | None = None


class StreamOptions(Struct, frozen=True):
    """What a stream carries beside its text."""

    include_usage: bool | None = None


class ChatRequest(Struct, frozen=True):
    """`POST /chat/completions`."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    reasoning_effort: str | None = None
    response_format: Format | None = None
    logprobs: bool | None = None


class Reasoning(Struct, frozen=True):
    """How long a model is to reason."""

    effort: str | None = None


class TextOptions(Struct, frozen=True):
    """How a response's text is to be."""

    format: Format | None = None


class ResponsesRequest(Struct, frozen=True):
    """`POST /responses`."""

    model: str
    input: str | list[Message]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None


class MessagesRequest(Struct, frozen=True):
    """`POST /messages`."""

    model: str
    messages: list[Message]
    max_tokens: int
    system: str | list[Part] | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice | None = None
    thinking: Choice | None = None


class EmbeddingsRequest(Struct, frozen=True):
    """`POST /embeddings`."""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: str | None = None
