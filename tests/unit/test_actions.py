"""Who did what: every action has a sentence, no gateway's event is one, and no secret is told."""

import json
from typing import Any

import msgspec
import pytest

from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit
from ledger.events import EVENT_TYPES, TAGS, Fact, encode_fact
from ledger.store.queries import load_queries
from ledger.workspace.events import ApiKeyIssued, KeyLimits, SpendLimit
from projections.actions.answers import Action
from projections.actions.showing import ACTION_TAGS, GATEWAY_TAGS, ActionRow, action_of, tags_named
from projections.actions.tables import ACTION_COLUMNS, actions_header, actions_rows
from projections.actions.words import SENTENCES
from projections.receipt.folding import CatalogBehind
from tests.source_tree import ROOT
from tests.unit.golden_facts import FACTS

UNITS = {name: Unit(name, 6) for name in ("CREDIT", "CNY", "POINT", "USD")}
CATALOG = Catalog(units=UNITS)
ACTIONS = sorted(name for name in FACTS if TAGS[type(FACTS[name].event)] not in GATEWAY_TAGS)


def row_of(fact: Fact, stream: str = "workspace") -> ActionRow:
    """Return a recorded fact as it is read."""
    return ActionRow("acme", 7, stream, TAGS[type(fact.event)], "@x/1", 1_790_000_000_000_000, encode_fact(fact))


def shown(fact: Fact, stream: str = "workspace") -> Action:
    """Return a fact as an action."""
    return action_of(row_of(fact, stream), CATALOG, {"k1": "Mei"})


def test_every_event_is_a_gateway_s_or_has_a_sentence() -> None:
    """A new type of event is somebody's action, and is told in words, or is listed with those of gateways."""
    assert {TAGS[kind] for kind in SENTENCES} == set(TAGS.values()) - GATEWAY_TAGS == set(ACTION_TAGS)
    assert {TAGS[kind] for kind in EVENT_TYPES} > GATEWAY_TAGS


def test_statements_and_index_name_the_same_tags() -> None:
    """The index is used only where the statement has its very condition."""
    condition = "tag not in (" + ", ".join(f"'{tag}'" for tag in in_order()) + ")"
    texts = load_queries("projections.sql", "actions.sql")
    schema = (ROOT / "schema.sql").read_text(encoding="utf-8")
    for text in (*texts.values(), schema[schema.index("create index event_of_people") :]):
        assert condition in " ".join(text.split()).replace("( ", "(").replace(" )", ")")


def in_order() -> list[str]:
    """Return the tags of gateways as the schema lists them."""
    life = ("request_routed", "hold_extended", "attempt_failed", "fallback_taken", "tokens_settled", "request_released")
    tags = [f"{name}.v1" for name in (*life, "request_voided")]
    assert set(tags) == GATEWAY_TAGS
    return tags


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_told(name: str) -> None:
    """Each golden event becomes an action with a sentence, the actor's name, the reason, and its own JSON."""
    fact = FACTS[name]
    action = shown(fact, "request/r1" if name.startswith("charge_") else "workspace")
    assert action.text.endswith(".")
    assert action.text[0].isupper()
    assert "None" not in action.text
    assert (action.actor, action.actor_name, action.reason) == ("k1", "Mei", fact.reason)
    event: dict[str, Any] = json.loads(bytes(action.event))
    assert event == {key: value for key, value in json.loads(encode_fact(fact))["event"].items() if "secret" not in key}


def test_a_key_is_told_without_its_secret() -> None:
    """What the key may do is told, the hash of its secret nowhere."""
    limits = KeyLimits((SpendLimit("credit", "CREDIT", "day", 5_000_000),), ("gpt-5",), (), True, 60, 100_000)
    key = ApiKeyIssued("k9", "ab" * 32, ("call", "read"), "web", limits)
    action = shown(Fact("root", 1_790_000_000_000_000, 3, key, None, None))
    assert action.text == (
        "Issued key k9 for project web, scopes call, read, with limits: 5.000000 CREDIT a day of credit, models gpt-5, "
        "buckets none, 60 requests a minute, 100,000 tokens a minute; it may change buckets."
    )
    assert (action.actor_name, action.reason) == (None, None)
    whole = msgspec.json.encode(action) + actions_rows([action]).encode()
    assert b"abab" not in whole
    assert b"secret" not in whole


def test_money_is_told_in_words() -> None:
    """Amounts stand with their unit at full scale; an act on a request names it."""
    assert shown(FACTS["funds_added.v1"]).text == (
        "Added 100.000000 CREDIT, the credit wallet: alipay A-1, 200.00 CNY paid."
    )
    assert shown(FACTS["charge_corrected.v1.3"], "request/r1").text == (
        "Corrected a charge to the credit wallet by -0.001000 CREDIT: rerated by rate card gpt-direct.2, on request r1."
    )
    assert shown(FACTS["charge_refunded.v1"], "request/r-9").request_id == "r-9"


def test_an_older_catalog_is_waited_for() -> None:
    """A unit that the catalog does not know yet is no defect: the same is asked again with a newer one."""
    with pytest.raises(CatalogBehind):
        action_of(row_of(FACTS["funds_added.v1"]), Catalog(), {})


def test_what_a_closed_period_moved_says_when_it_happened() -> None:
    """Effective from the open period, served before."""
    action = shown(FACTS["adjustment_posted.v1.2"])
    assert action.served_at is not None
    assert action.served_at < action.effective_at


def test_rows_hold_an_event_as_one_cell() -> None:
    """Commas and quotes of the JSON are inside one quoted cell; for a spreadsheet no text is a formula."""
    fact = msgspec.structs.replace(FACTS["wallet_frozen.v1"], reason='=1+1, "x"')
    plain, safe = actions_rows([shown(fact)]), actions_rows([shown(fact)], for_excel=True)
    assert actions_header() == ",".join(ACTION_COLUMNS) + "\r\n"
    assert plain.endswith('"{""tag"":""wallet_frozen.v1"",""bucket"":""credit""}"\r\n')
    assert ',"=1+1, ""x""",' in plain
    assert ',"\'=1+1, ""x""",' in safe


def test_a_tag_is_named_with_or_without_its_version() -> None:
    """The kind means every version of it; a gateway's event is none of these."""
    assert tags_named("api_key_revoked") == tags_named("api_key_revoked.v1") == ["api_key_revoked.v1"]
    assert [tags_named(name) for name in ("tokens_settled", "tokens_settled.v1", "nothing", "")] == [[], [], [], []]
