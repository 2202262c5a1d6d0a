"""The problems' own pages: what every `type` means and what helps, at the path that the `type` is."""

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import PUBLIC
from ledger.api.answers import encode
from ledger.api.problems import HttpRefused, problem_type
from ledger.api.refusal_table import MEANINGS, RETRY_AFTER_SECONDS, Code, HttpRefusal, is_transient
from ledger.api.responses import ReadyResponse, get_handler


class ProblemPage(msgspec.Struct, frozen=True):
    """What a kind of problem means. `transient` ones pass by themselves after `retry_after_seconds`."""

    type: str
    code: str
    status: int
    meaning: str
    remedy: str
    transient: bool
    retry_after_seconds: int | None


def problem_page(code: Code) -> ProblemPage:
    """Return the page of one kind of problem."""
    row = MEANINGS[code]
    wait = RETRY_AFTER_SECONDS.get(code)
    return ProblemPage(problem_type(code), code.value, row.status, row.meaning, row.remedy, is_transient(code), wait)


PAGES = {page.type.rpartition("/")[2]: page for page in map(problem_page, MEANINGS)}


def create_problem_handlers() -> list[HTTPRouteHandler]:
    """Return the handlers of the problems' pages."""
    every = encode({"problems": list(PAGES.values())})

    async def problems(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return ReadyResponse(200, every)

    async def problem(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        page = PAGES.get(scope["path_params"]["problem"])
        if page is None:
            raise HttpRefused(HttpRefusal.NOT_FOUND, "there is no such problem")
        return ReadyResponse(200, encode(page))

    return [
        get_handler("/problems", problems, PUBLIC),
        get_handler("/problems/{problem:str}", problem, PUBLIC),
    ]
