"""Every kind of command on a real database: recorded once, repeated for ever, and never mistaken for another."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ledger.catalog import commands as catalog
from ledger.commands import COMMAND_TYPES, command_id_of
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.refusals import Refusal
from ledger.core.rounding import Rounding
from ledger.events import Recorded
from ledger.request import commands as request
from ledger.request.events import Estimate, Why
from ledger.service import Ledger
from ledger.wallet import commands as wallet
from ledger.wallet.events import Paid
from ledger.workspace import commands as workspace
from tests.integration import scenes
from tests.integration.scenes import ACME, cny, credit, do, hold, record, refusal, refusals, settle, used
from tests.integration.store_check import complaints
from tests.unit.story import publish_signing_key

CREDIT: dict[str, Any] = {"workspace_id": ACME, "bucket": "credit", "reason": "asked for"}
PAID = Paid("200.00", "CNY", "1.20", "ali-77")


def admin_commands() -> list[Command]:
    """Return commands of admins and finance that the opened workspace accepts in this order."""
    return [
        workspace.SetProjectLimits(
            workspace_id=ACME, change_id="l1", project_id="main", spend_limits=scenes.spend_limits("500")
        ),
        workspace.SetApiKeyLimits(
            workspace_id=ACME, change_id="l2", api_key_id="k1", limits=scenes.key_limits("400")
        ),
        wallet.SetCreditLimit(**CREDIT, change_id="w1", credit_limit=credit("7")),
        wallet.FreezeWallet(**CREDIT, change_id="w2"),
        wallet.UnfreezeWallet(**CREDIT, change_id="w3"),
        wallet.AddFunds(**CREDIT, amount=credit("50"), source="alipay", reference="A-7", paid=PAID),
        wallet.GrantFunds(**CREDIT, grant_id="g1", amount=credit("2.5")),
        wallet.ReverseFunds(**CREDIT, amount=credit("1"), source="alipay", reference="A-7", reversal_id="r1"),
        wallet.WithdrawFunds(**CREDIT, amount=credit("1"), source="bank", reference="B-1", paid=PAID),
        wallet.PostAdjustment(**CREDIT, adjustment_id="a1", amount=credit("-0.5")),
        wallet.ExchangeBuckets(
            **CREDIT, exchange_id="x1", amount=credit("10"), to_bucket="rmb", to_amount=cny("71"), rate="7.1"
        ),
        catalog.SuspendRoute(change_id="s1", route="spare", reason="down"),
        catalog.ResumeRoute(change_id="s2", route="spare", reason="up"),
        catalog.RecordConfig(change_id="c1", digest=scenes.HASH, changes=3),
    ]  # fmt: skip


def request_commands() -> list[Command]:
    """Return commands on requests that are accepted in this order, the last one after a second."""
    return [
        hold("r1", "10"), scenes.extend("r1"), scenes.fail_attempt("r1"), settle("r1", attempt=2),
        scenes.refund("r1"),
        request.CorrectCharge(
            workspace_id=ACME, request_id="r1", correction_id="1", cause="mistake", difference=credit("0.5"),
            reason="miscounted",
        ),
        hold("r2", route="own-price"), settle("r2", route="own-price", charge=credit("0.25")),
        hold("r3"), scenes.fall_back("r3", "7", to_route="cheap"), settle("r3", route="cheap"),
        hold("r4"), scenes.release("r4"), settle("r4"),
        scenes.release("r5"),
        hold("r6", hold_seconds=1),
        workspace.RevokeApiKey(workspace_id=ACME, api_key_id="k1", reason="leaked"),
        workspace.ClosePeriod(workspace_id=ACME, period="2026-08", closing=1),
        workspace.ReopenPeriod(workspace_id=ACME, period="2026-08", closing=1, reason="an invoice came late"),
        publish_signing_key(),
    ]  # fmt: skip


@pytest.fixture
def quiet(database_url: str) -> Iterator[Ledger]:
    """A ledger whose sweeper sleeps."""
    with Ledger(database_url, sweep_seconds=600) as opened:
        yield opened


@pytest.fixture
def told(quiet: Ledger) -> tuple[Ledger, list[Command], list[Recorded]]:
    """A ledger in which every kind of command was recorded, with the commands and their events."""
    commands = [*scenes.catalog_commands(), *scenes.workspace_commands(), *admin_commands(), *request_commands()]
    events = record(quiet, commands)
    expiry = request.ExpireRequest(workspace_id=ACME, request_id="r6")
    while quiet.execute(expiry, "system").refused is not None:
        pass
    again = quiet.execute(expiry, "system")
    assert again.repeated
    return quiet, [*commands, expiry], [*events, scenes.recorded(again)]


def test_every_kind_is_recorded_once(told: tuple[Ledger, list[Command], list[Recorded]]) -> None:
    """One command of every kind gives one event each, and live rows equal the fold of these events."""
    ledger, commands, events = told
    assert {type(command) for command in commands} == {*COMMAND_TYPES, request.ExpireRequest}
    assert len({(event.workspace_id, event.position) for event in events}) == len(commands)
    assert complaints(ledger.url) == []


def test_a_repeat_gives_the_recorded_outcome(told: tuple[Ledger, list[Command], list[Recorded]]) -> None:
    """A repeat of any command gives its event, in this process, in another one and after a restart."""
    ledger, commands, events = told
    with Ledger(ledger.url, sweep_seconds=600) as other:
        answers = [ledger.execute_many(commands, "somebody"), other.execute_many(commands[::-1], "k9")[::-1]]
    ledger.close()
    with Ledger(ledger.url, sweep_seconds=600) as restarted:
        answers.append(restarted.execute_many(commands, "system"))
    for outcomes in answers:
        assert [outcome.recorded for outcome in outcomes] == events
        assert all(outcome.repeated for outcome in outcomes)
    assert complaints(ledger.url) == []


EXTRA: dict[str, Any] = {
    "credit_limit": credit("1.5"), "amount": credit("0.75"), "hold": credit("3.25"), "refund": credit("0.002"),
    "difference": credit("0.25"), "charge": credit("0.5"), "provider_cost": StatedAmount("0.5", "USD"),
    "to_amount": cny("70"), "hold_seconds": 61, "extension": 2, "attempt": 3, "latency_ms": 5,
    "first_token_ms": 4, "http_status": 500, "fallback": 2, "usage": used(7), "usage_source": "partial",
    "failure": "connection", "retried": False, "why": Why("other"), "estimate": Estimate(1, 1), "model": "o4",
    "bucket": "rmb", "to_bucket": "rmb", "route": "spare", "from_route": "spare", "to_route": "own-price",
    "rate_card": "spare.1", "project_id": "other", "api_key_id": "k2", "end_user": scenes.HASH,
    "workflow": "w", "run": "r", "step": "s", "reported_model": "o4", "cause": "failed", "paid": Paid("1", "CNY"),
    "source": "bank", "rate": "7.2", "rounding": Rounding.UP, "time_zone": "Asia/Shanghai", "digest": "cd" * 32,
    "spend_limits": scenes.spend_limits("3"), "limits": scenes.key_limits("3"), "scopes": ("read",),
    "unit": "POINT", "scale": 3, "symbol": "x", "provider": "azure", "dialect": "gemini",
    "api_base": "https://b.example", "cost_unit": "CNY", "cost_scale": 3, "upstream_model": "o4",
    "tier": "ordinary", "priced_by": "caller", "depth": "d", "default_output_limit": 9, "context_tokens": 9,
    "targets": ("direct",), "num_retries": 3, "timeout_seconds": 9, "allow_bucket_change": False,
    "allow_model_change": True, "changes": 9, "reason": "another reason",
    "effective_at": datetime(2026, 1, 1, tzinfo=UTC), "secret_hash": "ef" * 32,
}  # fmt: skip
"""Another value for every field that says something about the content."""

NEVER_COMPARED = {"secret_hash", "valid_until", "trace_id", "workspace_id", "request_id", "rate_card_of_card"}


def other_contents(command: Command) -> Iterator[tuple[str, Command]]:
    """Yield copies of a command, each with one field changed, that keep its identity."""
    for name in command.__struct_fields__:
        if name in NEVER_COMPARED or name not in EXTRA:
            continue
        value = EXTRA[name]
        if name == "why" and isinstance(command, request.ExtendHold):
            value = "another"
        if name == "cause" and isinstance(command, request.CorrectCharge):
            value = "rerated"
        if getattr(command, name) == value:
            continue
        if name == "usage" and isinstance(command, request.CorrectCharge):
            continue
        changed = msgspec.structs.replace(command, **{name: value})
        if command_id_of(changed) == command_id_of(command):
            yield name, changed


def test_other_content_under_a_used_identity_is_named(
    told: tuple[Ledger, list[Command], list[Recorded]],
) -> None:
    """A used identity with any one field changed is refused with that field's name, and nothing moves."""
    ledger, commands, _ = told
    pairs = [(name, changed) for command in commands for name, changed in other_contents(command)]
    outcomes = ledger.execute_many([changed for _, changed in pairs], "system")
    answers = [
        (type(changed).__name__, name, refusal(outcome) if outcome.refused else "accepted")
        for (name, changed), outcome in zip(pairs, outcomes, strict=True)
    ]
    assert len(pairs) > 100
    assert [answer for answer in answers if answer[2] != (Refusal.IDENTITY_CONFLICT, answer[1])] == []
    assert complaints(ledger.url) == []


def test_one_payment_goes_into_one_bucket_once(quiet: Ledger) -> None:
    """A payment is its source and reference: into another bucket, or with another amount, it is a conflict."""
    scenes.set_up(quiet)
    first = quiet.execute(scenes.pay(ACME, "credit", "5", "P-1"), "system")
    assert quiet.execute(scenes.pay(ACME, "credit", "5.0", "P-1"), "k9").recorded == first.recorded
    assert refusal(quiet.execute(scenes.pay(ACME, "rmb", "5", "P-1"), "system"))[0] is Refusal.IDENTITY_CONFLICT
    assert refusal(quiet.execute(scenes.pay(ACME, "credit", "6", "P-1"), "system")) == (
        Refusal.IDENTITY_CONFLICT,
        "amount",
    )
    assert complaints(quiet.url) == []


@pytest.mark.parametrize("together", [True, False])
def test_a_payment_is_reversed_at_most_once(quiet: Ledger, together: bool) -> None:
    """Reversals of one payment under other ids, in one batch or in several, take back no more than was paid."""
    scenes.set_up(quiet)
    back: dict[str, Any] = {"workspace_id": ACME, "source": "alipay", "reference": "P-1", "reason": "chargeback"}
    commands = [
        scenes.pay(ACME, "credit", "5", "P-1"),
        scenes.pay(ACME, "credit", "50", "P-10"),
        wallet.ReverseFunds(**back, bucket="rmb", amount=cny("1"), reversal_id="0"),
        wallet.ReverseFunds(**back, bucket="credit", amount=credit("3"), reversal_id="1"),
        wallet.ReverseFunds(**back, bucket="credit", amount=credit("3"), reversal_id="2"),
        wallet.ReverseFunds(**back, bucket="credit", amount=credit("2"), reversal_id="3"),
        wallet.ReverseFunds(**back, bucket="credit", amount=credit("0.000001"), reversal_id="4"),
    ]
    calls = [commands] if together else [[command] for command in commands]
    answers = [answer for call in calls for answer in refusals(quiet, *call)]
    too_much = Refusal.REVERSAL_EXCEEDS_PAYMENT
    assert answers == [None, None, Refusal.PAYMENT_UNKNOWN, None, too_much, None, too_much]
    assert complaints(quiet.url) == []


def test_refunds_never_pass_what_was_paid(quiet: Ledger) -> None:
    """Refunds of one request, some in its batch and some later, give back no more than was paid."""
    scenes.set_up(quiet)
    one = [scenes.refund("r1", "0.005", refund_id=str(number)) for number in range(5)]
    assert refusals(quiet, hold("r1"), settle("r1"), *one[:2]) == [None] * 4
    assert refusals(quiet, *one) == [None, None, *[Refusal.REFUND_EXCEEDS_PAID] * 3]
    assert complaints(quiet.url) == []


def test_an_expired_command_is_refused_and_its_repeat_is_not(quiet: Ledger) -> None:
    """Past valid_until a command is refused; one that was recorded in time is a repeat for ever."""
    scenes.set_up(quiet)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    assert refusals(quiet, hold("r1", valid_until=past)) == [Refusal.VALID_UNTIL_PASSED]
    first = do(quiet, hold("r1"))[0]
    repeat = quiet.execute(hold("r1", valid_until=past), "system")
    assert (repeat.recorded, repeat.repeated) == (first, True)


@pytest.mark.parametrize(
    ("time_zone", "instant"),
    [
        ("Asia/Shanghai", datetime(9999, 12, 31, 23, tzinfo=UTC)),
        ("America/New_York", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_impossible_time_is_named(quiet: Ledger, time_zone: str, instant: datetime) -> None:
    """A time at the end of the calendar is refused by name, also where a spend limit asks for its day."""
    scenes.set_up(quiet, day="100", time_zone=time_zone)
    do(quiet, hold("r0"))
    outcome = quiet.execute(hold("r1", effective_at=instant), "system")
    assert refusal(outcome) == (Refusal.EFFECTIVE_AT_OUT_OF_RANGE, "effective_at")


def test_a_workspace_that_could_not_be_made_does_not_exist(quiet: Ledger) -> None:
    """A refused creation leaves nothing behind, also where the rest of its batch was recorded."""
    wrong = workspace.CreateWorkspace(workspace_id="ghost", time_zone="Mars/Olympus")
    assert refusals(quiet, wrong, *scenes.catalog_commands())[:2] == [Refusal.TEXT_INVALID, None]
    assert refusals(quiet, scenes.issue_key("ghost")) == [Refusal.WORKSPACE_UNKNOWN]
    assert refusals(quiet, *scenes.workspace_commands("ghost")) == [None] * 7
    assert complaints(quiet.url) == []


def test_a_key_is_told_once(quiet: Ledger) -> None:
    """The token of a key is given with the event that holds its hash, and with no repeat."""
    scenes.set_up(quiet)
    command = scenes.issue_key(ACME, api_key_id="k7")
    assert quiet.issue_key(command, "system").token is not None
    repeat = quiet.issue_key(command, "system")
    assert (repeat.token, repeat.outcome.repeated) == (None, True)
