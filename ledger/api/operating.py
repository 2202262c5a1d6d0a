"""What a gateway that runs apart from the ledger asks beside its posts: who calls, health of routes, kept responses.

The structs are those of `ledger.operating`: what goes over the wire is what a gateway in this process sees.
"""

from collections.abc import Sequence
from typing import TypeVar

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import require_own_workspace, requires
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.decoding import BodyDecoder, read_body, require_unique_keys
from ledger.api.parameters import invalid, moment, query_of
from ledger.api.posting import require_end_user
from ledger.api.problems import HttpRefused
from ledger.api.reading import own_workspace
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, Endpoint, ReadyResponse, get_handler, serve
from ledger.core.identifiers import WORKSPACE_PATTERN
from ledger.core.refusals import Refusal, Refused
from ledger.operating import (
    MOMENT_MAX,
    EndUserBody,
    EndUserHash,
    Health,
    PinnedResponse,
    RefusedCalls,
    TokenBody,
)
from ledger.service import Principal

T = TypeVar("T")

POST = requires("post")
READ = requires("read")
REFUSED_CALLS_PARAMETERS = frozenset({"workspace_id", "from", "to", "cursor"})

_token_decoder: BodyDecoder[TokenBody] = BodyDecoder(TokenBody)
_end_user_decoder: BodyDecoder[EndUserBody] = BodyDecoder(EndUserBody)
_refused_calls_decoder: BodyDecoder[Sequence[RefusedCalls]] = BodyDecoder(list[RefusedCalls])
_health_decoder: BodyDecoder[Health] = BodyDecoder(Health)
_pinned_decoder: BodyDecoder[PinnedResponse] = BodyDecoder(PinnedResponse)


def create_operating_handlers(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers of everything that gateways ask, and of what was refused."""
    return [*create_posts(context), *create_reads(context)]


def create_posts(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers of what gateways post."""
    ledger = context.ledger

    async def identify_caller(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        asked = await read_as(_token_decoder, scope, receive)
        caller = await ledger.identify(asked.token)
        if caller is None:
            # Like every answer about a key: unknown, wrong and revoked are one.
            raise Refused(Refusal.API_KEY_UNKNOWN, "the key is unknown or revoked", field="token")
        return ReadyResponse(200, encode(caller), REVALIDATE)

    async def hash_end_user(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        asked = await read_as(_end_user_decoder, scope, receive)
        require_end_user(asked.end_user)
        return ReadyResponse(200, encode(EndUserHash(ledger.hash_end_user(asked.workspace_id, asked.end_user))))

    async def count_refused_calls(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        await ledger.count_refused_calls(await read_as(_refused_calls_decoder, scope, receive))
        return ReadyResponse(204, b"")

    async def report_health(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        await ledger.report_health(await read_as(_health_decoder, scope, receive))
        return ReadyResponse(204, b"")

    async def pin_response(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        await ledger.pin_response(await read_as(_pinned_decoder, scope, receive))
        return ReadyResponse(204, b"")

    return [
        post_handler("/gateway/callers", identify_caller),
        post_handler("/gateway/end-users", hash_end_user),
        post_handler("/gateway/refused-calls", count_refused_calls),
        post_handler("/gateway/health", report_health),
        post_handler("/gateway/responses", pin_response),
    ]


def create_reads(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers of what gateways read, and of the counts of refused calls."""
    ledger = context.ledger

    async def read_health(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return ReadyResponse(200, encode(await ledger.health()), REVALIDATE)

    async def read_pinned_response(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        pinned = await ledger.pinned_response(own_workspace(scope), scope["path_params"]["response_id"])
        if pinned is None:
            raise HttpRefused(HttpRefusal.NOT_FOUND, "no such response is kept")
        return ReadyResponse(200, encode(pinned), REVALIDATE)

    async def read_refused_calls(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        query = query_of(scope, REFUSED_CALLS_PARAMETERS)
        workspace_id = asked_workspace(scope["user"], query.get("workspace_id"))
        begin, end = moment(query, "from", 0), moment(query, "to", MOMENT_MAX)
        page = await ledger.refused_calls(workspace_id, begin, end, query.get("cursor"))
        return ReadyResponse(200, encode(page), REVALIDATE)

    return [
        get_handler("/gateway/health", read_health, POST),
        get_handler("/gateway/responses/{workspace_id:str}/{response_id:str}", read_pinned_response, POST),
        get_handler("/refused-calls", read_refused_calls, READ),
    ]


def post_handler(path: str, endpoint: Endpoint) -> HTTPRouteHandler:
    """Return the handler of a gateway's post, called by its endpoint's own name."""
    return post(path, name=endpoint.__name__, opt=POST, status_code=200, sync_to_thread=False)(serve(endpoint))


async def read_as(decoder: BodyDecoder[T], scope: HTTPScope, receive: Receive) -> T:
    """Return a body as what it is, else refuse."""
    body = await read_body(dict(scope["headers"]), receive)
    decoded = decoder.decode(body)
    require_unique_keys(body)
    return decoded


def asked_workspace(principal: Principal, named: str | None) -> str | None:
    """Return whose counts are asked for: None is all of them, which only the platform may ask; else refuse."""
    if named is None:
        return None if principal.is_platform else principal.workspace_id
    if not WORKSPACE_PATTERN.match(named):
        raise invalid("workspace_id", "no workspace has such a name")
    require_own_workspace(principal, named)
    return named
