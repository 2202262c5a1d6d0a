"""Random work of every kind, cut into random batches and shared out over two ledgers, and the auditor afterwards."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.refusals import Refusal
from ledger.request.commands import CorrectCharge, ExpireRequest
from ledger.service import Ledger
from ledger.store import writer
from ledger.wallet import commands as wallet
from ledger.workspace.commands import SetApiKeyLimits, SetProjectLimits
from projections.replay import replay
from tests.integration import scenes
from tests.integration.scenes import ACME, KEY, PROJECT, credit
from tests.integration.store_check import audit

NEVER = {Refusal.UNAVAILABLE, Refusal.OUTCOME_UNKNOWN, Refusal.COMMAND_UNPROCESSABLE, Refusal.OVERLOADED}


class Dice:
    """Makes commands that often concern the same few requests, and often come again."""

    def __init__(self, seed: int, requests: int) -> None:
        self.random = random.Random(seed)
        self.requests = requests
        self.count = 0
        self.earlier: list[Command] = []

    def command(self) -> Command:
        """Return another command, or one of those before it."""
        if self.earlier and self.random.random() < 0.1:
            return self.random.choice(self.earlier)
        made = self.request() if self.random.random() < 0.85 else self.finance()
        self.earlier.append(made)
        return made

    def amount(self, largest: int) -> str:
        """Return an amount of up to so many units, mostly with all decimals."""
        return f"{self.random.randrange(1, largest * 1_000_000) / 1_000_000:.6f}"

    def request(self) -> Command:
        """Return a command on one of the requests."""
        self.count += 1
        name = f"r{self.random.randrange(self.requests)}"
        route = self.random.choice(["direct", "direct", "direct", "spare", "cheap"])
        tokens = self.random.choice([1, 1000, 10**5, 10**6])
        attempt = self.random.randint(1, 3)
        kinds: list[Any] = [
            lambda: scenes.hold(name, self.amount(8), route=route, hold_seconds=self.random.choice([1, 600])),
            lambda: scenes.hold(name, self.amount(8), route=route),
            lambda: scenes.settle(name, tokens, route=route, attempt=attempt),
            lambda: scenes.settle(name, tokens, route=route, attempt=attempt),
            lambda: scenes.release(name),
            lambda: scenes.extend(name, self.random.choice([None, self.amount(5)]), extension=self.count % 5 + 1),
            lambda: scenes.fail_attempt(name, attempt=attempt),
            lambda: scenes.fall_back(name, self.amount(8), to_route=self.random.choice(["spare", "cheap", "cheap"])),
            lambda: scenes.refund(name, self.amount(1), refund_id=str(self.count % 3)),
            lambda: ExpireRequest(workspace_id=ACME, request_id=name),
            lambda: CorrectCharge(
                workspace_id=ACME, request_id=name, correction_id=str(self.count % 3), cause="mistake",
                difference=credit(self.random.choice(["", "-"]) + self.amount(1)), reason="fuzz",
            ),
        ]  # fmt: skip
        made: Command = self.random.choice(kinds)()
        return made

    def finance(self) -> Command:
        """Return a command of finance or an admin."""
        self.count += 1
        name = str(self.count)
        bucket = self.random.choice(["credit", "rmb"])
        mine: dict[str, Any] = {"workspace_id": ACME, "bucket": bucket, "reason": "fuzz"}
        stated = StatedAmount(self.amount(20), scenes.UNITS[bucket])
        day = self.random.choice([None, "5", "20", "60", "200"])
        paid = f"F-{self.random.randrange(20)}"
        kinds: list[Any] = [
            lambda: scenes.pay(ACME, bucket, self.amount(20), paid),
            lambda: wallet.ReverseFunds(
                **mine, amount=stated, source="alipay", reference=paid, reversal_id=self.random.choice("abc")
            ),
            lambda: wallet.WithdrawFunds(**mine, amount=stated, source="bank", reference=name),
            lambda: wallet.GrantFunds(**mine, amount=stated, grant_id=name),
            lambda: wallet.SetCreditLimit(**mine, credit_limit=stated, change_id=name),
            lambda: wallet.PostAdjustment(**mine, amount=stated, adjustment_id=name),
            lambda: wallet.ExchangeBuckets(
                workspace_id=ACME, bucket="credit", exchange_id=name, amount=credit("1.5"), to_bucket="rmb",
                to_amount=scenes.cny("10.65"), rate="7.1",
            ),
            lambda: wallet.FreezeWallet(**mine, change_id=name),
            lambda: wallet.UnfreezeWallet(**mine, change_id=name),
            lambda: wallet.UnfreezeWallet(**mine, change_id=name),
            lambda: SetApiKeyLimits(
                workspace_id=ACME, change_id=name, api_key_id=KEY,
                limits=scenes.change(scenes.key_limits(day), tokens_per_minute=self.random.choice([None, 10**9])),
            ),
            lambda: SetProjectLimits(
                workspace_id=ACME, change_id=name, project_id=PROJECT, spend_limits=scenes.spend_limits(day)
            ),
        ]  # fmt: skip
        made: Command = self.random.choice(kinds)()
        return made


def work(ledger: Ledger, dice: Dice, commands: int) -> Counter[Refusal | None]:
    """Execute so many commands in calls of random length, and count the answers."""
    answers: Counter[Refusal | None] = Counter()
    while commands > 0:
        call = [dice.command() for _ in range(dice.random.choice([1, 2, 5, 30, 100]))]
        outcomes = ledger.execute_many(call, "system")
        answers.update(outcome.refused.code if outcome.refused else None for outcome in outcomes)
        commands -= len(call)
    return answers


def run_mixed(url: str, seed: int, commands: int) -> Counter[Refusal | None]:
    """Let two ledgers, each with two callers, do random work on the same requests."""
    with Ledger(url, sweep_seconds=0.2) as here, Ledger(url, sweep_seconds=0.2) as there:
        scenes.set_up(here, funds="60", day="60")
        with ThreadPoolExecutor(4) as pool:
            calls = [
                pool.submit(work, ledger, Dice(seed * 10 + number, commands // 12), commands // 4)
                for number, ledger in enumerate((here, there, here, there))
            ]
            return sum((call.result(600) for call in calls), Counter())


def require_sound(url: str, answers: Counter[Refusal | None]) -> None:
    """Demand books that add up and plain answers."""
    assert audit(url).wrong == []
    assert replay(url, verify=True).differences == ()
    assert not NEVER & answers.keys()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_work_adds_up(database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever is done in whatever order, nothing is overspent, no limit passed, and live equals the fold."""
    monkeypatch.setattr(writer, "COMMANDS_PER_BATCH_MAX", [1000, 7, 60][seed % 3])
    answers = run_mixed(database_url, seed, 3000)
    require_sound(database_url, answers)
    assert answers[None] > 500
    with psycopg.connect(database_url) as connection:
        tags = {row[0] for row in connection.execute("select distinct tag from ledger.event")}
    assert {"funds_reversed.v1", "bucket_exchanged.v1", "fallback_taken.v1", "charge_corrected.v1"} <= tags


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(100, 120))
def test_random_work_adds_up_for_long(database_url: str, seed: int) -> None:
    """The same with more seeds and more work."""
    require_sound(database_url, run_mixed(database_url, seed, 20_000))
