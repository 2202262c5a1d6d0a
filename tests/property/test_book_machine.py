"""Random interleavings of every command on one workspace, against the oracle after each step."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.commands import command_id_of
from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.commands import Command, to_datetime
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.usage import ModelUsage
from ledger.request import commands as request
from ledger.request.state import Status
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace
from tests import strategies
from tests.property.book_draws import (
    ROUTES,
    UNITS,
    amount,
    charge_limits,
    instants,
    numbers,
    other_models,
    per_minute,
    picks,
    routes,
    signed,
    sizes,
    spend_limits,
    stated_limits,
    tokens,
    used,
)
from tests.property.oracle import Oracle
from tests.property.oracle_model import Outcome
from tests.unit.story import (
    ACME,
    ZONE,
    catalog_commands,
    correct_charge,
    expire_request,
    extend_hold,
    limits,
    opened,
    record_attempt,
    refund_charge,
    release_request,
    route_request,
    settle_request,
    take_fallback,
    workspace_commands,
)
from tests.unit.world import SECOND, World

FINANCE = (
    wallet.ReverseFunds, wallet.PostAdjustment, wallet.SetCreditLimit, request.CorrectCharge,
)  # fmt: skip
"""Only these may take available below zero."""


class BookMachine(RuleBasedStateMachine):
    """A world and the oracle, told the same commands."""

    @initialize()
    def open_the_book(self) -> None:
        """Start with the story's workspace, known to both."""
        self.world = World().all(*catalog_commands())
        decimals = {bucket: scale for bucket, (_, scale) in UNITS.items()}
        self.oracle = Oracle(ROUTES, {"gpt-5": tuple(ROUTES)}, decimals, ZONE)
        self.oracle.other_rates = {"gpt-4o": {"uncached_input": Decimal(5)}}
        self.told: list[Command] = []
        self.number = 0
        self.do(workspace_commands()[0], known_to_oracle=False)
        for command in workspace_commands()[1:]:
            self.do(command)

    def do(self, command: Command, *, known_to_oracle: bool = True) -> None:
        """Tell both a command, and look at what it took."""
        before = dict(self.world.books[ACME].wallets) if ACME in self.world.books else {}
        repeated, refusal = False, None
        try:
            repeated = self.world.do(command).repeated
        except Refused as refused:
            found = refused
            refusal = found.code.value
        else:
            self.told.append(command)
        if known_to_oracle:
            self.oracle.apply(command, command_id_of(command), Outcome(refusal, self.world.now, repeated))
        if isinstance(command, FINANCE):
            return
        for bucket, now in self.world.books[ACME].wallets.items():
            earlier = before.get(bucket, now).available_minor
            assert now.available_minor >= min(0, earlier)

    def fresh(self) -> str:
        """Return a name that was not used."""
        self.number += 1
        return f"n{self.number}"

    def known(self, pick: int, status: str = "open") -> str:
        """Return a request in a status, the latest at 0; now and then any other, or one that is not known."""
        requests = self.world.books[ACME].requests
        names = [name for name, state in requests.items() if pick > 8 or state.status.value == status]
        return names[-1 - pick % len(names)] if names and pick < 11 else self.fresh()

    @rule(seconds=st.integers(0, 3 * 86_400) | st.integers(0, 900))
    def let_time_pass(self, seconds: int) -> None:
        """Move the clock."""
        self.world.now += seconds * SECOND

    @rule(pick=picks, route=routes, size=sizes, key=st.sampled_from(("k1", "k2")), ago=instants, seconds=numbers)
    def route(self, pick: int, route: str, size: str, key: str, ago: int | None, seconds: int) -> None:
        """Route a request, mostly a new one, perhaps one that happened days ago."""
        name = self.known(pick) if pick > 8 else self.fresh()
        bucket = ROUTES[route].bucket
        when = None if ago is None else to_datetime(self.world.now) - timedelta(seconds=ago)
        self.do(
            route_request(
                name, route=route, bucket=bucket, hold=amount(bucket, size), api_key_id=key, rate_card=None,
                effective_at=when, hold_seconds=seconds * 400,
            )
        )  # fmt: skip

    @rule(pick=picks, number=numbers, size=st.none() | sizes)
    def extend(self, pick: int, number: int, size: str | None) -> None:
        """Hold more or longer."""
        name = self.known(pick)
        held = self.world.books[ACME].requests.get(name)
        bucket = held.bucket if held and held.bucket else "credit"
        self.do(extend_hold(name, extension=number, hold=size and amount(bucket, size)))

    @rule(pick=picks, number=numbers)
    def attempt(self, pick: int, number: int) -> None:
        """Record a failed attempt."""
        name = self.known(pick)
        self.do(record_attempt(name, attempt=number))

    @rule(pick=picks, number=numbers, origin=st.none() | routes, route=routes, size=sizes)
    def fall_back(self, pick: int, number: int, origin: str | None, route: str, size: str) -> None:
        """Move a request, mostly from the route that it is on."""
        name = self.known(pick)
        known = self.world.books[ACME].requests.get(name)
        origin = origin or (known.route if known and known.route else "gpt-direct")
        bucket = ROUTES[route].bucket
        self.do(
            take_fallback(
                name, fallback=number, from_route=origin, to_route=route, to_bucket=bucket,
                hold=amount(bucket, size), rate_card=None,
            )
        )  # fmt: skip

    @rule(
        pick=picks, number=numbers, origin=st.none() | routes, counts=st.tuples(tokens, tokens), size=sizes,
        most=charge_limits, others=other_models,
    )  # fmt: skip
    def settle(
        self,
        pick: int,
        number: int,
        origin: str | None,
        counts: tuple[int, int],
        size: str,
        most: str | None = None,
        others: Sequence[tuple[str, int, int]] = (),
    ) -> None:
        """Settle, mostly on the route that the request is on, now and then with a limit and with other models."""
        name = self.known(pick)
        known = self.world.books[ACME].requests.get(name)
        route = origin or (known.route if known and known.route else "gpt-direct")
        charge = amount("credit", size) if ROUTES[route].rates is None else None
        bucket = known.bucket if known and known.bucket else "credit"
        self.do(
            settle_request(
                name, attempt=number, route=route, usage=used(*counts), charge=charge, provider_cost=None,
                charge_limit=most and amount(bucket, most),
                others=tuple(ModelUsage(model, used(*each)) for model, *each in others),
            )
        )  # fmt: skip

    @rule(pick=picks, cause=st.sampled_from(("failed", "cancelled")))
    def release(self, pick: int, cause: str) -> None:
        """Release."""
        name = self.known(pick)
        self.do(release_request(name, cause))

    @rule(pick=picks)
    def expire(self, pick: int) -> None:
        """Expire, as a sweeper does that may be wrong."""
        name = self.known(pick)
        self.do(expire_request(name))

    @rule(pick=picks, number=numbers, size=sizes)
    def refund(self, pick: int, number: int, size: str) -> None:
        """Refund."""
        name = self.known(pick, "settled")
        known = self.world.books[ACME].requests.get(name)
        bucket = known.bucket if known and known.bucket else "credit"
        self.do(refund_charge(name, refund_id=f"f{number}", refund=amount(bucket, size)))

    @rule(pick=picks, number=numbers, size=signed)
    def correct(self, pick: int, number: int, size: str) -> None:
        """Correct."""
        name = self.known(pick, "settled")
        known = self.world.books[ACME].requests.get(name)
        bucket = known.bucket if known and known.bucket else "credit"
        self.do(correct_charge(name, correction_id=f"c{number}", difference=amount(bucket, size)))

    @rule(bucket=st.sampled_from(("credit", "rmb")), size=sizes, number=numbers, kind=st.integers(0, 3))
    def finance(self, bucket: str, size: str, number: int, kind: int) -> None:
        """Pay in, give, take back or pay out."""
        stated: dict[str, Any] = {"workspace_id": ACME, "bucket": bucket, "amount": amount(bucket, size)}
        payment: dict[str, Any] = {"source": "alipay", "reference": f"P-{number}" if kind < 2 else "A-1"}
        commands: tuple[Command, ...] = (
            wallet.AddFunds(**stated, **payment),
            wallet.GrantFunds(**stated, grant_id=self.fresh()),
            wallet.ReverseFunds(**stated, **payment, reversal_id=self.fresh(), reason="chargeback"),
            wallet.WithdrawFunds(**stated, source="bank", reference=self.fresh()),
        )
        self.do(commands[kind])

    @rule(bucket=st.sampled_from(("credit", "rmb")), size=signed)
    def adjust(self, bucket: str, size: str) -> None:
        """Adjust."""
        stated = amount(bucket, size)
        self.do(
            wallet.PostAdjustment(
                workspace_id=ACME, bucket=bucket, adjustment_id=self.fresh(), amount=stated, reason="typo"
            )
        )

    @rule(size=sizes, rate=st.sampled_from(("1.25", "0.333333", "7")), off=st.sampled_from((0, 0, 0, 1)))
    def exchange(self, size: str, rate: str, off: int) -> None:
        """Exchange credit for points or rmb, now and then with a wrong amount."""
        target = "points" if size in ("20", "60", "100") else "rmb"
        smallest = Decimal(1).scaleb(-UNITS[target][1])
        received = (Decimal(size) * Decimal(rate)).quantize(smallest) + off * smallest
        if received <= 0:
            return
        self.do(
            wallet.ExchangeBuckets(
                workspace_id=ACME, bucket="credit", exchange_id=self.fresh(), amount=amount("credit", size),
                to_bucket=target, to_amount=amount(target, f"{received:f}"), rate=rate,
            )
        )  # fmt: skip

    @rule(bucket=st.sampled_from(("credit", "rmb")), size=sizes, kind=st.integers(0, 2))
    def govern(self, bucket: str, size: str, kind: int) -> None:
        """Freeze, unfreeze or lower the credit limit."""
        stated: dict[str, Any] = {"workspace_id": ACME, "bucket": bucket, "change_id": self.fresh(), "reason": "x"}
        commands: tuple[Command, ...] = (
            wallet.FreezeWallet(**stated),
            wallet.UnfreezeWallet(**stated),
            wallet.SetCreditLimit(**stated, credit_limit=amount(bucket, size)),
        )
        self.do(commands[kind])

    @rule(drawn=spend_limits, change=st.booleans(), key=st.sampled_from(("k1", "k2", None)), pace=per_minute)
    def limit(
        self, drawn: list[tuple[str, Any, str]], change: bool, key: str | None, pace: tuple[int | None, int | None]
    ) -> None:
        """Replace the limits of a key or of the project."""
        name: dict[str, Any] = {"workspace_id": ACME, "change_id": self.fresh()}
        spend = stated_limits(drawn)
        if key is None:
            self.do(workspace.SetProjectLimits(**name, project_id="web", spend_limits=spend))
        else:
            stated = limits(
                spend=spend, allow_bucket_change=change, requests_per_minute=pace[0], tokens_per_minute=pace[1]
            )
            self.do(workspace.SetApiKeyLimits(**name, api_key_id=key, limits=stated))

    @rule(dice=st.integers(0, 9))
    def revoke(self, dice: int) -> None:
        """Revoke a key, seldom."""
        if dice == 9:
            self.do(workspace.RevokeApiKey(workspace_id=ACME, api_key_id="k2", reason="leaked"))

    @rule(route=routes, size=sizes, counts=st.tuples(tokens, tokens))
    def burn(self, route: str, size: str, counts: tuple[int, int]) -> None:
        """Route and settle at once, as most requests do."""
        self.route(0, route, size, "k1", None, 1)
        self.settle(0, 1, None, counts, size)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Send an earlier command again: it is recognised, and nothing moves."""
        command = data.draw(st.sampled_from(self.told[1:]))
        position = self.world.books[ACME].position
        self.do(command)
        assert self.world.books[ACME].position == position

    @rule(data=st.data())
    def repeat_with_another_reason(self, data: st.DataObject) -> None:
        """Send an earlier command again with other words: that is a conflict."""
        command = msgspec.structs.replace(data.draw(st.sampled_from(self.told)), reason="other words")
        try:
            self.world.do(command)
        except Refused as refused:
            found = refused
            assert found.code is Refusal.IDENTITY_CONFLICT
        else:
            raise AssertionError(f"{command} was taken for a repeat")

    @invariant()
    def balances_are_the_oracles(self) -> None:
        """Every wallet is what the oracle counts, posted, held, limit and frozen."""
        if not hasattr(self, "oracle"):
            return
        for bucket, state in self.world.books[ACME].wallets.items():
            model = self.oracle.wallets[bucket]
            numbers = (state.posted_minor, state.held_minor, state.credit_limit_minor)
            counted = (model.posted, model.held, model.credit_limit)
            assert numbers == tuple(int(value.scaleb(state.scale)) for value in counted)
            assert state.frozen is model.frozen

    @invariant()
    def held_is_the_sum_of_open_holds(self) -> None:
        """Held in each bucket is what the open requests hold there, and each stands where the oracle says."""
        if not hasattr(self, "oracle"):
            return
        book = self.world.books[ACME]
        held: defaultdict[str, int] = defaultdict(int)
        for state in (each for each in book.requests.values() if each.status is Status.OPEN):
            held[state.bucket] += state.held_minor
        assert {name: state.held_minor for name, state in book.wallets.items()} == {
            name: held[name] for name in book.wallets
        }
        for name, state in book.requests.items():
            model = self.oracle.requests[name]
            assert (state.status.value, state.expires_at) == (model.status, model.expires_at)
            paid = (state.charge_minor, state.paid_minor, state.refunded_minor)
            assert paid == tuple(int(value.scaleb(6)) for value in (model.charge, model.paid, model.refunded))

    @invariant()
    def accounts_balance_and_agree(self) -> None:
        """Each bucket's accounts sum to zero, each is the oracle's, and the wallet's two are the wallet."""
        if not hasattr(self, "oracle"):
            return
        sums: defaultdict[str, int] = defaultdict(int)
        for (_, bucket, account), minor in self.world.accounts.items():
            sums[bucket] += minor
            assert minor == self.oracle.accounts[bucket, account].scaleb(UNITS[bucket][1])
        assert not any(sums.values())
        for bucket, state in self.world.books[ACME].wallets.items():
            accounts = self.world.accounts
            assert -accounts[ACME, bucket, WALLET_AVAILABLE] == state.posted_minor - state.held_minor
            assert -accounts[ACME, bucket, WALLET_HELD] == state.held_minor

    @invariant()
    def budgets_are_the_oracles(self) -> None:
        """Held and charged of every budget are what the oracle counts, and no other budget has anything."""
        if not hasattr(self, "oracle"):
            return
        known = {
            name: (budget.held_minor, budget.charged_minor)
            for name, budget in self.world.books[ACME].budgets.items()
            if budget.held_minor or budget.charged_minor
        }
        counted = {
            "/".join(name): (int(budget.held.scaleb(6)), int(budget.charged.scaleb(6)))
            for name, budget in self.oracle.budgets.items()
            if budget.held or budget.charged
        }
        assert known == counted

    @invariant()
    def paces_are_the_oracles(self) -> None:
        """What every key used in its latest minute is what the oracle counts."""
        if not hasattr(self, "oracle"):
            return
        for key, use in self.world.books[ACME].pace.items():
            assert [use.requests, use.tokens] == self.oracle.minutes[key, use.minute]
        latest = {key: use.minute for key, use in self.world.books[ACME].pace.items()}
        for (key, minute), counted in self.oracle.minutes.items():
            assert not any(counted) or minute <= latest[key]


BookMachine.TestCase.settings = settings(
    max_examples=max(strategies.EXAMPLES // 2, 20), stateful_step_count=40, deadline=None
)
TestBookMachine = BookMachine.TestCase


def test_a_machine_starts_from_an_opened_book() -> None:
    """The story that the machine starts from is the one that other tests use."""
    assert set(opened().books[ACME].wallets) == set(UNITS)
