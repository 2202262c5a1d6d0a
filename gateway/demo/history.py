"""A second workspace of the demo with two weeks behind it, so that there is something to explain.

Its calls are holds and settlements as a gateway posts them, with `effective_at` in the past: the last day is the one
before the first start. A later start repeats the same commands, which changes nothing.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from zoneinfo import ZoneInfo

import msgspec

from gateway.demo.traffic import DAYS, Call, FailedTry, two_weeks
from gateway.routing.costing import provider_cost
from gateway.tools.failures import ToolFailed
from gateway.usage.reported import ModelUsage
from ledger.catalog.state import Catalog, card_in_force
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command, to_datetime, to_microseconds
from ledger.core.refusals import Refusal
from ledger.events import Recorded
from ledger.pricing.usage import Usage
from ledger.request import commands as request
from ledger.request.events import Estimate, Why
from ledger.service import SYSTEM, Ledger, Outcome
from ledger.wallet.commands import AddFunds, OpenWallet
from ledger.wallet.events import Paid
from ledger.workspace.commands import CreateProject, CreateWorkspace, IssueApiKey, StatedKeyLimits

__all__ = ["HISTORY_WORKSPACE", "Teller", "set_history"]

HISTORY_WORKSPACE = "globex"
ZONE = ZoneInfo("Europe/Berlin")
PROJECTS = ("support", "back-office", "agents")
HOLD_SECONDS = 3600
"""From the recording, not from when it is said to have happened: nothing of the past has expired."""

HOLDS = {
    "smart-direct": "0.45", "smart-backup": "0.55", "claude-direct": "0.95", "deep-direct": "13",
    "cheap-ordinary": "0.06",
}  # fmt: skip
PAYMENTS = {
    "credit": ("150", "stripe", Paid("30.00", "USD", "1.17", "pi_demo_2")),
    "rmb": ("30", "alipay", Paid("30.00", "CNY", "0.18", "2026110922001")),
}
ESTIMATE = Estimate(20_000, 4096)
FIRST = Why("first target")
REFUNDED_AFTER = timedelta(days=2)

Dated = tuple[datetime, Command]


def set_history(ledger: Ledger) -> None:
    """Open the workspace and post its two weeks, where that is missing. Raises ToolFailed where it cannot be."""
    created = ledger.execute(CreateWorkspace(workspace_id=HISTORY_WORKSPACE, time_zone=ZONE.key), SYSTEM)
    first_start = to_datetime(require_done(created).fact.happened_at)
    for project in PROJECTS:
        require_done(ledger.execute(CreateProject(workspace_id=HISTORY_WORKSPACE, project_id=project), SYSTEM))
        # Nobody is told the secrets of these keys.
        require_done(ledger.issue_key(key_of(project), SYSTEM).outcome)

    def end_user(number: int) -> str:
        return ledger.hash_end_user(HISTORY_WORKSPACE, f"customer-{number}")

    teller = Teller(ledger.read_catalog(), end_user, first_start.astimezone(ZONE).date())
    for outcome in ledger.execute_many(teller.tell(), SYSTEM):
        # What an earlier version has told otherwise stands.
        if outcome.refused is None or outcome.refused.code is not Refusal.IDENTITY_CONFLICT:
            require_done(outcome)


def require_done(outcome: Outcome) -> Recorded:
    """Return the event of a command. Raises ToolFailed where it was refused."""
    if outcome.recorded is None:
        raise ToolFailed(f"the demo's history could not be set up: {outcome.refused}")
    return outcome.recorded


def key_of(project: str) -> IssueApiKey:
    """Return what issues a project's key, which allows another balance to pay."""
    return IssueApiKey(
        workspace_id=HISTORY_WORKSPACE, api_key_id=project, scopes=("call",), project_id=project,
        limits=StatedKeyLimits(allow_bucket_change=True),
    )  # fmt: skip


class Teller:
    """Makes commands of the two weeks before a day, with the prices of a catalog.

    `end_user` gives what stands in the books for a customer's number.
    """

    def __init__(self, catalog: Catalog, end_user: Callable[[int], str], first_start: date) -> None:
        self._catalog = catalog
        self._end_user = end_user
        self._first_day = first_start - timedelta(days=DAYS)

    def tell(self) -> list[Command]:
        """Return all commands, in the order in which they are said to have happened."""
        dated = list(self._funds())
        for number, call in enumerate(two_weeks(), 1):
            dated += self._commands_of(f"history-{number:04d}", call)
        return [command for _, command in sorted(dated, key=itemgetter(0))]

    def _funds(self) -> Iterator[Dated]:
        paid_at = self._instant(0, 0)
        for bucket, (value, source, paid) in PAYMENTS.items():
            amount = StatedAmount(value, self._catalog.buckets[bucket].unit)
            yield paid_at, OpenWallet(workspace_id=HISTORY_WORKSPACE, bucket=bucket, effective_at=paid_at)
            yield paid_at, AddFunds(
                workspace_id=HISTORY_WORKSPACE, bucket=bucket, amount=amount, source=source,
                reference=f"history-{bucket}", paid=paid, effective_at=paid_at,
            )  # fmt: skip

    def _commands_of(self, request_id: str, call: Call) -> Iterator[Dated]:
        """Yield what a gateway posts of one call, at the instants at which it would."""
        at = self._instant(call.day, call.second)
        yield at, self._routed(request_id, call, at)
        route = call.route
        for attempt, tried in enumerate(call.failed, 1):
            at += timedelta(milliseconds=tried.latency_ms)
            retried = attempt < len(call.failed) or (call.moved_to is None and call.end == "settled")
            yield at, self._failed(request_id, call, attempt, tried, retried=retried, at=at)
        if call.moved_to is not None:
            yield at, self._moved(request_id, call, call.moved_to, at)
            route = call.moved_to
        at += timedelta(milliseconds=call.latency_ms)
        if call.end != "settled":
            yield (
                at,
                request.ReleaseRequest(
                    workspace_id=HISTORY_WORKSPACE, request_id=request_id, cause=call.end, effective_at=at
                ),
            )
            return
        yield at, self._settled(request_id, call, route, at)
        if call.refunded is not None:
            later = at + REFUNDED_AFTER
            yield later, request.RefundCharge(
                workspace_id=HISTORY_WORKSPACE, request_id=request_id, refund_id="1", reason="the answer was of no use",
                refund=StatedAmount(call.refunded, self._unit_of(route)), effective_at=later,
            )  # fmt: skip

    def _routed(self, request_id: str, call: Call, at: datetime) -> Command:
        return request.RouteRequest(
            workspace_id=HISTORY_WORKSPACE, request_id=request_id, project_id=call.project, api_key_id=call.project,
            model=call.model, route=call.route, bucket=self._catalog.routes[call.route].bucket,
            hold=self._hold(call.route), hold_seconds=HOLD_SECONDS, why=FIRST, estimate=ESTIMATE,
            end_user=None if call.user is None else self._end_user(call.user), workflow=call.workflow, run=call.run,
            step=call.step, effective_at=at,
        )  # fmt: skip

    def _failed(
        self, request_id: str, call: Call, attempt: int, tried: FailedTry, *, retried: bool, at: datetime
    ) -> Command:
        usage = None
        if tried.output_tokens is not None:
            usage = usage_of(msgspec.structs.replace(call, output_tokens=tried.output_tokens, reasoning_tokens=0))
        return request.RecordAttempt(
            workspace_id=HISTORY_WORKSPACE, request_id=request_id, attempt=attempt, route=call.route,
            failure=tried.failure, retried=retried, latency_ms=tried.latency_ms, http_status=tried.http_status,
            usage=usage, provider_cost=None if usage is None else self._cost(usage, call.route, at), effective_at=at,
        )  # fmt: skip

    def _moved(self, request_id: str, call: Call, to_route: str, at: datetime) -> Command:
        failure = call.failed[-1].failure
        return request.TakeFallback(
            workspace_id=HISTORY_WORKSPACE, request_id=request_id, fallback=1, from_route=call.route,
            to_route=to_route, to_bucket=self._catalog.routes[to_route].bucket, hold=self._hold(to_route),
            hold_seconds=HOLD_SECONDS, failure=failure, effective_at=at,
            why=Why(f"{call.route} failed: {failure}; next target that can serve and be paid"),
        )  # fmt: skip

    def _settled(self, request_id: str, call: Call, route: str, at: datetime) -> Command:
        usage = usage_of(call)
        return request.SettleRequest(
            workspace_id=HISTORY_WORKSPACE, request_id=request_id, attempt=len(call.failed) + 1, route=route,
            reported_model=self._catalog.routes[route].upstream_model, usage=usage,
            usage_source="estimated" if call.guessed else "reported",
            policy="stream_cut_estimated" if call.guessed else "complete", latency_ms=call.latency_ms,
            first_token_ms=call.latency_ms // 6, provider_cost=self._cost(usage, route, at), effective_at=at,
        )  # fmt: skip

    def _hold(self, route: str) -> StatedAmount:
        return StatedAmount(HOLDS[route], self._unit_of(route))

    def _unit_of(self, route: str) -> str:
        return self._catalog.buckets[self._catalog.routes[route].bucket].unit

    def _cost(self, usage: Usage, route: str, at: datetime) -> StatedAmount | None:
        """Return what the provider bills for it, as the gateway would find it."""
        card = card_in_force(self._catalog, route, to_microseconds(at))
        provider = self._catalog.providers[self._catalog.routes[route].provider]
        return None if card is None else provider_cost((ModelUsage(None, usage),), card, provider, None)

    def _instant(self, day: int, second: int) -> datetime:
        """Return the instant at which the clock on the wall shows a time of one of the days."""
        shown = datetime.combine(self._first_day + timedelta(days=day), time()) + timedelta(seconds=second)
        return shown.replace(tzinfo=ZONE).astimezone(UTC)


def usage_of(call: Call) -> Usage:
    """Return the tokens of a call by part, without those that are none."""
    parts = {
        "uncached_input": call.input_tokens - call.cached_tokens,
        "cache_read": call.cached_tokens,
        "text_output": call.output_tokens,
        "reasoning": call.reasoning_tokens,
    }
    used = {part: tokens for part, tokens in parts.items() if tokens}
    return Usage(call.input_tokens, call.output_tokens + call.reasoning_tokens, used)
