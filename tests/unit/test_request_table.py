"""The life of a request: each of nine commands in each of seven states, expected answers written out here."""

import pytest

from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.request.decide import COLUMNS, COMMANDS, SENTENCES, TABLE, Answer
from ledger.request.state import Status
from tests.unit.story import (
    ACME,
    correct_charge,
    credit,
    expire_request,
    extend_hold,
    opened,
    record_attempt,
    refund_charge,
    release_request,
    route_request,
    settle_request,
    take_fallback,
)
from tests.unit.world import SECOND, World

WAYS: dict[str, list[Command]] = {
    "absent": [],
    "open": [route_request()],
    "settled": [route_request(), settle_request()],
    "failed": [route_request(), release_request(cause="failed")],
    "cancelled": [route_request(), release_request(cause="cancelled")],
    "expired": [route_request(), expire_request()],
    "voided": [release_request()],
}
"""How a request comes into each state."""

COMMANDS_BY_NAME: dict[str, Command] = {
    "route": route_request(workflow="another"),
    "extend": extend_hold(),
    "attempt": record_attempt(attempt=9),
    "fallback": take_fallback(),
    "settle": settle_request(latency_ms=1),
    "release": release_request(),
    "expire": expire_request(),
    "refund": refund_charge(),
    "correct": correct_charge(),
}

EXPECTED = """
              route            extend            attempt         fallback          settle           release            expire            refund               correct
    absent    request_routed   request_unknown   request_unknown request_unknown   request_unknown  request_voided!    request_unknown   request_unknown      request_unknown
    open      request_exists   hold_extended     attempt_failed  fallback_taken    tokens_settled   request_released   request_released  request_not_settled  request_not_settled
    settled   request_exists   request_settled   attempt_failed  request_settled   request_settled  request_settled    request_settled   charge_refunded      charge_corrected
    failed    request_exists   request_released- attempt_failed  request_released- tokens_settled   request_released-  request_released- request_not_settled  request_not_settled
    cancelled request_exists   request_released- attempt_failed  request_released- tokens_settled   request_released-  request_released- request_not_settled  request_not_settled
    expired   request_exists   request_released- attempt_failed  request_released- tokens_settled   request_released-  request_released- request_not_settled  request_not_settled
    voided    request_voided   request_voided    request_voided  request_voided    request_voided   request_voided     request_voided    request_voided       request_voided
"""  # noqa: E501
"""An event's tag, or a refusal. Two names are both: `!` marks the event, `-` the refusal."""


def cells() -> list[tuple[str, str, str]]:
    """Return (state, command, expected answer) of every cell of the table above."""
    header, *rows = EXPECTED.strip("\n").splitlines()
    columns = header.split()
    return [
        (row.split()[0], column, answer)
        for row in rows
        for column, answer in zip(columns, row.split()[1:], strict=True)
    ]


def world_in(state: str) -> World:
    """Return a world whose request is in a state, reached by commands alone."""
    world = opened().all(*(command for command in WAYS[state] if command != expire_request()))
    world.now += 3600 * SECOND
    if state == "expired":
        world.do(expire_request())
    request = world.books[ACME].requests.get("r1")
    assert (request.status.value if request else "absent") == state
    return world


def answer_of(world: World, command: Command) -> str:
    """Return the tag of the event that a command makes, or the refusal it meets; identities aside."""
    book = world.books[ACME]
    try:
        decided = world.decide(command, "tester", book)
    except Refused as refused:
        found = refused
        assert found.facts["request_id"] == "r1"
        assert found.detail == SENTENCES[found.code]
        return found.code.value + ("-" if found.code is Refusal.REQUEST_RELEASED else "")
    tag: str = decided.fact.event.__struct_config__.tag  # type: ignore[assignment]
    return tag.removesuffix(".v1") + ("!" if tag == "request_voided.v1" else "")


def test_the_table_is_whole() -> None:
    """Every state has an answer for each of the nine commands, here and in the program."""
    assert len(cells()) == 7 * 9 == len(Status) * len(COMMANDS)
    assert set(TABLE) == set(Status) == set(WAYS)
    assert set(COLUMNS) == {type(command) for command in COMMANDS_BY_NAME.values()}
    assert all(len(row) == len(COMMANDS) for row in TABLE.values())


@pytest.mark.parametrize(("state", "command", "expected"), cells())
def test_each_command_in_each_state(state: str, command: str, expected: str) -> None:
    """The answer to a command in a state is the one that the table above says."""
    assert answer_of(world_in(state), COMMANDS_BY_NAME[command]) == expected


def test_every_refusal_of_the_table_has_a_sentence() -> None:
    """Each refusal that stands in the table is explained to a person."""
    answers: set[Answer] = {answer for row in TABLE.values() for answer in row}
    assert {answer for answer in answers if isinstance(answer, Refusal)} == set(SENTENCES)


def test_an_open_request_survives_what_was_refused() -> None:
    """A refused command leaves the book exactly as it was."""
    world = world_in("open")
    before = dict(world.books[ACME].requests), dict(world.books[ACME].wallets), world.books[ACME].position
    for command in (refund_charge(), take_fallback(hold=credit("1")), extend_hold(hold=credit("900"))):
        with pytest.raises(Refused):
            world.do(command)
    assert before == (world.books[ACME].requests, world.books[ACME].wallets, world.books[ACME].position)
