"""What goes wrong is answered as a problem that says what, why and what helps, and never more than that."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import get

from ledger.api.access import PUBLIC
from ledger.api.problem_pages import PAGES
from ledger.api.problems import Problem, problem_of, problem_type
from ledger.api.refusal_table import MEANINGS, RETRY_AFTER_SECONDS, Code, HttpRefusal
from ledger.core.refusals import TRANSIENT, Refusal, Refused
from ledger.service import Ledger, Outcome
from ledger.workspace.commands import SetApiKeyLimits
from tests.integration import scenes
from tests.integration.api_scene import Api, open_api, open_scene, refusal
from tests.integration.scenes import ACME, hold

CODES: list[Code] = [*HttpRefusal, *Refusal]
STATUS_OF_ENDING = {
    "_unknown": {404, 503},
    "_exists": {409},
    "_already": {409},
    "_not_allowed": {403, 405},
    "_invalid": {400, 422},
}


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_has_a_status_that_fits(code: Code) -> None:
    """The table is total; what is unknown is 404, what exists 409, and what passes by itself says when."""
    status = MEANINGS[code].status
    for ending, fitting in STATUS_OF_ENDING.items():
        if code.value.endswith(ending):
            assert status in fitting
    assert (status in {429, 503}) == (code in RETRY_AFTER_SECONDS)
    assert (code in TRANSIENT or code is HttpRefusal.DRAINING) == (code in RETRY_AFTER_SECONDS)
    assert MEANINGS[code].meaning.endswith(".")
    assert MEANINGS[code].remedy.endswith(".")


def test_money_that_is_missing_is_402() -> None:
    """And nothing else is, so that a program may branch on the status alone."""
    missing = {code for code, row in MEANINGS.items() if row.status == 402}
    assert missing == {
        Refusal.INSUFFICIENT_AVAILABLE,
        Refusal.API_KEY_SPEND_LIMIT_EXCEEDED,
        Refusal.PROJECT_SPEND_LIMIT_EXCEEDED,
    }


def test_types_are_stable_and_lead_to_their_page(api: Api) -> None:
    """Each type is a path of its own, and the page there says what the table says."""
    assert problem_type(Refusal.INSUFFICIENT_AVAILABLE) == "/problems/insufficient-available"
    assert len({problem_type(code) for code in CODES}) == len(CODES) == len(PAGES)
    listed = api.client.get("/problems").json()["problems"]
    assert [page["code"] for page in listed] == [code.value for code in CODES]
    for page in listed:
        assert api.client.get(page["type"]).json() == page
    assert refusal(api.client.get("/problems/nothing")) == (404, "not_found", None)


def test_facts_never_replace_the_members_of_a_problem() -> None:
    """A refusal's facts stand beside the members that RFC 9457 names."""
    problem = problem_of(Refusal.REQUEST_SETTLED, "settled", {"status": "settled", "left": "1"}, "id-1")
    assert problem | {"type": "", "title": ""} == {
        "type": "",
        "title": "",
        "status": 409,
        "code": "request_settled",
        "detail": "settled",
        "instance": "urn:request-id:id-1",
        "transient": False,
        "request_status": "settled",
        "left": "1",
    }
    assert set(Problem.__struct_fields__) <= problem.keys()


FRAMEWORK_REFUSALS: tuple[tuple[str, str, tuple[int, str, None]], ...] = (
    ("GET", "/nothing", (404, "not_found", None)),
    ("GET", "/ledger/v1/nothing", (404, "not_found", None)),
    ("DELETE", "/ledger/v1/requests", (405, "method_not_allowed", None)),
    ("GET", "/ledger/v1/commands", (405, "method_not_allowed", None)),
    ("POST", "/ledger/v1/commands", (401, "not_authenticated", None)),
)


def test_what_the_framework_refuses_is_a_problem_too(api: Api) -> None:
    """404, 405 and 401 have the same shape, their headers and a request id."""
    for method, path, answer in FRAMEWORK_REFUSALS:
        response = api.client.request(method, path, headers={"X-Request-ID": "mine-1"})
        assert refusal(response) == answer
        assert response.headers["x-request-id"] == "mine-1"
        assert response.json()["instance"] == "urn:request-id:mine-1"
        assert ("allow" in response.headers) == (response.status_code == 405)


def test_every_answer_has_a_request_id_and_safe_headers(api: Api) -> None:
    """A malformed id of the caller's is replaced; there is no CORS, no cookie, no sniffing, no frame."""
    for path in ("/livez", "/nothing", "/ledger/v1/catalog", "/ledger/v1/docs"):
        for sent in (b"a b", "ü".encode(), b"x" * 129, b"<script>"):
            headers = api.client.get(path, headers={b"X-Request-ID": sent, b"Origin": b"http://other"}).headers
            assert len(headers["x-request-id"]) == 24
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert not {"set-cookie", "access-control-allow-origin"} & headers.keys()


def test_a_defect_is_logged_and_not_told(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is 500 with the request id; what it was stands in the log only, without the key."""

    @get("/broken", opt=PUBLIC)
    async def broken() -> str:
        raise ZeroDivisionError("the secret of the house")

    with open_api(ledger, parts=[broken]) as api, caplog.at_level(logging.ERROR, logger="ledger.api"):
        response = api.client.get("/broken", headers={"X-Request-ID": "r-500", "Authorization": f"Bearer {api.root}"})
    assert refusal(response) == (500, "internal_error", None)
    assert "secret" not in response.text
    assert "the secret of the house" in caplog.text
    assert "r-500" in caplog.text
    assert api.root not in caplog.text


def test_what_passes_by_itself_says_when(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 and 429 carry Retry-After, for single posts and inside a batch."""
    now: list[Refusal] = []

    async def refuse(*_: Any) -> Outcome:
        return Outcome(refused=Refused(now[0], "not now"))

    async def refuse_many(commands: Any, _: str) -> list[Outcome]:
        return [await refuse() for _ in commands]

    monkeypatch.setattr(api.ledger, "execute_async", refuse)
    monkeypatch.setattr(api.ledger, "execute_many_async", refuse_many)
    for code in TRANSIENT:
        now[:] = [code]
        response = api.command(hold("r1"))
        assert refusal(response) == (MEANINGS[code].status, code.value, None)
        assert int(response.headers["retry-after"]) >= 1
        body = [{"kind": "release_request", "workspace_id": ACME, "request_id": "r1", "cause": "failed"}]
        assert api.post("/commands", body).json()[0]["problem"]["transient"] is True


def test_a_minutes_limit_says_when_the_next_one_begins(api: Api) -> None:
    """429 with the whole seconds that are left of the minute, in the header as in the body."""
    limits = scenes.change(scenes.key_limits(None), tokens_per_minute=1_499)
    changed = api.command(SetApiKeyLimits(workspace_id=ACME, change_id="p", api_key_id="k1", limits=limits))
    assert changed.status_code == 201
    response = api.command(hold("r1"))
    assert refusal(response) == (429, "tokens_per_minute_exceeded", None)
    problem = response.json()
    assert (problem["limit"], problem["needed"], problem["left"]) == (1_499, 1_500, 1_499)
    assert 1 <= problem["retry_after_seconds"] <= 60
    assert response.headers["retry-after"] == str(problem["retry_after_seconds"])


def test_a_database_that_is_away_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even the key can be looked up, and in readiness."""

    async def away(*_: Any) -> Any:
        raise Refused(Refusal.UNAVAILABLE, "the database does not answer")

    monkeypatch.setattr(api.ledger, "authenticate", away)
    monkeypatch.setattr(api.ledger, "ping", away)
    for response in (api.command(hold("r1")), api.get("/catalog"), api.client.get("/readyz")):
        assert refusal(response) == (503, "unavailable", None)
        assert response.headers["retry-after"] == "2"
    assert api.client.get("/livez").status_code == 200


def test_health_answers_get_and_head_and_drains(api: Api) -> None:
    """Ready until the server is told to stop; alive all the time."""
    for path in ("/livez", "/readyz"):
        assert api.client.get(path).json() == {"status": "ok"}
        head = api.client.head(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "15")
    api.context.draining = True
    assert refusal(api.client.get("/readyz")) == (503, "draining", None)
    assert (api.client.head("/readyz").status_code, api.client.get("/livez").status_code) == (503, 200)


def test_metrics_count_commands_and_refusals(api: Api) -> None:
    """By kind and outcome, by code, with durations; the queue's depth is shown."""
    api.command(hold("r1"))
    api.command(hold("r1"))
    api.command(hold("r2", "5000"))
    api.client.get("/nothing")
    text = api.client.get("/metrics", headers={"Authorization": f"Bearer {api.root}"}).text
    for outcome in ("recorded", "repeated", "refused"):
        assert f'route_ledger_commands_total{{kind="route_request",outcome="{outcome}"}} 1.0' in text
    assert 'route_ledger_refusals_total{code="insufficient_available"} 1.0' in text
    assert 'route_ledger_refusals_total{code="not_found"} 1.0' in text
    assert 'route_ledger_post_seconds_count{kind="route_request"} 3.0' in text
    assert "route_ledger_queue_depth 0.0" in text
    assert scenes.ACME not in text
