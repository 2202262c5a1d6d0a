"""Posts of single commands: one handler per row of the command table, all made by one factory."""

from collections.abc import Mapping
from time import perf_counter

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive
from msgspec.structs import force_setattr

from ledger.api.access import requires
from ledger.api.answers import CommandAnswer, encode, key_answer
from ledger.api.command_table import COMMAND_ROUTES, CommandRoute, NewApiKey
from ledger.api.context import ApiContext
from ledger.api.decoding import BodyDecoder, read_body, require_unique_keys
from ledger.api.metrics import Timer
from ledger.api.problems import HttpRefused, problem_response
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import Headers, ReadyResponse, request_id_of, serve
from ledger.core.commands import Command
from ledger.core.identifiers import IDENTIFIER_PATTERN
from ledger.core.refusals import Refusal, Refused
from ledger.operating import END_USER_LENGTH_MAX
from ledger.request.commands import RouteRequest
from ledger.service import Ledger, Outcome, Principal
from ledger.workspace.commands import IssueApiKey

REPLAYED: Headers = ((b"idempotent-replayed", b"true"),)


def create_post_handlers(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers of all commands."""
    return [create_post_handler(route, context) for route in COMMAND_ROUTES]


def create_post_handler(route: CommandRoute, context: ApiContext) -> HTTPRouteHandler:
    """Return the handler that decodes, executes and answers one kind of command."""
    decoder: BodyDecoder[Command] = BodyDecoder(route.body)
    timer = context.metrics.timer(route.kind)
    execute = issue_key if route.command is IssueApiKey else execute_command

    async def answer(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        started = perf_counter()
        headers = dict(scope["headers"])
        body = await read_body(headers, receive)
        command = read_command(route, decoder, body, headers, scope["path_params"])
        hide_end_user(command, context.ledger)
        response = await execute(context, command, scope, timer)
        timer.observe(perf_counter() - started)
        return response

    return post(route.typed_path, name=route.kind, opt=requires(route.scope), sync_to_thread=False)(serve(answer))


def read_command(
    route: CommandRoute,
    decoder: BodyDecoder[Command],
    body: bytes,
    headers: Mapping[bytes, bytes],
    ids: Mapping[str, str],
) -> Command:
    """Return the command that a post states in its body, path and Idempotency-Key, else refuse."""
    command = decoder.decode(body)
    require_unique_keys(body)
    for field in route.path_fields:
        fill(command, field, ids[field], "the path")
    if route.key_field:
        fill(command, route.key_field, idempotency_key(headers), "the Idempotency-Key")
    return command


def fill(command: Command, field: str, value: str, source: str) -> None:
    """Put an id from outside the body into the command, unless the body states another one.

    The command is frozen for everybody else: it was decoded a moment ago and nobody has seen it.
    """
    if getattr(command, field) not in ("", value):
        raise HttpRefused(
            HttpRefusal.ID_CONTRADICTS_PATH, f"{field} is not the one of {source}", field=field, expected=value[:128]
        )
    force_setattr(command, field, value)


def idempotency_key(headers: Mapping[bytes, bytes]) -> str:
    """Return the Idempotency-Key, which may stand in quotes, else refuse."""
    value = headers.get(b"idempotency-key", b"").decode("latin-1")
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not IDENTIFIER_PATTERN.match(value):
        raise HttpRefused(
            HttpRefusal.IDEMPOTENCY_KEY_REQUIRED,
            "this post needs an Idempotency-Key of 1 to 128 letters, digits and . _ : -",
            field="Idempotency-Key",
        )
    return value


def hide_end_user(command: Command, ledger: Ledger, place: str = "") -> None:
    """Replace the end user's own id by its keyed hash: no book ever holds the id itself."""
    if isinstance(command, RouteRequest) and command.end_user is not None:
        require_end_user(command.end_user, place)
        force_setattr(command, "end_user", ledger.hash_end_user(command.workspace_id, command.end_user))


def require_end_user(end_user: str, place: str = "") -> None:
    """Refuse an end user's id that is empty, endless, or holds control characters."""
    if not end_user.isprintable() or not 0 < len(end_user) <= END_USER_LENGTH_MAX:
        raise Refused(
            Refusal.TEXT_INVALID,
            f"{place}end_user must be 1 to {END_USER_LENGTH_MAX} characters and none a control character",
            field=place + "end_user",
        )


async def execute_command(context: ApiContext, command: Command, scope: HTTPScope, timer: Timer) -> ReadyResponse:
    """Execute a command and return the answer to its post."""
    principal: Principal = scope["user"]
    outcome = await context.ledger.execute_async(command, principal.api_key_id)
    if outcome.recorded is None:
        return answer_refused(context, outcome, scope, timer)
    (timer.repeated if outcome.repeated else timer.recorded)()
    answer = await context.answer(outcome.recorded, outcome.repeated, outcome.available_minor)
    return recorded_response(answer)


async def issue_key(context: ApiContext, command: Command, scope: HTTPScope, timer: Timer) -> ReadyResponse:
    """Issue a key and return the answer with its token."""
    if not isinstance(command, NewApiKey):
        raise TypeError(f"{type(command).__name__} issues no key")
    principal: Principal = scope["user"]
    issued = await context.ledger.issue_key_async(command.to_command(), principal.api_key_id)
    outcome = issued.outcome
    if outcome.recorded is None:
        return answer_refused(context, outcome, scope, timer)
    (timer.repeated if outcome.repeated else timer.recorded)()
    answer = await context.answer(outcome.recorded, outcome.repeated)
    return recorded_response(key_answer(answer, issued.token))


def answer_refused(context: ApiContext, outcome: Outcome, scope: HTTPScope, timer: Timer) -> ReadyResponse:
    """Return the problem that a refused command is answered with."""
    refused = outcome.refused
    if refused is None:
        raise TypeError("an outcome is either recorded or refused")
    timer.refused()
    context.metrics.refused(refused.code)
    return problem_response(refused, request_id_of(scope))


def recorded_response(answer: CommandAnswer) -> ReadyResponse:
    """Return 201 for what is new, 200 for a repeat."""
    if answer.repeated:
        return ReadyResponse(200, encode(answer), REPLAYED)
    return ReadyResponse(201, encode(answer))
