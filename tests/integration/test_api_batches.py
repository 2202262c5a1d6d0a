"""`POST /commands`: answered in order, each command for itself, or refused whole with the index of what is wrong."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ledger.core.commands import Command
from ledger.service import Ledger
from ledger.workspace.commands import IssueApiKey
from tests.integration import scenes
from tests.integration.api_scene import Api, open_scene, refusal
from tests.integration.scenes import ACME, hold, release, settle
from tests.integration.test_api_posting import every_command


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


def members(*commands: Command) -> list[dict[str, Any]]:
    """Return commands as members of a batch."""
    return [msgspec.to_builtins(command) for command in commands]


def test_every_kind_but_one_is_taken(api: Api) -> None:
    """The same bodies with their kinds and ids, in one batch, are recorded as single posts would be."""
    commands = [command for command in every_command() if not isinstance(command, IssueApiKey)]
    commands = [command for command in commands if getattr(command, "api_key_id", "k1") == "k1"]
    answers = api.post("/commands", members(*commands)).json()
    assert [answer for answer in answers if answer["status"] != 201] == []
    again = api.post("/commands", members(*commands)).json()
    assert [answer["status"] for answer in again] == [200] * len(commands)
    for first, repeat in zip(answers, again, strict=True):
        money = first["recorded"].pop("available", None)
        assert (money is not None) == (first["recorded"]["tag"] in ("request_routed.v1", "fallback_taken.v1"))
        assert first["recorded"] | {"repeated": True} == repeat["recorded"]


def test_answers_stand_in_the_order_of_the_commands(api: Api) -> None:
    """Recorded, repeated and refused ones each in its place; one refused fails no other."""
    batch = members(hold("r1"), hold("r2", "5000"), hold("r1"), settle("r3"), settle("r1"), release("r1"))
    answers = api.post("/commands", batch).json()
    assert [answer["status"] for answer in answers] == [201, 402, 200, 404, 201, 409]
    assert [answer.get("problem", {}).get("code") for answer in answers] == [
        None, "insufficient_available", None, "request_unknown", None, "request_settled",
    ]  # fmt: skip
    assert answers[4]["recorded"]["money"]["charge"] == {"value": "0.012000", "unit": "CREDIT"}
    assert all(("recorded" in answer) != ("problem" in answer) for answer in answers)


def test_each_command_needs_its_own_scope(api: Api) -> None:
    """A key that may only post has its grants refused in their place, and its holds recorded."""
    token = api.key("poster", ("post",))
    grant = {"kind": "grant_funds", "workspace_id": ACME, "bucket": "credit", "grant_id": "g1",
             "amount": {"value": "1", "unit": "CREDIT"}}  # fmt: skip
    answers = api.post("/commands", [grant, *members(hold("r1")), grant], token).json()
    assert [answer["status"] for answer in answers] == [403, 201, 403]
    assert answers[0]["problem"]["scopes"] == ["fund"]
    assert refusal(api.post("/commands", [grant], api.key("reader", ("read", "call", "audit")))) == (
        403, "not_allowed", None,
    )  # fmt: skip


def test_a_batch_whose_commands_are_all_forbidden_executes_nothing(api: Api) -> None:
    """The answer is still one for each command."""
    answers = api.post("/commands", members(hold("r1"), hold("r2")), api.key("funder", ("fund",))).json()
    assert [answer["status"] for answer in answers] == [403, 403]


WRONG_FIELDS: tuple[tuple[dict[str, Any], tuple[int, str, str]], ...] = (
    ({"hold": {"value": 1, "unit": "CREDIT"}}, (400, "field_invalid", "[1].hold.value")),
    ({"kind": "no_such_kind"}, (400, "field_invalid", "[1].kind")),
    ({"surprise": 1}, (400, "field_invalid", "[1].surprise")),
    ({"end_user": "a\nb"}, (400, "text_invalid", "[1].end_user")),
)


def test_a_batch_that_cannot_be_read_names_the_index(api: Api) -> None:
    """Nothing of it is executed, the good commands before it neither."""
    first, second = members(hold("r1"), hold("r2"))
    for wrong, answer in WRONG_FIELDS:
        assert refusal(api.post("/commands", [first, second | wrong])) == answer
    assert api.command(hold("r1")).status_code == 201


def test_a_repeated_key_in_a_batch_is_refused_whole(api: Api) -> None:
    """With its place in the array."""
    body = msgspec.json.encode([hold("r1"), hold("r2")]).replace(b'"value":"1"', b'"value":"1","value":"2"')
    assert refusal(api.post_bytes("/commands", body)) == (400, "key_repeated", "[0].hold.value")


def test_keys_are_not_issued_in_a_batch(api: Api) -> None:
    """Their answer holds a secret and a command from outside brings no hash of its own."""
    issue = members(IssueApiKey(workspace_id=ACME, api_key_id="k8", scopes=("read",), secret_hash=scenes.HASH))
    assert refusal(api.post("/commands", issue)) == (400, "command_not_in_batch", "[0].kind")


def test_a_batch_has_one_to_a_thousand_commands(api: Api) -> None:
    """None and a thousand and one are refused; a thousand are answered."""
    assert refusal(api.post("/commands", [])) == (400, "field_invalid", None)
    batch = members(*(release(f"r{number}") for number in range(1001)))
    assert refusal(api.post("/commands", batch)) == (400, "field_invalid", None)
    answers = api.post("/commands", batch[:1000]).json()
    assert [answer["recorded"]["command_id"] for answer in answers] == [f"r{number}/release" for number in range(1000)]


def test_end_users_of_a_batch_are_hashed(api: Api) -> None:
    """As in a single post: the two are repeats of each other."""
    command = hold("r1", end_user="bob@example.com")
    answers = api.post("/commands", members(command)).json()
    assert answers[0]["recorded"]["event"]["end_user"] == api.ledger.hash_end_user(ACME, "bob@example.com")
    assert api.command(command).status_code == 200
