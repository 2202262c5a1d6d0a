"""What a client asks for: the few members that routing and holding need, read; all others kept as they came."""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw

from gateway.dialects.errors import ErrorAnswer, invalid, unsupported
from gateway.dialects.members import duplicate_member
from gateway.dialects.prompts import Prompt, add_document, add_embedded, add_messages
from gateway.dialects.surface import Interface

Limit = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Choices = Annotated[int, Meta(ge=1, le=128)]
ModelName = Annotated[str, Meta(min_length=1, max_length=256)]

LIMIT_MEMBERS: dict[Interface, tuple[str, ...]] = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
    "embeddings": (),
}
"""Where a caller may limit the output."""


class CallRefused(Exception):
    """A call can't be read or can't be served; `error` is what the client is told."""

    def __init__(self, error: ErrorAnswer) -> None:
        super().__init__(error.message)
        self.error = error


class CallBody(msgspec.Struct, frozen=True, kw_only=True):
    """A call. `body` is what came, `members` its top level in the order in which it came, each as its bytes.

    `text_bytes` counts the text that becomes prompt in UTF-8, without the base64 of images and sound.
    """

    interface: Interface
    body: bytes
    members: dict[str, Raw]
    model: str
    is_stream: bool = False
    asked_usage: bool = False
    output_limit: int | None = None
    choices: int = 1
    text_bytes: int = 0
    images: int = 0
    has_audio: bool = False
    end_user: str | None = None
    metadata: dict[str, str] = {}
    previous_response_id: str | None = None

    def __repr__(self) -> str:
        # What is printed may be logged, and a prompt never is.
        return f"CallBody({self.interface}, {self.model!r}, {len(self.body)} bytes)"


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Call(msgspec.Struct, kw_only=True):
    """What all interfaces have."""

    model: ModelName
    stream: bool | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    tools: Any = None


class _Chat(_Call, kw_only=True):
    messages: list[Any]
    stream_options: _StreamOptions | None = None
    max_completion_tokens: Limit | None = None
    max_tokens: Limit | None = None
    n: Choices | None = None
    functions: Any = None
    response_format: Any = None
    prediction: Any = None
    audio: Any = None


class _Responses(_Call, kw_only=True):
    input: str | list[Any] | None = None
    instructions: Any = None
    prompt: Any = None
    text: Any = None
    max_output_tokens: Limit | None = None
    previous_response_id: str | None = None
    background: bool | None = None
    conversation: Any = None


class _Messages(_Call, kw_only=True):
    messages: list[Any]
    system: Any = None
    max_tokens: Limit | None = None
    output_config: Any = None
    output_format: Any = None


class _Embeddings(_Call, kw_only=True):
    input: str | list[Any]


Shape = TypeVar("Shape", bound=_Call)
MISSING = re.compile(r"missing required field `(\w+)`")

_CHAT = msgspec.json.Decoder(_Chat)
_RESPONSES = msgspec.json.Decoder(_Responses)
_MESSAGES = msgspec.json.Decoder(_Messages)
_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_options = msgspec.json.Decoder(dict[str, Raw] | None).decode
_encode = msgspec.json.Encoder().encode


def read_call(interface: Interface, body: bytes) -> CallBody:
    """Read a call, or raise `CallRefused` with a sentence that names what is wrong."""
    members = _members(body)
    if interface == "chat":
        return _chat(body, members, _decoded(_CHAT, body))
    if interface == "responses":
        return _responses(body, members, _decoded(_RESPONSES, body))
    if interface == "messages":
        return _messages(body, members, _decoded(_MESSAGES, body))
    return _embeddings(body, members, _decoded(_EMBEDDINGS, body))


def write_call(call: CallBody, *, model: str, output_limit: int | None, dialect: str) -> bytes:
    """Return the body for an upstream of the same interface: what needn't change is byte for byte what came."""
    changed: dict[str, Raw] = {}
    if model != call.model:
        changed["model"] = Raw(_encode(model))
    if call.is_stream and not call.asked_usage and call.interface == "chat":
        changed["stream_options"] = _with_usage(call.members.get("stream_options"))
    if output_limit is not None:
        changed |= _limits(call, output_limit, dialect)
    return _encode(call.members | changed) if changed else call.body


def _members(body: bytes) -> dict[str, Raw]:
    try:
        if not body.isascii():
            body.decode()
        members = _read_members(body)
    except RecursionError:
        raise CallRefused(invalid("The body is nested too deeply.")) from None
    except msgspec.ValidationError:
        raise CallRefused(invalid("The body must be a JSON object.")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallRefused(invalid(f"The body is no JSON that can be read: {error}.")) from None
    twice = duplicate_member(body, members)
    if twice is not None:
        raise CallRefused(invalid(f"The member `{twice}` stands twice in the body.", twice))
    return members


def _decoded(decoder: msgspec.json.Decoder[Shape], body: bytes) -> Shape:
    try:
        return decoder.decode(body)
    except RecursionError:
        raise CallRefused(invalid("The body is nested too deeply.")) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CallRefused(_at_fault(str(error))) from None


def _at_fault(message: str) -> ErrorAnswer:
    # The decoder says "Expected `int`, got `str` - at `$.n`": what it expected, and the way to it.
    reason, _, path = message.partition(" - at `$.")
    param = path.rstrip("`") or None
    if param is None:
        lacking = MISSING.search(reason)
        return invalid(f"{reason}.", lacking[1] if lacking else None)
    return invalid(f"The member `{param}` can't be read: {reason[:1].lower()}{reason[1:]}.", param)


def _chat(body: bytes, members: dict[str, Raw], call: _Chat) -> CallBody:
    prompt = Prompt()
    add_messages(prompt, call.messages)
    add_messages(prompt, call.prediction)
    for document in (call.tools, call.functions, call.response_format):
        if document is not None:
            add_document(prompt, document)
    return CallBody(
        interface="chat",
        body=body,
        members=members,
        model=call.model,
        is_stream=call.stream is True,
        asked_usage=call.stream_options is not None and call.stream_options.include_usage is True,
        # Upstreams differ on which of both they obey.
        output_limit=max(call.max_completion_tokens or 0, call.max_tokens or 0) or None,
        choices=call.n or 1,
        text_bytes=prompt.text_bytes,
        images=prompt.images,
        has_audio=prompt.has_audio or call.audio is not None,
        end_user=call.user or call.safety_identifier or None,
        metadata=_labels(call.metadata),
    )


def _responses(body: bytes, members: dict[str, Raw], call: _Responses) -> CallBody:
    if call.background:
        raise CallRefused(unsupported("responses in the background; leave `background` out", "background"))
    if call.conversation is not None:
        message = "stored conversations; send the items or `previous_response_id`"
        raise CallRefused(unsupported(message, "conversation"))
    prompt = Prompt()
    for value in (call.input, call.instructions, call.prompt):
        add_messages(prompt, value)
    for document in (call.tools, call.text):
        if document is not None:
            add_document(prompt, document)
    return CallBody(
        interface="responses",
        body=body,
        members=members,
        model=call.model,
        is_stream=call.stream is True,
        asked_usage=True,
        output_limit=call.max_output_tokens,
        text_bytes=prompt.text_bytes,
        images=prompt.images,
        has_audio=prompt.has_audio,
        end_user=call.user or call.safety_identifier or None,
        metadata=_labels(call.metadata),
        previous_response_id=call.previous_response_id or None,
    )


def _messages(body: bytes, members: dict[str, Raw], call: _Messages) -> CallBody:
    prompt = Prompt()
    add_messages(prompt, call.system)
    add_messages(prompt, call.messages)
    for document in (call.tools, call.output_config, call.output_format):
        if document is not None:
            add_document(prompt, document)
    user = (call.metadata or {}).get("user_id")
    return CallBody(
        interface="messages",
        body=body,
        members=members,
        model=call.model,
        is_stream=call.stream is True,
        asked_usage=True,
        output_limit=call.max_tokens,
        text_bytes=prompt.text_bytes,
        images=prompt.images,
        has_audio=prompt.has_audio,
        end_user=user if isinstance(user, str) and user else None,
        metadata=_labels(call.metadata),
    )


def _embeddings(body: bytes, members: dict[str, Raw], call: _Embeddings) -> CallBody:
    prompt = Prompt()
    add_embedded(prompt, call.input)
    if call.stream:
        raise CallRefused(unsupported("streams of embeddings", "stream"))
    return CallBody(
        interface="embeddings",
        body=body,
        members=members,
        model=call.model,
        text_bytes=prompt.text_bytes,
        end_user=call.user or None,
        metadata=_labels(call.metadata),
    )


def _labels(metadata: dict[str, Any] | None) -> dict[str, str]:
    return {name: value for name, value in (metadata or {}).items() if isinstance(value, str)}


def _with_usage(options: Raw | None) -> Raw:
    asked = _read_options(options) if options is not None else None
    return Raw(_encode((asked or {}) | {"include_usage": Raw(b"true")}))


def _limits(call: CallBody, output_limit: int, dialect: str) -> dict[str, Raw]:
    names = LIMIT_MEMBERS[call.interface]
    used = [name for name in names if name in call.members and bytes(call.members[name]) != b"null"]
    if not used and names:
        # Only OpenAI itself knows the newer of the two names for sure.
        used = [names[0] if dialect == "openai" else names[-1]]
    value = Raw(b"%d" % output_limit)
    return {name: value for name in used if name not in call.members or bytes(call.members[name]) != bytes(value)}
