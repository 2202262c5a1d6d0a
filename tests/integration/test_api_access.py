"""Who may call what: every route is walked with no key, with a key of each scope, and with other workspaces' keys."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from ledger.api.access import NOBODY, PUBLIC, SCOPES, bearer_token
from ledger.api.command_table import COMMAND_ROUTES
from ledger.api.problems import HttpRefused
from ledger.service import Ledger
from ledger.workspace import commands as workspace
from tests.integration import scenes
from tests.integration.api_scene import ALL_SCOPES, Api, open_api, open_scene, refusal
from tests.integration.scenes import ACME

OPEN_PATHS = frozenset(
    "/livez /readyz /problems /problems/{problem:str} /ledger/v1/openapi.json /ledger/v1/docs"
    " /ledger/v1/docs/assets/{asset:str} /ledger/v1/description/openapi.json /ledger/v1/description"
    " /ledger/v1/description/{path:str}".split()
)
"""What answers without a key: nothing of any workspace."""


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


def walk(app: Litestar) -> Iterator[tuple[str, str, str, frozenset[str] | None]]:
    """Yield method, declared path, a path to call, and the declared scopes of every route."""
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        called = re.sub(r"{(\w+):\w+}", lambda name: ACME if name[1] == "workspace_id" else "x", route.path)
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods):
                yield method, route.path, called, handler.opt.get(SCOPES, NOBODY)


def test_every_route_wants_a_key_or_is_on_the_list(api: Api) -> None:
    """Without a key everything answers 401 but the few open paths, which are exactly the declared ones."""
    for method, path, called, scopes in walk(api.client.app):
        response = api.client.request(method, called)
        assert (scopes is None) <= (path in OPEN_PATHS), (method, path)
        if scopes is None:
            assert response.status_code in {200, 204, 404}, (method, path)
        else:
            assert (response.status_code, response.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert {path for method, path, _, scopes in walk(api.client.app) if scopes is None} == OPEN_PATHS


def test_a_key_opens_exactly_what_its_scope_names(api: Api) -> None:
    """All routes × all scopes: 403 wherever the one scope is not declared, and never where it is."""
    tokens = {scope: api.key(f"only-{scope}", (scope,)) for scope in ALL_SCOPES}
    for method, path, called, scopes in walk(api.client.app):
        if scopes is None:
            continue
        for scope, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            response = api.client.request(method, called, headers=headers, content=b"?")
            assert (response.status_code == 403) == (scope not in scopes), (method, path, scope, response.text)
            if response.status_code == 403:
                assert response.json()["scopes"] == sorted(scopes)


def test_the_declared_scopes_are_those_of_the_command_table(api: Api) -> None:
    """What the routes declare and what the table says is one thing."""
    declared: dict[tuple[str, str], Any] = {(method, path): scopes for method, path, _, scopes in walk(api.client.app)}
    for route in COMMAND_ROUTES:
        assert declared["POST", f"/ledger/v1{route.typed_path}"] == {route.scope}


def test_a_route_that_declares_nothing_answers_nobody(ledger: Ledger) -> None:
    """Default deny, for parts that are mounted beside too."""

    @get("/forgotten")
    async def forgotten() -> str:
        return "secret"

    with open_api(ledger, parts=[forgotten]) as api:
        headers = {"Authorization": f"Bearer {api.root}"}
        assert api.client.get("/forgotten").status_code == 401
        assert refusal(api.client.get("/forgotten", headers=headers)) == (403, "not_allowed", None)


def test_metrics_are_the_platforms(api: Api) -> None:
    """Figures over all workspaces need a platform's key with scope read or audit."""
    keys = {
        None: 401, api.key("auditor", ("audit",)): 200, api.key("reader", ("read",)): 200,
        api.key("gateway", ("post",)): 403, api.key("own", ("call", "read", "audit"), ACME): 403,
    }  # fmt: skip
    for token, status in keys.items():
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        assert api.client.get("/metrics", headers=headers).status_code == status


def test_metrics_may_be_opened(ledger: Ledger) -> None:
    """Behind the setting, nobody needs a key for the figures."""
    with open_api(ledger, metrics_open=True) as opened:
        assert opened.client.get("/metrics").status_code == 200


def test_a_key_of_a_workspace_sees_that_workspace_alone(api: Api) -> None:
    """Another workspace and one that does not exist are refused in the same words, and nothing can be posted."""
    scenes.record(api.ledger, scenes.workspace_commands("zeta"))
    token = api.key("reader", ("call", "read", "audit"), ACME)
    for path in ("/workspaces/", "/wallets/"):
        assert api.get(path + ACME, token).status_code == 200
        other, none = api.get(path + "zeta", token), api.get(path + "nobody", token)
        assert refusal(other) == refusal(none) == (404, "workspace_unknown", "workspace_id")
        assert other.json()["detail"] == none.json()["detail"]
    assert refusal(api.get("/wallets/zeta/credit", token)) == (404, "workspace_unknown", "workspace_id")
    assert refusal(api.command(scenes.hold("r1"), token)) == (403, "not_allowed", None)


def test_a_key_of_a_project_sees_that_project_alone(api: Api) -> None:
    """Other projects and their keys are not in its answer."""
    scenes.do(api.ledger, workspace.CreateProject(workspace_id=ACME, project_id="lab"))
    token = api.key("lab-key", ("read",), ACME, project_id="lab")
    seen = api.get(f"/workspaces/{ACME}", token).json()
    assert [project["project_id"] for project in seen["projects"]] == ["lab"]
    assert [key["api_key_id"] for key in seen["api_keys"]] == ["lab-key"]


def test_posting_scopes_of_a_workspaces_key_would_be_void(api: Api) -> None:
    """The ledger refuses to issue them; were one in a book all the same, the API would not honour it."""
    issue = workspace.IssueApiKey(workspace_id=ACME, api_key_id="k7", scopes=("admin",))
    assert refusal(api.command(issue)) == (403, "scope_not_allowed", "scopes")


def test_a_revoked_key_is_refused(api: Api) -> None:
    """From the revocation on, the same token is 401."""
    token = api.key("short-lived", ("read",), ACME)
    assert api.get(f"/wallets/{ACME}", token).status_code == 200
    revoke = workspace.RevokeApiKey(workspace_id=ACME, api_key_id="short-lived", reason="done")
    assert api.command(revoke).status_code == 201
    assert refusal(api.get(f"/wallets/{ACME}", token)) == (401, "not_authenticated", None)


def test_unknown_and_foreign_tokens_are_refused(api: Api) -> None:
    """A wrong secret, another key's secret, no token and endless ones: all 401 in the same words."""
    secret = api.root.rpartition("_")[2]
    for token in ("x", "rl_live_", f"rl_live_{ACME}_root_{secret}", api.root[:-1] + "?", api.root + "a", "a" * 5_000):
        assert refusal(api.get(f"/wallets/{ACME}", token)) == (401, "not_authenticated", None)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Basic YTpi")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", b"Bearer " + b"a" * 600)],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
    ],
)
def test_a_strange_authorization_header_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """Another scheme, nothing, bytes beyond ASCII, endless text and two headers are no token."""
    with pytest.raises(HttpRefused) as error:
        bearer_token(headers)
    assert error.value.code.value == "not_authenticated"


def test_the_scheme_may_be_written_in_any_case() -> None:
    """`bearer` is `Bearer`."""
    assert bearer_token([(b"host", b"x"), (b"authorization", b"bearer abc")]) == "abc"


def test_public_is_declared_in_words() -> None:
    """Open to anybody is a declaration, not an absence."""
    assert PUBLIC == {SCOPES: None}
