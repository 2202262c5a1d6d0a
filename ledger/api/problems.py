"""Refusals as RFC 9457 problems, and as answers of the HTTP layer.

A problem's `type` is stable per refusal: `/problems/<code with dashes>`, a path of this server that explains it.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from ledger.api.refusal_table import MEANINGS, RETRY_AFTER_SECONDS, Code, HttpRefusal, is_transient
from ledger.api.responses import Headers, ReadyResponse, request_id_of
from ledger.core.refusals import Refused

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "/problems/"
RENAMED_FACTS = {"status": "request_status"}
"""A fact whose name is the problem's own member gets another one."""

HTTP_CODES: dict[int, HttpRefusal] = {
    400: HttpRefusal.BODY_MALFORMED,
    401: HttpRefusal.NOT_AUTHENTICATED,
    403: HttpRefusal.NOT_ALLOWED,
    404: HttpRefusal.NOT_FOUND,
    405: HttpRefusal.METHOD_NOT_ALLOWED,
    413: HttpRefusal.BODY_TOO_LARGE,
    415: HttpRefusal.CONTENT_TYPE_UNSUPPORTED,
}
"""Statuses that the framework answers by itself."""

Answer = Response[bytes]
AnyRequest = Request[Any, Any, Any]

logger = logging.getLogger("ledger.api")
_encoder = msgspec.json.Encoder()


class HttpRefused(Exception):
    """A request was refused before it became a command."""

    def __init__(self, code: HttpRefusal, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.facts = facts


class Problem(msgspec.Struct, frozen=True):
    """What every problem has. A refusal's own facts stand beside: `field`, `needed`, `available`, `left` …"""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    transient: bool


def problem_type(code: Code) -> str:
    """Return the URI path that names a refusal for ever."""
    return TYPE_PREFIX + code.value.replace("_", "-")


def problem_of(code: Code, detail: str, facts: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """Return a problem's members, with the refusal's facts beside them."""
    problem: dict[str, Any] = {
        "type": problem_type(code),
        "title": code.value.replace("_", " ").capitalize(),
        "status": MEANINGS[code].status,
        "code": code.value,
        "detail": detail,
        "instance": f"urn:request-id:{request_id}",
        "transient": is_transient(code),
    }
    for name, fact in facts.items():
        problem[RENAMED_FACTS.get(name, name)] = fact
    return problem


def headers_of(code: Code, facts: Mapping[str, Any]) -> Headers:
    """Return the headers that belong to a refusal beside its body."""
    seconds = RETRY_AFTER_SECONDS.get(code)
    if seconds is not None:
        seconds = facts.get("retry_after_seconds", seconds)
        return ((b"retry-after", b"%d" % seconds),)
    if code is HttpRefusal.NOT_AUTHENTICATED:
        return ((b"www-authenticate", b'Bearer realm="route-ledger"'),)
    return ()


def problem_response(refused: Refused | HttpRefused, request_id: str) -> ReadyResponse:
    """Return the answer to a refusal, for handlers that answer themselves."""
    problem = problem_of(refused.code, refused.detail, refused.facts, request_id)
    body = _encoder.encode(problem)
    return ReadyResponse(problem["status"], body, headers_of(refused.code, refused.facts), PROBLEM_JSON.encode())


def exception_handlers(count: Callable[[Code], None]) -> dict[Any, Any]:
    """Return what answers exceptions of the whole application; each problem is counted.

    A part with another dialect of errors overrides them on its own router.
    """

    def answer(request: AnyRequest, code: Code, detail: str, facts: Mapping[str, Any], headers: Headers) -> Answer:
        count(code)
        problem = problem_of(code, detail, facts, request_id_of(request.scope))
        texts = {name.decode(): value.decode() for name, value in (*headers_of(code, facts), *headers)}
        body = _encoder.encode(problem)
        return Response(body, status_code=problem["status"], media_type=PROBLEM_JSON, headers=texts)

    def answer_refused(request: AnyRequest, refused: Refused | HttpRefused) -> Answer:
        return answer(request, refused.code, refused.detail, refused.facts, ())

    def answer_http_exception(request: AnyRequest, exception: HTTPException) -> Answer:
        # The framework refuses by itself: 404, 405, a bad Host header. Its own words are left out.
        code = code_of_status(exception.status_code)
        if code is HttpRefusal.INTERNAL_ERROR:
            return answer_defect(request, exception)
        allow = (exception.headers or {}).get("allow")
        headers: Headers = () if allow is None else ((b"allow", allow.encode()),)
        return answer(request, code, MEANINGS[code].meaning, {}, headers)

    def answer_defect(request: AnyRequest, exception: Exception) -> Answer:
        # The log says what it was; the caller learns only where to ask.
        logger.error("request %s failed", request_id_of(request.scope), exc_info=exception)
        code = HttpRefusal.INTERNAL_ERROR
        return answer(request, code, MEANINGS[code].meaning, {}, ())

    return {
        Refused: answer_refused,
        HttpRefused: answer_refused,
        HTTPException: answer_http_exception,
        Exception: answer_defect,
    }


def code_of_status(status: int) -> HttpRefusal:
    """Return the refusal that stands for a status of the framework's own."""
    return HTTP_CODES.get(status) or (HttpRefusal.INTERNAL_ERROR if status >= 500 else HttpRefusal.BODY_MALFORMED)
