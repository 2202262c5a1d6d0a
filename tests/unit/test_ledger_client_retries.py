"""The ledger's client against scripted failures: what is sent again, what is not, and what a caller is told."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from gateway.ledger_client import (
    AnswerUnreadable,
    AsyncLedgerClient,
    LedgerClient,
    LedgerError,
    LedgerUnavailable,
    PostOutcome,
    RefusedByLedger,
    Retrying,
    event_of,
)
from gateway.ledger_errors import known_code
from ledger.api.refusal_table import HttpRefusal
from ledger.catalog.commands import DefineBucket, PublishProvider
from ledger.catalog.events import BucketDefined
from ledger.core.commands import Command
from ledger.core.refusals import Refusal
from ledger.wallet.commands import OpenWallet

COMMAND = DefineBucket(bucket="credit", unit="CREDIT", scale=6)
KEY = "rl_live_platform_k1_secret"
ANSWER: dict[str, Any] = {
    "workspace_id": "platform", "position": 3, "command_id": "@bucket/credit", "tag": "bucket_defined.v1",
    "recorded_at": "2026-11-21T10:00:00.000001Z", "repeated": False,
    "event": {"tag": "bucket_defined.v1", "bucket": "credit", "unit": "CREDIT", "scale": 6}, "money": {},
}  # fmt: skip
Reply = httpx.Response | Exception


def problem(
    status: int, code: str, *, transient: bool = False, retry_after: str | None = None, **facts: Any
) -> httpx.Response:
    """Return a problem as the ledger sends it."""
    body = {
        "type": f"/problems/{code}",
        "status": status,
        "code": code,
        "detail": "why",
        "transient": transient,
        **facts,
    }
    headers = {"content-type": "application/problem+json"} | ({"retry-after": retry_after} if retry_after else {})
    return httpx.Response(status, content=json.dumps(body), headers=headers)


def done(**changed: Any) -> httpx.Response:
    """Return the answer to a recorded command."""
    return httpx.Response(201, json={**ANSWER, **changed})


def batch(*answers: dict[str, Any]) -> httpx.Response:
    """Return the answer to several commands."""
    return httpx.Response(200, json=list(answers))


def good(position: int, *, repeated: bool = False) -> dict[str, Any]:
    """Return the outcome of one recorded command of several."""
    return {"status": 201, "recorded": {**ANSWER, "position": position, "repeated": repeated}}


def bad(status: int, code: str, *, transient: bool = False) -> dict[str, Any]:
    """Return the outcome of one refused command of several."""
    return {"status": status, "problem": {"code": code, "detail": "why", "transient": transient}}


OVERLOADED = bad(503, "overloaded", transient=True)


class Scripted:
    """A server that answers from a list, and a clock that only the client's own pauses move."""

    def __init__(self, *replies: Reply, seconds_each: float = 0.0) -> None:
        self.replies = list(replies)
        self.seconds_each = seconds_each
        self.sent: list[httpx.Request] = []
        self.pauses: list[float] = []
        self.clock = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.sent.append(request)
        self.clock += self.seconds_each
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.clock += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Let time pass."""
        self.sleep(seconds)

    def client(self, **retrying: Any) -> LedgerClient:
        """Return a client of this server."""
        return LedgerClient(
            "http://ledger.test", KEY, retrying=Retrying(**retrying), transport=httpx.MockTransport(self),
            sleep=self.sleep, monotonic=lambda: self.clock, dice=lambda: 0.5,
        )  # fmt: skip

    def post(self, command: Command = COMMAND, **retrying: Any) -> Any:
        """Post a command with a client of its own."""
        with self.client(**retrying) as client:
            return client.post(command)

    def post_many(self, number: int, **retrying: Any) -> list[PostOutcome]:
        """Post so many commands with a client of its own."""
        with self.client(**retrying) as client:
            return client.post_many([msgspec.structs.replace(COMMAND, bucket=f"b{each}") for each in range(number)])


PASSING: list[Callable[[], Reply]] = [
    lambda: httpx.ConnectError("refused"),
    lambda: httpx.ConnectTimeout("slow"),
    lambda: httpx.ReadTimeout("slow"),
    lambda: httpx.RemoteProtocolError("closed"),
    lambda: problem(503, "overloaded", transient=True),
    lambda: problem(503, "unavailable", transient=True),
    lambda: problem(503, "outcome_unknown", transient=True),
    lambda: problem(503, "draining", transient=True),
    lambda: problem(500, "internal_error"),
    lambda: httpx.Response(502, text="<html>bad gateway</html>"),
    lambda: httpx.Response(504),
]


@pytest.mark.parametrize("failure", PASSING, ids=range(len(PASSING)))
def test_what_passes_is_sent_again_with_the_same_identity(failure: Callable[[], Reply]) -> None:
    """After a failure that may pass the very same bytes are sent again, and the answer is the answer."""
    server = Scripted(failure(), failure(), done(repeated=True))

    assert server.post().repeated
    assert server.pauses == [0.05, 0.1]
    assert len({(request.method, str(request.url), request.content) for request in server.sent}) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "field_invalid"), (401, "not_authenticated"), (402, "insufficient_available"), (404, "bucket_unknown"),
     (409, "identity_conflict"), (422, "unit_mismatch"), (429, "available_is_held")],
)  # fmt: skip
def test_a_decision_is_never_asked_for_twice(status: int, code: str) -> None:
    """A 4xx of the ledger is raised at once, with its code, facts and status."""
    server = Scripted(problem(status, code, field="amount", needed="5", request_status="settled"))

    with pytest.raises(RefusedByLedger, match=f"{code}: why") as caught:
        server.post()

    assert (caught.value.code, caught.value.status) == (code, status)
    assert isinstance(caught.value.code, Refusal | HttpRefusal)
    assert caught.value.facts == {"field": "amount", "needed": "5", "request_status": "settled"}
    assert len(server.sent) == 1


def test_waiting_for_open_holds_is_asked_for() -> None:
    """429 available_is_held is repeated only by a client that was told to, after what Retry-After says."""
    server = Scripted(problem(429, "available_is_held", transient=True, retry_after="2"), done())

    assert server.post(wait_for_holds=True).position == 3
    assert server.pauses == [2.05]


def test_a_pause_that_would_pass_the_deadline_is_not_begun() -> None:
    """Attempts end when they are used up, or when the next one would come too late."""
    server = Scripted(*(problem(503, "overloaded", retry_after="6") for _ in range(9)))
    with pytest.raises(LedgerUnavailable) as caught:
        server.post(attempts=9)
    assert (caught.value.attempts, caught.value.code, server.clock < 15) == (3, Refusal.OVERLOADED, True)

    server = Scripted(*(httpx.ReadTimeout("slow") for _ in range(9)), seconds_each=8.0)
    with pytest.raises(LedgerUnavailable) as caught:
        server.post()
    assert caught.value.attempts == 2
    assert [request.extensions["timeout"]["read"] for request in server.sent] == [10.0, 15.0 - 8.05]
    assert server.sent[0].extensions["timeout"]["connect"] == 2.0


@pytest.mark.parametrize(
    ("failure", "unknown"),
    [(httpx.ConnectError("no"), False), (httpx.ReadTimeout("slow"), True), (httpx.Response(502), True),
     (problem(503, "overloaded"), False), (problem(503, "outcome_unknown"), True),
     (problem(500, "internal_error"), True)],
)  # fmt: skip
def test_a_failure_says_whether_something_may_be_recorded(failure: Reply, unknown: bool) -> None:
    """Only where no attempt can have been recorded does the failure say so; a later attempt does not hide it."""
    with pytest.raises(LedgerUnavailable) as caught:
        Scripted(failure, httpx.ConnectError("no")).post(attempts=2)

    assert caught.value.outcome_unknown is unknown


@pytest.mark.parametrize(
    "reply",
    [httpx.Response(200, text="<html>"), httpx.Response(200, json={"position": 3}), httpx.Response(404, text="nginx"),
     httpx.Response(302, headers={"location": "http://elsewhere"}), httpx.Response(200, content=b"\xff"),
     httpx.Response(400, content=b"{", headers={"content-type": "application/problem+json"}),
     httpx.DecodingError("no gzip")],
)  # fmt: skip
def test_answers_that_no_ledger_sends_are_told_apart(reply: Reply) -> None:
    """What another server answers is neither a refusal nor sent again; no redirect is followed."""
    server = Scripted(reply)

    with pytest.raises(AnswerUnreadable):
        server.post()

    assert len(server.sent) == 1


def test_every_failure_of_httpx_is_translated() -> None:
    """Whatever httpx raises for a request becomes a LedgerError."""
    kinds = [kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, httpx.RequestError)]
    for kind in kinds:
        with pytest.raises(LedgerError):
            Scripted(kind("it failed")).post(attempts=1)
    assert len(kinds) > 15


def test_a_post_has_its_path_body_identity_and_key() -> None:
    """Ids go into the path quoted, a change's id is the Idempotency-Key, and the key stands in one header only."""
    server = Scripted(done(), done())
    provider = PublishProvider(
        change_id="c.1", provider="openai", dialect="openai", api_base="http://x", cost_unit="USD", cost_scale=9
    )
    server.post(provider)
    server.post(OpenWallet(workspace_id="a/b ?", bucket="credit"))

    first, second = server.sent
    assert (first.url.path, first.headers["idempotency-key"]) == ("/ledger/v1/catalog/providers", "c.1")
    assert json.loads(first.content)["kind"] == "publish_provider"
    assert second.url.raw_path == b"/ledger/v1/wallets/a%2Fb%20%3F/credit"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert KEY.encode() not in first.content


def test_what_cannot_be_sent_is_refused_here() -> None:
    """Dots or nothing as an id, or an identity that no header takes, never leave the process."""
    server = Scripted()
    for command in (
        OpenWallet(workspace_id="..", bucket="credit"),
        OpenWallet(workspace_id="acme", bucket=""),
        PublishProvider(
            change_id="a\nb", provider="p", dialect="openai", api_base="http://x", cost_unit="USD", cost_scale=9
        ),
    ):
        with pytest.raises(RefusedByLedger):
            server.post(command)
    for url, key in (("ledger.test", KEY), ("http://ledger.test", KEY + "\n"), ("http://ledger.test", "")):
        with pytest.raises(ValueError, match=r"the ledger's address|the key is empty") as caught:
            LedgerClient(url, key)
        assert KEY not in str(caught.value)


def test_many_commands_go_in_few_bodies() -> None:
    """At most 1,000 commands and less than a megabyte go at once, in order."""
    server = Scripted(*(batch(*(good(at) for at in range(size))) for size in (1000, 1000, 1)))
    assert len(server.post_many(2001)) == 2001
    assert [len(json.loads(request.content)) for request in server.sent] == [1000, 1000, 1]

    wordy = [msgspec.structs.replace(COMMAND, bucket=f"b{at}", reason="x" * 400_000) for at in range(3)]
    server = Scripted(batch(good(1), good(2)), batch(good(3)))
    with server.client() as client:
        assert [each.recorded.position for each in client.post_many(wordy) if each.recorded] == [1, 2, 3]
        assert client.post_many([]) == []


def test_a_batch_goes_again_from_its_first_passing_refusal() -> None:
    """Refused for now: that command and those behind it go again; what was recorded stays as it was answered."""
    server = Scripted(
        batch(
            good(1),
            bad(409, "wallet_exists"),
            bad(503, "overloaded", transient=True),
            good(2),
            bad(404, "request_unknown"),
        ),
        batch(good(3), good(2, repeated=True), good(4)),
    )

    outcomes = server.post_many(5)

    assert [each.recorded.position if each.recorded else None for each in outcomes] == [1, None, 3, 2, 4]
    assert [each.repeated for each in outcomes] == [False] * 5
    assert outcomes[1].refused is not None
    assert outcomes[1].refused.code is Refusal.WALLET_EXISTS
    assert [len(json.loads(request.content)) for request in server.sent] == [5, 3]
    assert server.pauses == [1.05]


def test_a_batch_gives_passing_refusals_back_in_the_end() -> None:
    """When attempts are used up the refusal is the outcome; open holds are waited for only when asked."""
    server = Scripted(*(batch(bad(503, "outcome_unknown", transient=True)) for _ in range(2)))
    (outcome,) = server.post_many(1, attempts=2)
    assert outcome.refused is not None
    assert (outcome.refused.transient, len(server.sent)) == (True, 2)

    for code in ("requests_per_minute_exceeded", "tokens_per_minute_exceeded"):
        paced = Scripted(batch(bad(429, code, transient=True)))
        assert paced.post_many(1, wait_for_holds=True)[0].refused is not None
        assert paced.pauses == []
    held = batch(bad(429, "available_is_held", transient=True))
    assert Scripted(held).post_many(1)[0].refused is not None
    assert Scripted(held, batch(good(1))).post_many(1, wait_for_holds=True)[0].recorded is not None


def test_a_batch_is_answered_at_once_where_that_is_asked_for() -> None:
    """Somebody who waits hears of a passing refusal at once; a lost connection is tried again all the same."""
    busy = batch(bad(503, "overloaded", transient=True), good(1))
    server = Scripted(httpx.ReadError("lost"), busy)

    first, second = server.post_many(2, repeat_refused=False)

    assert (first.refused is not None, second.recorded is not None, len(server.sent)) == (True, True, 2)


@pytest.mark.parametrize("reply", [batch(), batch({"status": 200}), batch(good(1), good(2))])
def test_a_batch_answered_out_of_step_is_unreadable(reply: httpx.Response) -> None:
    """As many outcomes as commands, each recorded or refused: anything else is no answer."""
    with pytest.raises(AnswerUnreadable):
        Scripted(reply).post_many(1)


def test_the_asynchronous_client_takes_the_same_steps() -> None:
    """Retries, answers and failures are those of the other client."""
    server = Scripted(httpx.ReadTimeout("slow"), done(), batch(good(1)), problem(404, "bucket_unknown"))

    async def talk() -> tuple[Any, list[PostOutcome], str]:
        async with AsyncLedgerClient(
            "http://ledger.test", KEY, transport=httpx.MockTransport(server), sleep=server.sleep_async,
            monotonic=lambda: server.clock, dice=lambda: 0.5,
        ) as client:  # fmt: skip
            answer = await client.post(COMMAND)
            outcomes = await client.post_many([COMMAND])
            with pytest.raises(RefusedByLedger) as caught:
                await client.wallet("acme", "credit")
            return answer, outcomes, caught.value.code

    answer, outcomes, code = asyncio.run(talk())
    assert (answer.position, len(outcomes), code) == (3, 1, Refusal.BUCKET_UNKNOWN)
    assert server.pauses == [0.05]


def test_the_event_of_an_answer_is_typed() -> None:
    """An answer's event decodes into the ledger's own struct; one of a newer ledger is told apart."""
    assert event_of(Scripted(done()).post()) == BucketDefined("credit", "CREDIT", 6)
    with pytest.raises(AnswerUnreadable, match=r"new\.v9"):
        event_of(Scripted(done(tag="new.v9", event={"tag": "new.v9"})).post())


def test_codes_of_a_newer_ledger_stay_texts() -> None:
    """A code that this client does not know is handed on as it is."""
    assert known_code("overloaded") is Refusal.OVERLOADED
    assert known_code("draining") is HttpRefusal.DRAINING
    assert known_code("made_up_later") == "made_up_later"


def test_pages_that_lead_nowhere_end() -> None:
    """A page that says there is more but not where, or leads to itself, is no answer: nobody reads for ever."""
    empty = {"data": [], "has_more": True}
    for pages in ([None], ["a", "a"]):
        server = Scripted(*(httpx.Response(200, json={**empty, "next_cursor": cursor}) for cursor in pages))
        with server.client() as client, pytest.raises(AnswerUnreadable, match="there is more"):
            list(client.entries("acme", at_least_position=7))
        assert server.sent[0].url.query == b"limit=200&at_least_position=7"
