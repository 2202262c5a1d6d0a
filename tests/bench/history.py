"""Two weeks of traffic, made up and the same at every run: agents at work in runs of some eight requests, by day more
than by night, three in five of them in one workspace.

In the second week prompts are longer, and one workflow calls the deep model for every second step.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import msgspec

from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command, to_datetime
from ledger.pricing.usage import Usage
from ledger.request import commands as request
from ledger.request.events import Estimate, Why
from tests.bench.history_catalog import MODELS, ROUTES, UNITS, cost_of
from tests.bench.scene import END_USERS, HOT, STEPS, spread_names, trace_of
from tests.integration.scenes import PROJECT

DAYS = 14
HOUR_MICROSECONDS = 3_600_000_000
SPAN_MICROSECONDS = DAYS * 24 * HOUR_MICROSECONDS
HOURS_OF_A_DAY = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 9, 11, 12, 12, 11, 9, 7, 6, 5, 4, 3, 2)
"""How much of a day's traffic its hours have, by comparison."""

TURNS = (4, 12)
"""The fewest and the most requests of a run."""

TURNS_MEAN = sum(TURNS) // 2
OTHERS = spread_names(200)
HOT_SHARE = 0.6
WORKFLOWS = tuple(f"agent-{number:02d}" for number in range(20))
DEEP_WORKFLOW = WORKFLOWS[7]
MODEL_OF_STEP = {"plan": "smart", "search": "fast", "answer": "smart", "review": "chat"}
KEYS = ("agents", "nightly")
"""The second has a tenth of the traffic."""

FAILED, FALLEN_BACK, RETRIED, REFUNDED = 0.03, 0.02, 0.015, 0.002
HOLD_VALUE, REFUND_VALUE = "5", "0.0001"
HOLD_SECONDS = 86_400
REFUND_MICROSECONDS = 60_000_000
ESTIMATE = Estimate(4000, 1000)
WHY, WHY_FALLBACK = Why("first in order"), Why("next in order")


class Session(msgspec.Struct, frozen=True):
    """A run of an agent, or of a person's chat, which has no labels. `week` is 0 or 1."""

    number: int
    began_at: int
    week: int
    workspace_id: str
    api_key_id: str
    workflow: str | None
    run: str | None


class History:
    """The commands of a history of about so many requests that ends at an instant (microseconds)."""

    def __init__(self, requests: int, ends_at: int) -> None:
        self.begins_at, self.ends_at = ends_at - SPAN_MICROSECONDS, ends_at
        self.sessions = requests // TURNS_MEAN
        self._session_dice, self._dice = Random(4), Random(5)
        self._numbers = count(1)

    def commands(self) -> Iterator[Command]:
        """Yield the commands in the order in which they happened."""
        waiting: list[tuple[int, int, Command]] = []
        order = count()
        for session in self.begun():
            while waiting and waiting[0][0] < session.began_at:
                yield heappop(waiting)[2]
            for instant, command in self._commands_of(session):
                heappush(waiting, (instant, next(order), command))
        while waiting:
            yield heappop(waiting)[2]

    def begun(self) -> Iterator[Session]:
        """Yield the sessions as they begin."""
        a_day = sum(HOURS_OF_A_DAY)
        number = weight = 0
        for hour in range(DAYS * 24):
            weight += HOURS_OF_A_DAY[hour % 24]
            first, after = number, self.sessions * weight // (a_day * DAYS)
            for number in range(first, after):
                within = (number - first) * HOUR_MICROSECONDS // (after - first)
                yield self._session(number, self.begins_at + hour * HOUR_MICROSECONDS + within)
            number = after

    def _session(self, number: int, began_at: int) -> Session:
        dice = self._session_dice
        is_chat = number % 10 == 0
        return Session(
            number,
            began_at,
            int(began_at >= self.begins_at + SPAN_MICROSECONDS // 2),
            HOT if dice.random() < HOT_SHARE else OTHERS[int(dice.random() ** 2 * len(OTHERS))],
            KEYS[dice.random() < 0.1],
            None if is_chat else WORKFLOWS[int(dice.random() * len(WORKFLOWS))],
            None if is_chat else f"run-{number:09d}",
        )

    def _commands_of(self, session: Session) -> Iterator[tuple[int, Command]]:
        instant = session.began_at
        for turn in range(self._dice.randint(*TURNS)):
            ended_at = instant
            for ended_at, command in self._request(session, turn, instant):
                yield ended_at, command
            instant = ended_at + int(self._dice.random() * 20_000_000)

    def _model(self, session: Session, step: str) -> str:
        deep = 0.5 if session.week and session.workflow == DEEP_WORKFLOW else 0.05
        drawn = self._dice.random()
        if drawn < deep:
            return "deep"
        if session.workflow is None:
            return "chat"
        return "translate" if drawn > 0.95 else MODEL_OF_STEP[step]

    def _request(self, session: Session, turn: int, instant: int) -> Iterator[tuple[int, Command]]:
        """Yield what becomes of one request, with the instants."""
        step = STEPS[turn % len(STEPS)]
        model = self._model(session, step)
        taken, spare = MODELS[model]
        common: dict[str, Any] = {
            "workspace_id": session.workspace_id, "request_id": request_id_of(session, turn),
            "trace_id": trace_of(next(self._numbers)),
        }  # fmt: skip
        yield instant, request.RouteRequest(
            **common, effective_at=to_datetime(instant), project_id=PROJECT, api_key_id=session.api_key_id,
            model=model, route=taken, bucket=ROUTES[taken].bucket, hold=amount(HOLD_VALUE, taken),
            hold_seconds=HOLD_SECONDS, why=WHY, estimate=ESTIMATE, end_user=END_USERS[session.number % len(END_USERS)],
            workflow=session.workflow, run=session.run, step=None if session.workflow is None else step,
        )  # fmt: skip
        latency_ms = 200 + int(self._dice.random() ** 2 * 9000)
        instant += latency_ms * 1000
        fate = self._dice.random()
        common["effective_at"] = to_datetime(instant)
        went_wrong = fate < FAILED + FALLEN_BACK + RETRIED
        for command in afflictions(common, fate, taken, spare, latency_ms) if went_wrong else ():
            yield instant, command
        if fate < FAILED:
            return
        if fate < FAILED + FALLEN_BACK:
            taken = spare
        usage = self._usage(session, turn, model)
        yield instant, request.SettleRequest(
            **common, attempt=2 if went_wrong else 1, route=taken, usage=usage, usage_source="reported",
            reported_model=ROUTES[taken].upstream_model + "-2026-05", latency_ms=latency_ms,
            first_token_ms=latency_ms // 5, provider_cost=cost_of(ROUTES[taken], usage.parts), policy="complete",
        )  # fmt: skip
        if fate > 1 - REFUNDED:
            instant += REFUND_MICROSECONDS
            common["effective_at"] = to_datetime(instant)
            refunded = amount(REFUND_VALUE, taken)
            yield instant, request.RefundCharge(**common, refund_id="1", refund=refunded, reason="a poor answer")

    def _usage(self, session: Session, turn: int, model: str) -> Usage:
        """Return the tokens of a request: a run's prompts grow from turn to turn, and most of it was cached before."""
        dice = self._dice
        prompt = int((400 + 300 * turn + dice.random() * 1200) * (1.15 if session.week else 1))
        cached = prompt * 7 // 10 if turn else 0
        text = 60 + int(dice.random() ** 2 * 900)
        reasoning = 2 * text if model == "deep" else 0
        parts = {"uncached_input": prompt - cached, "text_output": text}
        if cached:
            parts["cache_read"] = cached
        if reasoning:
            parts["reasoning"] = reasoning
        return Usage(prompt, text + reasoning, parts)


def afflictions(common: dict[str, Any], fate: float, taken: str, spare: str, latency_ms: int) -> Iterator[Command]:
    """Yield what goes wrong with a request: a call that fails for good, leads to another route or is made again."""
    is_overload = fate < FAILED + FALLEN_BACK
    yield request.RecordAttempt(
        **common, attempt=1, route=taken, failure="overloaded" if is_overload else "timeout", latency_ms=latency_ms,
        retried=not is_overload, http_status=529 if is_overload else None,
    )  # fmt: skip
    if fate < FAILED:
        yield request.ReleaseRequest(**common, cause="failed")
    elif is_overload:
        yield request.TakeFallback(
            **common, fallback=1, from_route=taken, to_route=spare, to_bucket=ROUTES[spare].bucket,
            hold=amount(HOLD_VALUE, spare), hold_seconds=HOLD_SECONDS, failure="overloaded", why=WHY_FALLBACK,
        )  # fmt: skip


def request_id_of(session: Session, turn: int) -> str:
    """Return the name of a session's request."""
    return f"{session.number:09d}-{turn:02d}"


def amount(value: str, route: str) -> StatedAmount:
    """Return an amount in the unit that a route settles in."""
    return StatedAmount(value, UNITS[ROUTES[route].bucket])


def workspaces_of_history() -> Sequence[str]:
    """Return the names of all workspaces that have traffic."""
    return (HOT, *OTHERS)
