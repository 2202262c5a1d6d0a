"""`POST /commands`: up to a thousand commands in one body, answered in their order.

Each command stands for itself: it has its own scope and outcome, and one refused fails no other. Only a body
that cannot be read is refused as a whole; then nothing of it was executed.
"""

from time import perf_counter
from typing import Any

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import effective_scopes, not_allowed, requires
from ledger.api.answers import CommandAnswer, encode
from ledger.api.command_table import COMMANDS_MAX, COMMANDS_PATH, POSTING_SCOPES, SCOPE_OF
from ledger.api.context import ApiContext
from ledger.api.decoding import BodyDecoder, read_body, require_unique_keys
from ledger.api.metrics import Timer
from ledger.api.posting import hide_end_user
from ledger.api.problems import HttpRefused, problem_of
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import ReadyResponse, request_id_of, serve
from ledger.commands import KINDS, PublicCommand
from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.service import Ledger, Outcome, Principal
from ledger.workspace.commands import IssueApiKey

BATCH = "commands"


class BatchAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One command's outcome: the status it would have had alone, and what was recorded or the problem."""

    status: int
    recorded: CommandAnswer | None = None
    problem: dict[str, Any] | None = None


_array_decoder: BodyDecoder[list[msgspec.Raw]] = BodyDecoder(list[msgspec.Raw])
_command_decoder: BodyDecoder[Command] = BodyDecoder(PublicCommand)


def create_batch_handler(context: ApiContext) -> HTTPRouteHandler:
    """Return the handler of `/commands`."""
    timers = {command: context.metrics.timer(kind) for command, kind in KINDS.items()}
    observe = context.metrics.timer(BATCH).observe

    async def answer(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        started = perf_counter()
        body = await read_body(dict(scope["headers"]), receive)
        commands = decode_commands(body, context.ledger)
        answers = await execute_commands(context, commands, scope, timers)
        response = ReadyResponse(200, encode(answers))
        observe(perf_counter() - started)
        return response

    return post(COMMANDS_PATH, name=BATCH, opt=requires(*POSTING_SCOPES), sync_to_thread=False)(serve(answer))


def decode_commands(body: bytes, ledger: Ledger) -> list[Command]:
    """Return the commands of a body, else refuse it whole and name the index of what is wrong."""
    elements = _array_decoder.decode(body)
    if not 1 <= len(elements) <= COMMANDS_MAX:
        raise HttpRefused(HttpRefusal.FIELD_INVALID, f"a batch has 1 to {COMMANDS_MAX} commands, not {len(elements)}")
    commands = []
    for index, element in enumerate(elements):
        place = f"[{index}]"
        command = _command_decoder.decode(element, place)
        if isinstance(command, IssueApiKey):
            raise HttpRefused(
                HttpRefusal.COMMAND_NOT_IN_BATCH, "post issue_api_key to its own path", field=f"{place}.kind"
            )
        hide_end_user(command, ledger, f"{place}.")
        commands.append(command)
    require_unique_keys(body)
    return commands


async def execute_commands(
    context: ApiContext, commands: list[Command], scope: HTTPScope, timers: dict[type[Command], Timer]
) -> list[BatchAnswer]:
    """Execute those commands that the key may post, and return all outcomes in order."""
    principal: Principal = scope["user"]
    scopes = effective_scopes(principal)
    allowed = [command for command in commands if SCOPE_OF[type(command)] in scopes]
    outcomes = iter(await context.ledger.execute_many_async(allowed, principal.api_key_id) if allowed else ())
    request_id = request_id_of(scope)
    answers = []
    for command in commands:
        kind = type(command)
        if SCOPE_OF[kind] in scopes:
            answers.append(await batch_answer(context, next(outcomes), timers[kind], request_id))
        else:
            answers.append(batch_problem(context, not_allowed(frozenset({SCOPE_OF[kind]})), request_id))
    return answers


async def batch_answer(context: ApiContext, outcome: Outcome, timer: Timer, request_id: str) -> BatchAnswer:
    """Return the answer to one command of a batch."""
    if outcome.recorded is not None:
        (timer.repeated if outcome.repeated else timer.recorded)()
        answer = await context.answer(outcome.recorded, outcome.repeated, outcome.available_minor)
        return BatchAnswer(200 if outcome.repeated else 201, answer)
    if outcome.refused is None:
        raise TypeError("an outcome is either recorded or refused")
    timer.refused()
    return batch_problem(context, outcome.refused, request_id)


def batch_problem(context: ApiContext, refused: Refused | HttpRefused, request_id: str) -> BatchAnswer:
    """Return the answer to one refused command of a batch."""
    context.metrics.refused(refused.code)
    problem = problem_of(refused.code, refused.detail, refused.facts, request_id)
    return BatchAnswer(problem["status"], None, problem)
