"""What the write side answers about its live state: balances, a workspace, the catalog, and names for people."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.catalog.commands import PublishRateCard
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.service import Ledger
from tests.integration import scenes
from tests.integration.api_scene import Api, open_scene, refusal
from tests.integration.scenes import ACME, hold, settle
from tests.unit.receipts import keys_and_texts


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


def test_balances_are_one_object_per_bucket(api: Api) -> None:
    """Posted, held, available and limit, each in the bucket's own unit; nothing adds two buckets."""
    api.command(hold("r1", "10"))
    api.command(hold("r2", "7", route="cheap"))
    api.command(settle("r1"))
    answer = api.get(f"/wallets/{ACME}").json()
    assert answer.keys() == {"workspace_id", "position", "wallets"}
    assert [wallet["bucket"] for wallet in answer["wallets"]] == ["credit", "rmb"]
    for wallet, unit, figures in zip(
        answer["wallets"],
        ("CREDIT", "CNY"),
        (("999.988000", "0.000000", "999.988000"), ("1000.000000", "7.000000", "993.000000")),
        strict=True,
    ):
        amounts = [wallet["posted"], wallet["held"], wallet["available"]]
        assert amounts == [{"value": value, "unit": unit} for value in figures]
        assert api.get(f"/wallets/{ACME}/{wallet['bucket']}").json() == wallet
    assert refusal(api.get(f"/wallets/{ACME}/gold")) == (404, "wallet_unknown", "bucket")


def test_balances_are_tagged_with_their_position(api: Api) -> None:
    """While the book stands still the answer is 304 without a body; one event later it is 200 again."""
    for number, path in enumerate((f"/wallets/{ACME}", f"/wallets/{ACME}/credit")):
        first = api.get(path)
        assert first.headers["etag"] == f'W/"{first.json()["position"]}"'
        for sent in (first.headers["etag"], f'"x", {first.headers["etag"]}'):
            again = api.get(path, **{"If-None-Match": sent})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        api.command(hold(f"r{number}"))
        assert api.get(path, **{"If-None-Match": first.headers["etag"]}).status_code == 200


def test_a_workspace_shows_its_keys_without_their_hashes(api: Api) -> None:
    """Projects, keys and limits with amounts in decimal text."""
    token = api.key("k2", ("read",), ACME, limits=scenes.key_limits("2.5"))
    answer = api.get(f"/workspaces/{ACME}", token)
    keys = {key["api_key_id"]: key for key in answer.json()["api_keys"]}
    assert keys["k2"]["limits"]["spend"] == [
        {"bucket": "credit", "period": "day", "limit": {"value": "2.500000", "unit": "CREDIT"}}
    ]
    assert "hash" not in answer.text
    assert answer.json()["time_zone"] == "UTC"


def test_the_platform_sees_the_whole_catalog(api: Api) -> None:
    """Buckets, providers, routes, models and rate cards; unchanged, it is 304."""
    answer = api.get("/catalog")
    catalog = answer.json()
    assert catalog["buckets"]["credit"] | {"tag": ""} == {"tag": "", "bucket": "credit", "unit": "CREDIT", "scale": 6}
    assert (sorted(catalog["routes"]), catalog["providers"]["openai"]["cost_unit"]) == (sorted(scenes.ROUTES), "USD")
    assert api.get("/catalog", **{"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_customers_see_prices_and_not_where_they_come_from(api: Api) -> None:
    """Providers' accounts, sources, factors and cost would tell the margin; the two answers have two tags."""
    costs = (ModelRates("*", {"uncached_input": "0.0777"}),)
    costed = RateCard(
        "direct.2", "direct", "credit", 1, (ModelRates("*", scenes.RATES),), "a list", Rounding.UP, "USD", "5", "1.5",
        "0" * 64, "USD", costs,
    )  # fmt: skip
    api.command(PublishRateCard(card=costed))
    assert api.get("/catalog").json()["rate_cards"]["direct.2"]["cost_models"][0]["rates"] == costs[0].rates
    token = api.key("reader", ("read",), ACME)
    answer = api.get("/catalog", token)
    card = answer.json()["rate_cards"]["direct.2"]
    assert card["models"][0]["rates"] == scenes.RATES
    assert set(card) == {"rate_card", "route", "bucket", "valid_from", "models", "rounding"}
    assert "0.0777" not in answer.text
    assert set(answer.json()["routes"]) == set(scenes.ROUTES)
    assert answer.json()["routes"]["direct"]["upstream_model"] == "gpt-5"
    assert not {"provider", "providers", "openai"} & set(keys_and_texts(answer.json()))
    assert "api_base" not in answer.text
    assert api.get("/catalog", **{"If-None-Match": answer.headers["etag"]}).status_code == 200


def test_a_strange_workspace_is_not_found(api: Api) -> None:
    """Whatever a path names, the answer is that there is no such workspace."""
    for path in ("/wallets/{}", "/workspaces/{}", "/wallets/{}/credit"):
        for name in ("nobody", "UPPER", "a%00b", "%ED%A0%80", "a" * 200):
            assert refusal(api.get(path.format(name))) == (404, "workspace_unknown", "workspace_id")


NAMED: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    (f"/workspaces/{ACME}", lambda seen: seen["display_name"]),
    (f"/workspaces/{ACME}/projects/main", lambda seen: seen["projects"][0]["display_name"]),
    (f"/workspaces/{ACME}/keys/k1", lambda seen: seen["api_keys"][0]["display_name"]),
)


def test_names_for_people_are_put_and_erased(api: Api) -> None:
    """They are shown, and no event says anything of them."""
    position = api.get(f"/wallets/{ACME}").json()["position"]
    for path, show in NAMED:
        assert api.send("PUT", f"{path}/display-name", json={"display_name": "Zoë & Söhne"}).status_code == 204
        assert show(api.get(f"/workspaces/{ACME}").json()) == "Zoë & Söhne"
        assert api.send("DELETE", f"{path}/display-name").status_code == 204
        assert show(api.get(f"/workspaces/{ACME}").json()) is None
    assert api.get(f"/wallets/{ACME}").json()["position"] == position


NOT_NAMED: tuple[tuple[str, Any, tuple[int, str, str]], ...] = (
    (f"/workspaces/{ACME}", "", (400, "text_invalid", "display_name")),
    (f"/workspaces/{ACME}", "a\x00b", (400, "text_invalid", "display_name")),
    (f"/workspaces/{ACME}", "a" * 201, (400, "text_invalid", "display_name")),
    (f"/workspaces/{ACME}", 7, (400, "field_invalid", "display_name")),
    ("/workspaces/nobody", "x", (404, "workspace_unknown", "workspace_id")),
    (f"/workspaces/{ACME}/projects/none", "x", (404, "project_unknown", "project_id")),
    (f"/workspaces/{ACME}/keys/none", "x", (404, "api_key_unknown", "api_key_id")),
)


def test_strange_names_and_names_of_nothing_are_refused(api: Api) -> None:
    """With the field that is wrong."""
    for path, name, answer in NOT_NAMED:
        assert refusal(api.send("PUT", f"{path}/display-name", json={"display_name": name})) == answer
