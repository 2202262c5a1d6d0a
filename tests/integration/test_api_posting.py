"""Every command over HTTP, on a real database: recorded once, repeated for ever, answered with its own event."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ledger.api.command_table import COMMAND_ROUTES
from ledger.catalog import commands as catalog
from ledger.checkpoint.keys import VerifierKey
from ledger.commands import COMMAND_TYPES, command_id_of
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.pricing.rate_cards import RateCard
from ledger.request import commands as request
from ledger.service import Ledger
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace
from tests.integration import scenes
from tests.integration.api_scene import Api, open_scene, refusal
from tests.integration.scenes import ACME, cny, credit, hold, settle

CREDIT: dict[str, Any] = {"workspace_id": ACME, "bucket": "credit", "reason": "asked for"}


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


def publish_key() -> workspace.PublishSigningKey:
    """Return the publication of a first key that signs checkpoints."""
    key = VerifierKey("ledger.example", bytes(32))
    return workspace.PublishSigningKey(key_id=key.key_id, name=key.name, public_key=key.public_key_text)


def every_command() -> list[Command]:
    """Return at least one command of each kind that the opened workspace accepts in this order."""
    zeta: dict[str, Any] = {"workspace_id": "zeta"}
    return [
        workspace.CreateWorkspace(workspace_id="zeta", time_zone="Asia/Shanghai"),
        workspace.CreateProject(workspace_id="zeta", project_id="lab"),
        workspace.SetProjectLimits(**zeta, change_id="1", project_id="lab", spend_limits=scenes.spend_limits("5")),
        workspace.IssueApiKey(**zeta, project_id="lab", api_key_id="k9", scopes=("call", "read")),
        workspace.SetApiKeyLimits(**zeta, change_id="2", api_key_id="k9", limits=scenes.key_limits("4")),
        workspace.RevokeApiKey(**zeta, api_key_id="k9", reason="leaked"),
        workspace.ClosePeriod(**zeta, period="2026-08", closing=1),
        workspace.ReopenPeriod(**zeta, period="2026-08", closing=1, reason="an invoice came late"),
        publish_key(),
        catalog.DefineBucket(bucket="euro", unit="EUR", scale=2, symbol="€"),
        catalog.PublishProvider(
            change_id="2", provider="other", dialect="vllm", api_base="http://x", cost_unit="EUR", cost_scale=2
        ),
        catalog.PublishRateCard(
            card=msgspec.convert(
                {"rate_card": "e.1", "route": "eu", "bucket": "euro", "valid_from": 0, "source": "list",
                 "models": [{"pattern": "*", "rates": {"uncached_input": "1"}}]},
                type=RateCard,
            )
        ),
        catalog.PublishRoute(
            change_id="2", route="eu", provider="other", upstream_model="m", bucket="euro", tier="ordinary"
        ),
        catalog.PublishModel(change_id="2", model="llama", targets=("eu",)),
        catalog.SuspendRoute(change_id="3", route="eu", reason="down"),
        catalog.ResumeRoute(change_id="4", route="eu", reason="up"),
        catalog.RecordConfig(change_id="5", digest=scenes.HASH, changes=3),
        wallet.OpenWallet(workspace_id=ACME, bucket="euro", credit_limit=StatedAmount("5", "EUR")),
        wallet.SetCreditLimit(**CREDIT, change_id="w1", credit_limit=credit("7")),
        wallet.FreezeWallet(**CREDIT, change_id="w2"),
        wallet.UnfreezeWallet(**CREDIT, change_id="w3"),
        wallet.AddFunds(**CREDIT, amount=credit("50"), source="alipay", reference="A-7"),
        wallet.GrantFunds(**CREDIT, grant_id="g1", amount=credit("2.5")),
        wallet.ReverseFunds(**CREDIT, amount=credit("1"), source="alipay", reference="A-7", reversal_id="r1"),
        wallet.WithdrawFunds(**CREDIT, amount=credit("1"), source="bank", reference="B-1"),
        wallet.PostAdjustment(**CREDIT, adjustment_id="a1", amount=credit("-0.5")),
        wallet.ExchangeBuckets(
            **CREDIT, exchange_id="x1", amount=credit("10"), to_bucket="rmb", to_amount=cny("71"), rate="7.1"
        ),
        hold("r1", "10"), scenes.extend("r1"), scenes.fail_attempt("r1"), scenes.fall_back("r1", "3"),
        settle("r1", attempt=2, route="spare"), scenes.refund("r1"),
        request.CorrectCharge(
            workspace_id=ACME, request_id="r1", correction_id="c1", cause="mistake", difference=credit("0.002"),
            reason="forgot a part",
        ),
        hold("r2"), scenes.release("r2"),
    ]  # fmt: skip


def test_every_command_has_a_path() -> None:
    """The command table names every public command once, on a path of its own, and every id of its path exists."""
    assert sorted(route.kind for route in COMMAND_ROUTES) == sorted({route.kind for route in COMMAND_ROUTES})
    assert {route.command for route in COMMAND_ROUTES} == set(COMMAND_TYPES)
    assert len({route.path for route in COMMAND_ROUTES}) == len(COMMAND_ROUTES)
    for route in COMMAND_ROUTES:
        assert {*route.path_fields, route.key_field} - {""} <= set(route.body.__struct_fields__)


def test_every_command_is_recorded_once_and_repeated_for_ever(api: Api) -> None:
    """The first post of each kind answers 201 with its event, the same again 200 with the same event."""
    commands = every_command()
    assert {type(command) for command in commands} == set(COMMAND_TYPES)
    first = [(command, api.command(command)) for command in commands]
    assert [(r.status_code, r.text) for _, r in first if r.status_code != 201] == []
    for command, response in first:
        again = api.command(command)
        answer, repeat = response.json(), again.json()
        assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true"), again.text
        assert answer["command_id"] == command_id_of(command)
        # What is available belongs to its moment, and to commands that take from it.
        has_available = answer.pop("available", None) is not None
        assert has_available == isinstance(command, request.RouteRequest | request.TakeFallback)
        assert answer | {"repeated": True, "token": None} == repeat | {"token": None}
        assert answer["event"]["tag"] == answer["tag"]
        assert "idempotent-replayed" not in response.headers


def test_other_content_under_the_same_identity_is_a_conflict(api: Api) -> None:
    """A repeat with another amount is refused and names the field; the first one stands."""
    api.command(hold("r1", "10"))
    assert refusal(api.command(hold("r1", "11"))) == (409, "identity_conflict", "hold")
    grant = wallet.GrantFunds(workspace_id=ACME, bucket="credit", grant_id="g1", amount=credit("1"))
    assert api.command(grant).status_code == 201
    other = msgspec.structs.replace(grant, amount=credit("2"))
    assert refusal(api.command(other)) == (409, "identity_conflict", "amount")


def test_amounts_are_stated_for_people_beside_the_event(api: Api) -> None:
    """A settlement's answer states every amount at full scale; the event keeps its integers."""
    api.command(hold("r1", "10"))
    settled = api.command(settle("r1", 1000)).json()
    assert {name: amount["value"] for name, amount in settled["money"].items()} == {
        "charge": "0.012000",
        "captured": "0.012000",
        "released": "9.988000",
        "from_available": "0.000000",
        "overrun": "0.000000",
    }
    assert {amount["unit"] for amount in settled["money"].values()} == {"CREDIT"}
    assert settled["event"]["charge_minor"] == 12_000


def test_an_exchange_states_both_amounts_in_their_own_units(api: Api) -> None:
    """Amounts of two buckets stand beside each other, each in its unit."""
    exchange = wallet.ExchangeBuckets(
        workspace_id=ACME, bucket="credit", exchange_id="x1", amount=credit("10"), to_bucket="rmb",
        to_amount=cny("71"), rate="7.1",
    )  # fmt: skip
    assert api.command(exchange).json()["money"] == {
        "from": {"value": "10.000000", "unit": "CREDIT"},
        "to": {"value": "71.000000", "unit": "CNY"},
    }


def test_a_fallback_states_what_it_gave_back_and_what_it_holds(api: Api) -> None:
    """A move into another bucket states each amount in its own bucket's unit."""
    api.command(hold("r1", "10"))
    moved = api.command(scenes.fall_back("r1", "3", to_route="cheap"))
    assert moved.json()["money"] == {
        "released": {"value": "10.000000", "unit": "CREDIT"},
        "hold": {"value": "3.000000", "unit": "CNY"},
    }


def test_a_key_is_shown_once_and_its_hash_never(api: Api) -> None:
    """The answer to an issued key has its token, a repeat has none, and neither shows the stored hash."""
    issue = workspace.IssueApiKey(workspace_id=ACME, api_key_id="k5", scopes=("read",))
    first, again = api.command(issue), api.command(issue)
    token = first.json()["token"]
    assert (first.status_code, again.status_code, again.json()["token"]) == (201, 200, None)
    assert "secret_hash" not in first.text + again.text
    assert api.get(f"/wallets/{ACME}", token).status_code == 200


def test_no_secret_comes_from_outside(api: Api) -> None:
    """A body that brings its own hash of a secret is refused like any unknown field."""
    body = {"api_key_id": "k5", "scopes": ["read"], "secret_hash": scenes.HASH}
    assert refusal(api.post(f"/workspaces/{ACME}/keys", body)) == (400, "field_invalid", "secret_hash")


def test_end_users_reach_no_book(api: Api) -> None:
    """The end user's own id becomes a keyed hash before it is recorded; a repeat with it is still the same."""
    command = hold("r1", end_user="bob@example.com")
    first = api.command(command)
    assert first.json()["event"]["end_user"] == api.ledger.hash_end_user(ACME, "bob@example.com")
    assert "bob" not in first.text
    assert api.command(command).status_code == 200


def test_a_strange_end_user_is_refused(api: Api) -> None:
    """An empty, endless or unprintable end user is refused by name."""
    for end_user in ("", "a" * 257, "a\nb", "\u0000"):
        assert refusal(api.command(hold("r1", end_user=end_user))) == (400, "text_invalid", "end_user")


def test_ids_in_a_body_may_repeat_the_path_and_not_contradict_it(api: Api) -> None:
    """The same id in path and body is fine; another one is refused and named."""
    api.command(hold("r1"))
    body = {"workspace_id": ACME, "request_id": "r2", "cause": "failed"}
    assert refusal(api.post("/requests/r1/release", body)) == (400, "id_contradicts_path", "request_id")
    assert api.post("/requests/r1/release", body | {"request_id": "r1", "kind": "release_request"}).status_code == 201
    wrong = body | {"kind": "settle_request"}
    assert refusal(api.post("/requests/r1/release", wrong)) == (400, "field_invalid", "kind")


def test_acts_of_finance_need_an_idempotency_key(api: Api) -> None:
    """A grant without a well-formed key is refused before anything is decided."""
    body = {"amount": {"value": "1", "unit": "CREDIT"}}
    for key in (None, "", '""', "a b", '"a', "é", "-a", "a" * 129):
        headers = {} if key is None else {"Idempotency-Key": key.encode("latin-1")}
        response = api.send("POST", f"/wallets/{ACME}/credit/grants", json=body, headers=headers)
        assert refusal(response) == (400, "idempotency_key_required", "Idempotency-Key")


def test_an_idempotency_key_may_stand_in_quotes(api: Api) -> None:
    """Bare and quoted are one identity; a body that names another one is refused."""
    body = {"amount": {"value": "1", "unit": "CREDIT"}}
    path = f"/wallets/{ACME}/credit/grants"
    assert api.post(path, body, key='"g-1"').status_code == 201
    assert api.post(path, body, key="g-1").status_code == 200
    assert refusal(api.post(path, body | {"grant_id": "g-2"}, key="g-1")) == (400, "id_contradicts_path", "grant_id")


def test_refusals_of_money_say_what_is_missing(api: Api) -> None:
    """Too little is 402 with the figures; only holds in the way is 429 with Retry-After."""
    short = api.command(hold("r1", "1000.5"))
    assert refusal(short) == (402, "insufficient_available", None)
    assert (short.json()["needed"], short.json()["available"]) == ("1000.500000", "1000.000000")
    api.command(hold("r2", "600"))
    held = api.command(hold("r3", "600"))
    assert refusal(held) == (429, "available_is_held", None)
    assert (held.headers["retry-after"], held.json()["transient"]) == ("1", True)


def test_a_refusal_names_its_state_beside_the_status(api: Api) -> None:
    """A fact called status does not take the place of the problem's own status."""
    api.command(hold("r1"))
    api.command(settle("r1"))
    response = api.command(scenes.release("r1"))
    assert refusal(response) == (409, "request_settled", None)
    assert response.json()["request_status"] == "settled"
