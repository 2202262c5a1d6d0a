"""What a client asks for: the few members that routing and holding need, read; all others kept as they came."""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw

from gateway.dialects.errors import ErrorAnswer, invalid, unsupported
from gateway.dialects.members import duplicate_member
from gateway.dialects.prompts import Prompt, add_document, add_embedded, add_messages, add_tools, uncounted_length
from gateway.dialects.references import AMPLIFYING, POINTING, pointing_members
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

PARAMETERS = frozenset(
    "model stream stream_options temperature top_p top_k top_a min_p n stop stop_sequences max_tokens"
    " max_completion_tokens max_output_tokens max_tool_calls presence_penalty frequency_penalty repetition_penalty"
    " logit_bias logprobs top_logprobs seed user safety_identifier metadata service_tier store background include"
    " truncation tool_choice parallel_tool_calls reasoning reasoning_effort verbosity thinking modalities audio"
    " prompt_cache_key prompt_cache_retention previous_response_id conversation dimensions encoding_format speed"
    " inference_geo betas provider models transforms usage".split()
)
"""Members that no model reads. What an interface's shape has beside them is counted by its kind, all else as text."""


class CallRefused(Exception):
    """A call can't be read or can't be served; `error` is what the client is told."""

    def __init__(self, error: ErrorAnswer) -> None:
        super().__init__(error.message)
        self.error = error


class CallBody(msgspec.Struct, frozen=True, kw_only=True):
    """A call. `body` is what came, `members` its top level in the order in which it came, each as its bytes.

    `text_bytes` counts the text that becomes prompt in UTF-8, for a fair estimate. `uncounted_bytes` is the rest of the
    body without the base64 of images, sound and film: an upstream may read it all the same, so that both together are
    held. `sound_bytes` is the base64 of compressed sound and film, and a tenth of that of waves. `references` counts
    what brings input of a size that nobody knows: files and prompts that are elsewhere, tools that run at the upstream.
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
    uncounted_bytes: int = 0
    images: int = 0
    has_audio: bool = False
    sound_bytes: int = 0
    references: int = 0
    thinking_budget: int | None = None
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
    thinking: Any = None
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
_decode = msgspec.json.Decoder().decode
_decode_limit = msgspec.json.Decoder(int | None).decode
_NULL = Raw(b"null")

# The shape of an interface says how a member is counted; what it doesn't have and is no parameter counts as text.
_READ: dict[type[_Call], frozenset[str]] = {
    shape: PARAMETERS | frozenset(field.encode_name for field in msgspec.structs.fields(shape))
    for shape in (_Chat, _Responses, _Messages, _Embeddings)
}


def read_call(interface: Interface, body: bytes) -> CallBody:
    """Read a call, or raise `CallRefused` with a sentence that names what is wrong."""
    members = _members(body)
    try:
        if interface == "chat":
            return _chat(body, members, _decoded(_CHAT, body))
        if interface == "responses":
            return _responses(body, members, _decoded(_RESPONSES, body))
        if interface == "messages":
            return _messages(body, members, _decoded(_MESSAGES, body))
        return _embeddings(body, members, _decoded(_EMBEDDINGS, body))
    except RecursionError:
        raise CallRefused(invalid("The body is nested too deeply.")) from None


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
    for document in (call.functions, call.response_format):
        if document is not None:
            add_document(prompt, document)
    _add_rest(prompt, members, call)
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
        uncounted_bytes=uncounted_length(body, prompt),
        images=prompt.images,
        sound_bytes=prompt.sound_bytes,
        references=prompt.references,
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
    if call.text is not None:
        add_document(prompt, call.text)
    stored = call.prompt.get("id") if isinstance(call.prompt, dict) else None
    prompt.references += bool(stored)
    _add_rest(prompt, members, call)
    return CallBody(
        interface="responses",
        body=body,
        members=members,
        model=call.model,
        is_stream=call.stream is True,
        asked_usage=True,
        output_limit=call.max_output_tokens,
        text_bytes=prompt.text_bytes,
        uncounted_bytes=uncounted_length(body, prompt),
        images=prompt.images,
        has_audio=prompt.has_audio,
        sound_bytes=prompt.sound_bytes,
        references=prompt.references,
        end_user=call.user or call.safety_identifier or None,
        metadata=_labels(call.metadata),
        previous_response_id=call.previous_response_id or None,
    )


def _messages(body: bytes, members: dict[str, Raw], call: _Messages) -> CallBody:
    prompt = Prompt()
    add_messages(prompt, call.system)
    add_messages(prompt, call.messages)
    for document in (call.output_config, call.output_format):
        if document is not None:
            add_document(prompt, document)
    _add_rest(prompt, members, call)
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
        uncounted_bytes=uncounted_length(body, prompt),
        images=prompt.images,
        has_audio=prompt.has_audio,
        sound_bytes=prompt.sound_bytes,
        references=prompt.references,
        thinking_budget=_thinking_budget(call.thinking),
        end_user=user if isinstance(user, str) and user else None,
        metadata=_labels(call.metadata),
    )


def _embeddings(body: bytes, members: dict[str, Raw], call: _Embeddings) -> CallBody:
    prompt = Prompt()
    add_embedded(prompt, call.input)
    _add_rest(prompt, members, call)
    if call.stream:
        raise CallRefused(unsupported("streams of embeddings", "stream"))
    return CallBody(
        interface="embeddings",
        body=body,
        members=members,
        model=call.model,
        text_bytes=prompt.text_bytes,
        uncounted_bytes=uncounted_length(body, prompt),
        images=prompt.images,
        has_audio=prompt.has_audio,
        sound_bytes=prompt.sound_bytes,
        references=prompt.references,
        end_user=call.user or None,
        metadata=_labels(call.metadata),
    )


def _add_rest(prompt: Prompt, members: dict[str, Raw], call: _Call) -> None:
    """Count tools, and the members that this gateway doesn't know: an upstream may read them."""
    if call.tools is not None:
        add_tools(prompt, call.tools)
    unknown = members.keys() - _READ[type(call)]
    if not unknown:
        return
    prompt.text_bytes += sum(len(bytes(members[name])) for name in unknown)
    prompt.references += pointing_members({name: _decode(members[name]) for name in unknown.intersection(POINTING)})
    prompt.references += len(unknown.intersection(AMPLIFYING))


def _thinking_budget(thinking: object) -> int | None:
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) and thinking.get("type") == "enabled" else None
    return budget if isinstance(budget, int) and not isinstance(budget, bool) else None


def _labels(metadata: dict[str, Any] | None) -> dict[str, str]:
    return {name: value for name, value in (metadata or {}).items() if isinstance(value, str)}


def _with_usage(options: Raw | None) -> Raw:
    asked = _read_options(options) if options is not None else None
    return Raw(_encode((asked or {}) | {"include_usage": Raw(b"true")}))


def _limits(call: CallBody, output_limit: int, dialect: str) -> dict[str, Raw]:
    names = LIMIT_MEMBERS[call.interface]
    stated = {name: limit for name in names if (limit := _decode_limit(call.members.get(name, _NULL))) is not None}
    if not stated and names:
        # Only OpenAI itself knows the newer of the two names for sure.
        return {names[0] if dialect == "openai" else names[-1]: Raw(b"%d" % output_limit)}
    # None is raised, and one that is low enough stays byte for byte.
    return {name: Raw(b"%d" % output_limit) for name, limit in stated.items() if limit > output_limit}
