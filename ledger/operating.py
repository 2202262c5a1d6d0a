"""What a gateway needs to run beside the books: who calls, what is refused, which routes fail, which answers are kept.

None of it is an event and none is replayed: it may be lost with a table and no balance changes. Instants are
microseconds since 1970 (UTC).
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ledger.core import identifiers as ids
from ledger.core.refusals import Refusal, Refused
from ledger.workspace.events import KeyLimits

HOUR_MICROSECONDS = 3_600_000_000
"""What `RefusedCalls.hour` is a multiple of."""

MOMENT_MAX = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

CALLS_MAX = 10**12
TOKENS_MAX = 10**12
REPORT_MAX = 1000
"""The most rows of one report."""

REFUSED_CALLS_MAX = 1000
"""The most rows of one answer."""

TOKEN_LENGTH_MAX = 512
END_USER_LENGTH_MAX = 256
REASON_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
RESPONSE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=-]{0,255}\Z")
"""Ids that upstreams give their answers."""

ENDS = r"\Z"


def written(pattern: re.Pattern[str]) -> Meta:
    """Return a pattern as bodies are decoded with and described: JSON Schema has no end of text but `$`."""
    return Meta(pattern="^" + pattern.pattern.removesuffix(ENDS) + r"$(?!\n)")


WorkspaceId = Annotated[str, written(ids.WORKSPACE_PATTERN)]
ApiKeyId = Annotated[str, written(ids.API_KEY_PATTERN)]
Name = Annotated[str, written(ids.NAME_PATTERN)]
RequestId = Annotated[str, written(ids.IDENTIFIER_PATTERN)]
ResponseId = Annotated[str, written(RESPONSE_PATTERN)]
Reason = Annotated[str, written(REASON_PATTERN)]
ModelOrNone = Annotated[str, Meta(pattern=f"^({ids.MODEL_PATTERN.pattern.removesuffix(ENDS)})?$(?!\\n)")]
BreakerState = Literal["closed", "open"]
Moment = Annotated[int, Meta(ge=0, le=MOMENT_MAX)]
Tokens = Annotated[int, Meta(ge=0, le=TOKENS_MAX)]
Calls = Annotated[int, Meta(ge=1, le=CALLS_MAX)]


class Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose key a token is, and what it may do. `projects` are those that the key may name, in their order.

    `limits` are as the book has them: a spend limit counts smallest parts of its own unit.
    """

    workspace_id: str
    api_key_id: str
    scopes: frozenset[str]
    project_id: str | None
    projects: tuple[str, ...]
    limits: KeyLimits


class RefusedCalls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many calls of a key were refused for one reason in one hour. `hour` is the hour's first microsecond.

    `model` is empty where the call named none, or one that the catalog does not have.
    """

    workspace_id: WorkspaceId
    api_key_id: ApiKeyId
    hour: Moment
    model: str
    reason: Reason
    calls: Calls


class RouteHealth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a route is called at the moment. An open one is left alone until `open_until`."""

    route: Name
    state: BreakerState
    reason: Annotated[str, Meta(max_length=200)]
    open_until: Moment
    changed_at: Moment


class ProviderHealth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Until when our account at a provider counts as empty; None where it is not."""

    provider: Name
    account_empty_until: Moment | None
    changed_at: Moment


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all gateways know of routes and providers. What is not named is well."""

    routes: tuple[RouteHealth, ...] = ()
    providers: tuple[ProviderHealth, ...] = ()


class PinnedResponse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a stored response lives: who continues it must be sent to the same route.

    `tokens` are its input and output: what continues it is charged for them again, as input. 0 where that is not known.
    """

    workspace_id: WorkspaceId
    response_id: ResponseId
    route: Name
    request_id: RequestId
    tokens: Tokens = 0


class TokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that a caller sent."""

    token: Annotated[str, Meta(min_length=1, max_length=TOKEN_LENGTH_MAX)]


class EndUserBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer's own user, as the customer calls them."""

    workspace_id: WorkspaceId
    end_user: Annotated[str, Meta(min_length=1, max_length=END_USER_LENGTH_MAX)]


class EndUserHash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands for an end user in a book."""

    hash: str


class RefusedCallsPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Refused calls, the latest hour first; `next_cursor` leads on while `has_more`."""

    data: tuple[RefusedCalls, ...]
    has_more: bool
    next_cursor: str | None = None


class RefusedCallsPlace(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The row that a page of refused calls ended with."""

    hour: Moment
    workspace_id: WorkspaceId
    api_key_id: ApiKeyId
    model: ModelOrNone
    reason: Reason


BEGINNING = RefusedCallsPlace(MOMENT_MAX + 1, "", "", "", "")
"""Before the latest hour of all."""

_place_decoder = msgspec.json.Decoder(RefusedCallsPlace)


def cursor_after(row: RefusedCalls) -> str:
    """Return what leads to the rows behind one."""
    place = RefusedCallsPlace(row.hour, row.workspace_id, row.api_key_id, row.model, row.reason)
    return urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode("ascii")


def read_cursor(cursor: str) -> RefusedCallsPlace:
    """Return where a page ended, else refuse."""
    try:
        return _place_decoder.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, msgspec.MsgspecError):
        raise Refused(
            Refusal.TEXT_INVALID, "cursor is none of ours: use next_cursor as it was answered", field="cursor"
        ) from None


def check_refused_calls(counts: Sequence[RefusedCalls]) -> None:
    """Refuse counts with malformed names, of no whole hour, or too many at once."""
    ids.check_count(len(counts), "refused_calls", 0, REPORT_MAX)
    for count in counts:
        ids.check_pattern(count.workspace_id, ids.WORKSPACE_PATTERN, "workspace_id")
        ids.check_pattern(count.api_key_id, ids.API_KEY_PATTERN, "api_key_id")
        ids.check_pattern(count.reason, REASON_PATTERN, "reason")
        ids.check_count(count.calls, "calls", 1, CALLS_MAX)
        ids.check_count(count.hour, "hour", 0, MOMENT_MAX)
        if count.hour % HOUR_MICROSECONDS:
            raise Refused(Refusal.NUMBER_OUT_OF_RANGE, "hour must be an hour's first microsecond", field="hour")


def check_health(health: Health) -> None:
    """Refuse a report with malformed names or instants, or with too many rows."""
    ids.check_count(len(health.routes), "routes", 0, REPORT_MAX)
    ids.check_count(len(health.providers), "providers", 0, REPORT_MAX)
    for route in health.routes:
        ids.check_pattern(route.route, ids.NAME_PATTERN, "route")
        ids.check_text(route.reason, "reason", 200)
        ids.check_count(route.open_until, "open_until", 0, MOMENT_MAX)
        ids.check_count(route.changed_at, "changed_at", 0, MOMENT_MAX)
    for provider in health.providers:
        ids.check_pattern(provider.provider, ids.NAME_PATTERN, "provider")
        ids.check_count(provider.account_empty_until or 0, "account_empty_until", 0, MOMENT_MAX)
        ids.check_count(provider.changed_at, "changed_at", 0, MOMENT_MAX)


def check_pinned_response(pinned: PinnedResponse) -> None:
    """Refuse a kept response with malformed names."""
    ids.check_pattern(pinned.workspace_id, ids.WORKSPACE_PATTERN, "workspace_id")
    ids.check_pattern(pinned.response_id, RESPONSE_PATTERN, "response_id")
    ids.check_pattern(pinned.route, ids.NAME_PATTERN, "route")
    ids.check_pattern(pinned.request_id, ids.IDENTIFIER_PATTERN, "request_id")
    ids.check_count(pinned.tokens, "tokens", 0, TOKENS_MAX)
