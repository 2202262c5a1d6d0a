"""One call of a ledger with its retries, without I/O: what to send, how long to wait, when to give up.

The exchange is a generator. It yields `Send` and `Pause`; whoever drives it answers a `Send` with a `Reply` or with
`Lost`. Both clients drive the same one. Every post carries its identity, so that sending it again is safe; a
decision of the ledger (4xx) is never asked for twice.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec

from gateway.ledger_errors import AnswerUnreadable, LedgerUnavailable, RefusedByLedger
from ledger.api.refusal_table import HttpRefusal
from ledger.core.refusals import Refusal

PASSING_STATUSES = frozenset({500, 502, 503, 504})
"""A server or a proxy that could not do it now. What it was asked may have been done all the same."""

UNDECIDED = frozenset({Refusal.OVERLOADED, Refusal.UNAVAILABLE, HttpRefusal.DRAINING})
"""Codes that say that nothing was decided."""

PROBLEM_MEMBERS = frozenset({"type", "title", "status", "code", "detail", "instance", "transient"})
RETRY_AFTER_SECONDS_MAX = 3600.0


class Retrying(msgspec.Struct, frozen=True, kw_only=True):
    """How persistent a client is. `wait_for_holds` also repeats what only open holds stand in the way of.

    Without `repeat_refused` a batch is answered at once, also where some of it was refused for the moment.
    """

    attempts: int = 4
    deadline_seconds: float = 15.0
    attempt_seconds: float = 10.0
    backoff_seconds: float = 0.1
    backoff_seconds_max: float = 2.0
    wait_for_holds: bool = False
    repeat_refused: bool = True


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the ledger."""

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = {}
    parameters: dict[str, str] = {}


class Send(msgspec.Struct, frozen=True):
    """A step: send the call, and wait no longer than this for each part of the answer."""

    call: Call
    timeout_seconds: float


class Pause(msgspec.Struct, frozen=True):
    """A step: wait."""

    seconds: float


class Reply(msgspec.Struct, frozen=True):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(msgspec.Struct, frozen=True):
    """Nothing came back. `sent` when the ledger may have received the call."""

    detail: str
    sent: bool


class Timing(msgspec.Struct, frozen=True):
    """A clock in seconds that never goes back, and dice between 0 and 1."""

    monotonic: Callable[[], float]
    dice: Callable[[], float]


Step = Send | Pause
_body_decoder = msgspec.json.Decoder(dict[str, Any])


class Patience:
    """Attempts and time that are left for one call, and whether any attempt may have been recorded."""

    def __init__(self, retrying: Retrying, timing: Timing) -> None:
        self.retrying = retrying
        self.timing = timing
        self.attempts = 0
        self.outcome_unknown = False
        self._ends_at = timing.monotonic() + retrying.deadline_seconds

    def begin(self) -> float:
        """Count an attempt and return how long each part of it may take."""
        self.attempts += 1
        return max(0.001, min(self.retrying.attempt_seconds, self._ends_at - self.timing.monotonic()))

    def pause(self, retry_after: float) -> Pause | None:
        """Return how long to wait before the next attempt; None when there shall be none."""
        if self.attempts >= self.retrying.attempts:
            return None
        # Full jitter: callers who failed together do not come back together.
        most = min(self.retrying.backoff_seconds_max, self.retrying.backoff_seconds * 2 ** (self.attempts - 1))
        seconds = retry_after + most * self.timing.dice()
        return Pause(seconds) if self.timing.monotonic() + seconds < self._ends_at else None


def exchange(call: Call, patience: Patience) -> Generator[Step, Any, Reply]:
    """Yield the steps of one call; return the ledger's answer. Raises LedgerError."""
    while True:
        reply: Reply | Lost = yield Send(call, patience.begin())
        if isinstance(reply, Reply) and 200 <= reply.status < 300:
            return reply
        failure = failure_of(reply, call, patience)
        pause = patience.pause(retry_after_of(reply)) if is_passing(failure, patience.retrying) else None
        if pause is None:
            raise failure
        yield pause


def failure_of(reply: Reply | Lost, call: Call, patience: Patience) -> Exception:
    """Return what an attempt without an answer is, if it was the last one."""
    is_post = call.method != "GET"
    if isinstance(reply, Lost):
        patience.outcome_unknown |= is_post and reply.sent
        return unavailable(reply.detail, patience)
    problem = problem_of(reply)
    code = problem.get("code")
    if reply.status in PASSING_STATUSES:
        patience.outcome_unknown |= is_post and code not in UNDECIDED
        return unavailable(str(problem.get("detail", f"the answer was HTTP {reply.status}")), patience, code)
    if code is None or not 400 <= reply.status < 500:
        return AnswerUnreadable(f"{call.method} {call.path}: HTTP {reply.status} that no ledger sends")
    return refused_by(problem, reply.status)


def unavailable(detail: str, patience: Patience, code: str | None = None) -> LedgerUnavailable:
    """Return the failure of a call that got no decision."""
    return LedgerUnavailable(detail, outcome_unknown=patience.outcome_unknown, attempts=patience.attempts, code=code)


def refused_by(problem: Mapping[str, Any], status: int) -> RefusedByLedger:
    """Return a problem as the refusal that it is."""
    facts = {name: fact for name, fact in problem.items() if name not in PROBLEM_MEMBERS}
    transient = problem.get("transient") is True
    return RefusedByLedger(
        str(problem.get("code", "")), status, str(problem.get("detail", "")), facts, transient=transient
    )


def is_passing(failure: Exception, retrying: Retrying) -> bool:
    """Return whether the same call may be sent again after a pause."""
    if isinstance(failure, RefusedByLedger):
        return retrying.wait_for_holds and failure.code == Refusal.AVAILABLE_IS_HELD
    return isinstance(failure, LedgerUnavailable)


def problem_of(reply: Reply) -> dict[str, Any]:
    """Return the members of a problem; empty when the answer is none."""
    if not reply.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        problem = _body_decoder.decode(reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return problem if isinstance(problem.get("code"), str) else {}


def retry_after_of(reply: Reply | Lost) -> float:
    """Return how many seconds the server asks to wait. Dates are not used between our own parts: they are 0."""
    text = "" if isinstance(reply, Lost) else reply.headers.get("retry-after", "")
    return min(float(text), RETRY_AFTER_SECONDS_MAX) if text.isascii() and text.isdigit() else 0.0
