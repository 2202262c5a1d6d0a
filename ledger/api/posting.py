"""Posts of single commands: one handler per row of the command table, all made by one factory."""

import re
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec.structs import force_setattr

from ledger.api.access import requires
from ledger.api.answers import CommandAnswer, KeyAnswer, encode, without_secret
from ledger.api.command_table import COMMAND_ROUTES, CommandRoute, NewApiKey
from ledger.api.context import ApiContext
from ledger.api.decoding import BodyDecoder, read_body, require_unique_keys
from ledger.api.metrics import Timer
from ledger.api.problems import HttpRefused, problem_response
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import AnyRequest, Headers, ReadyResponse, request_id_of
from ledger.core.commands import Command
from ledger.core.identifiers import IDENTIFIER_PATTERN
from ledger.core.refusals import Refusal, Refused
from ledger.request.commands import RouteRequest
from ledger.service import Outcome, Principal
from ledger.workspace.commands import IssueApiKey

END_USER_LENGTH_MAX = 256
REPLAYED: Headers = ((b"idempotent-replayed", b"true"),)
IDEMPOTENCY_KEY_PATTERN = re.compile(rb'(?:"(?P<quoted>[^"]*)"|(?P<bare>[^"]*))\Z')


def create_post_handlers(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers of all commands."""
    return [create_post_handler(route, context) for route in COMMAND_ROUTES]


def create_post_handler(route: CommandRoute, context: ApiContext) -> HTTPRouteHandler:
    """Return the handler that decodes, executes and answers one kind of command."""
    decoder: BodyDecoder[Command] = BodyDecoder(route.body)
    timer = context.metrics.timer(route.kind)
    execute = issue_key if route.command is IssueApiKey else execute_command

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        started = perf_counter()
        command = await read_command(request, route, decoder, context)
        response = await execute(context, command, request, timer)
        timer.observe(perf_counter() - started)
        return response

    path = re.sub(r"{(\w+)}", r"{\1:str}", route.path)
    return post(path, name=route.kind, opt=requires(route.scope))(handle)


async def read_command(
    request: AnyRequest, route: CommandRoute, decoder: BodyDecoder[Command], context: ApiContext
) -> Command:
    """Return the command that a post states in its body, path and Idempotency-Key, else refuse."""
    headers = dict(request.scope["headers"])
    body = await read_body(request, headers)
    command = decoder.decode(body)
    require_unique_keys(body)
    ids: Mapping[str, str] = request.scope["path_params"]
    for field in route.path_fields:
        fill(command, field, ids[field], "the path")
    if route.key_field:
        fill(command, route.key_field, idempotency_key(headers), "the Idempotency-Key")
    finish_command(command, context)
    return command


def fill(command: Command, field: str, value: str, source: str) -> None:
    """Put an id from outside the body into the command, unless the body states another one.

    The command is frozen for everybody else: it was decoded a moment ago and nobody has seen it.
    """
    stated = getattr(command, field)
    default = command.__struct_defaults__[command.__struct_fields__.index(field)] if stated else ""
    if stated and stated not in (value, default):
        raise HttpRefused(
            HttpRefusal.ID_CONTRADICTS_PATH, f"{field} is not the one of {source}", field=field, expected=value[:128]
        )
    force_setattr(command, field, value)
