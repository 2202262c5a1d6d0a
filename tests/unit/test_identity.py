"""A repeat is recognised by its identity: the same content passes, any other is refused by the field's name."""

import types
from datetime import timedelta
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from ledger.commands import COMMAND_TYPES, KINDS, command_id_of, stated_fields
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.decisions import EVENT_OF, require_same
from ledger.events import EVENT_TYPES
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request import commands as request
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace
from tests.unit import story
from tests.unit.story import MINE, credit, told
from tests.unit.world import change

WORLD, STORY = told()
CATALOG = WORLD.books["platform"].catalog

SPEND = workspace.StatedSpendLimit("rmb", "day", story.cny("1"))
NOT_COMPARED: dict[str, str] = {
    "change_id": "it is the identity itself and no fact of the event",
    "closing": "it is part of the identity",
    "secret_hash": "a repeat of the service's makes another secret, of which nothing is kept",
}
CHOSEN_BY_LEDGER = {"rate_card"}
"""May be left out of a repeat: the ledger chose it, or the first command did."""


def variations(value: Any, kind: Any) -> list[Any]:
    """Return other values of a field: of its own type, and None where that is allowed."""
    options = get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)
    others: list[Any] = []
    match value:
        case None:
            others = [{StatedAmount: credit("1"), Usage: Usage(0, 0, {}), int: 3}.get(options[0], "other")]
        case bool():
            others = [not value]
        case int():
            others = [value + 1]
        case str():
            others = [value + "x"]
        case StatedAmount():
            others = [
                StatedAmount(value.value + "1", value.unit), StatedAmount("3", value.unit),
                StatedAmount(value.value, value.unit + "X"), StatedAmount("1e3", value.unit),
            ]  # fmt: skip
        case tuple():
            others = other_tuples(value, get_args(options[0])[0])
        case dict():
            others = [{**value, "more": 1}]
        case msgspec.Struct():
            hints = get_type_hints(type(value))
            others = [
                msgspec.structs.replace(value, **{name: other})
                for name in value.__struct_fields__
                for other in variations(getattr(value, name), hints[name])
            ]
    if value is not None and type(None) in options:
        others.append(None)
    return others


def other_tuples(value: tuple[Any, ...], kind: Any) -> list[Any]:
    """Return a tuple with one more, without its first, and with another first."""
    more = {str: "zz", workspace.StatedSpendLimit: SPEND, ModelUsage: story.OTHERS[0]}.get(kind, "post")
    first = [(other, *value[1:]) for other in variations(value[0], kind)] if value else []
    return [(*value, more), *([value[1:], *first] if value else [])]


def changes() -> list[tuple[Command, str, Any]]:
    """Return (command, field, other value) for every field of every command of the story."""
    found = []
    for command in STORY:
        hints = get_type_hints(type(command))
        for field, value in stated_fields(command).items():
            if field not in NOT_COMPARED:
                found += [(command, field, other) for other in variations(value, hints[field])]
    return found


def name_of(case: Any) -> str:
    """Return the name of a parameter in a test's name."""
    return type(case).__name__ if isinstance(case, msgspec.Struct) else ""


def test_the_story_tells_every_kind() -> None:
    """Each public kind of command, and the sweeper's own, is in the story; each has an event and a kind's name."""
    kinds = {*COMMAND_TYPES, request.ExpireRequest}
    assert {type(command) for command in STORY} == kinds == set(EVENT_OF)
    assert len(set(KINDS.values())) == len(COMMAND_TYPES)
    made = {event for made in EVENT_OF.values() for event in made}
    assert set(EVENT_TYPES) == made


def test_every_command_made_the_event_that_the_table_says() -> None:
    """What was recorded under an identity is one of its kind's events."""
    for command in STORY:
        recorded = WORLD.recorded[command.workspace_id, command_id_of(command)]
        assert isinstance(recorded.fact.event, EVENT_OF[type(command)])


def test_identities_differ_and_fit() -> None:
    """No two commands of the story share an identity; each is text that the database takes."""
    identities = [(command.workspace_id, command_id_of(command)) for command in STORY]
    assert len(set(identities)) == len(identities)
    assert all(1 <= len(identity) <= 400 and identity.isascii() for _, identity in identities)


@pytest.mark.parametrize("number", range(len(STORY)), ids=[f"{n}-{type(c).__name__}" for n, c in enumerate(STORY)])
def test_the_same_command_is_a_repeat(number: int) -> None:
    """The same content under the same identity is answered with what was recorded."""
    again = WORLD.do(STORY[number])
    assert again.repeated
    assert again.position <= WORLD.books[STORY[number].workspace_id].position


@pytest.mark.parametrize("number", range(len(STORY)), ids=[f"{n}-{type(c).__name__}" for n, c in enumerate(STORY)])
def test_a_change_in_any_field_is_a_conflict_that_names_it(number: int) -> None:
    """Each field in turn, with each other value, is refused with the field's name."""
    command = STORY[number]
    fact = WORLD.recorded[command.workspace_id, command_id_of(command)].fact
    for changed, field, other in changes():
        if changed is not command or (other is None and field in CHOSEN_BY_LEDGER):
            continue
        with pytest.raises(Refused) as refused:
            require_same(change(command, **{field: other}), fact, CATALOG)
        facts = refused.value.facts
        assert (refused.value.code, facts["field"]) == (Refusal.IDENTITY_CONFLICT, field), other


@pytest.mark.parametrize("number", range(len(STORY)), ids=[f"{n}-{type(c).__name__}" for n, c in enumerate(STORY)])
def test_what_every_command_has_is_compared_too(number: int) -> None:
    """Another reason or moment is a conflict; another trace, deadline or no stated moment is the same command."""
    command = STORY[number]
    fact = WORLD.recorded[command.workspace_id, command_id_of(command)].fact
    later = (command.effective_at or story.WHEN) + timedelta(microseconds=1)
    for field, other in (("reason", "other words"), ("reason", None), ("effective_at", later)):
        if getattr(command, field) == other:
            continue
        with pytest.raises(Refused) as refused:
            require_same(change(command, **{field: other}), fact, CATALOG)
        assert refused.value.facts["field"] == field
    require_same(change(command, trace_id="t", valid_until=later, effective_at=None), fact, CATALOG)


def test_another_kind_under_one_identity_is_a_conflict() -> None:
    """Freezing under the identity of a change of the limit is refused, and says that the kind differs."""
    freeze = wallet.FreezeWallet(**MINE, bucket="credit", change_id="w1")
    with pytest.raises(Refused) as refused:
        WORLD.do(freeze)
    assert refused.value.facts["field"] == "kind"


def test_the_same_amount_may_be_written_shorter() -> None:
    """One amount in fewer or more decimals is the same content."""
    routed = story.route_request(hold=credit("10.000000"))
    assert WORLD.do(routed).repeated
    assert WORLD.do(change(routed, hold=credit("10.0"))).repeated


def test_limits_that_could_not_be_set_are_another_content() -> None:
    """A repeat with limits in a bucket that does not exist is a conflict, whatever else is wrong with them."""
    gold = (workspace.StatedSpendLimit("gold", "day", credit("1")),)
    with pytest.raises(Refused) as refused:
        WORLD.do(workspace.CreateProject(**MINE, project_id="web", spend_limits=gold))
    assert refused.value.code is Refusal.IDENTITY_CONFLICT


def test_one_payment_is_taken_once() -> None:
    """The same source and reference into another bucket is a conflict, not a second payment."""
    with pytest.raises(Refused) as refused:
        WORLD.do(wallet.AddFunds(
            **MINE, bucket="rmb", amount=story.cny("100"), source="alipay", reference="A-1", paid=story.PAID
        ))  # fmt: skip
    assert (refused.value.code, refused.value.facts["field"]) == (Refusal.IDENTITY_CONFLICT, "bucket")


def test_a_request_cannot_take_an_identity_of_another_kind() -> None:
    """Names of requests have no slash and don't begin with the sign of wallets, so identities never meet."""
    for name in ("@wallet/credit", "a/settle", "@x", ""):
        with pytest.raises(Refused) as refused:
            WORLD.do(story.route_request(name))
        assert refused.value.facts["field"] == "request_id"
