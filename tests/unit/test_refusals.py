"""Every refusal that a decision can give, provoked by one command, and the list of those that others give."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from ledger.catalog import commands as catalog
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.refusals import TRANSIENT, Refusal, Refused
from ledger.decisions import decide
from ledger.pricing.usage import ModelUsage, Usage
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace
from tests.unit.story import (
    ACME,
    COMMON,
    MINE,
    PAID,
    card,
    cny,
    correct_charge,
    credit,
    expire_request,
    extend_hold,
    limits,
    opened,
    points,
    publish_signing_key,
    record_attempt,
    refund_charge,
    release_request,
    route_request,
    settle_request,
    take_fallback,
)
from tests.unit.world import World, change

TELL: dict[str, Any] = {**COMMON, "change_id": "c9"}
SETTLED = (route_request(), settle_request())
OWN: dict[str, Any] = {"route": "own-price", "rate_card": None}
FROZEN = wallet.FreezeWallet(**MINE, bucket="credit", change_id="z1")
RERATED = correct_charge(
    correction_id="rerate.gpt-direct.1", difference=None, cause="rerated", rate_card="gpt-direct.1"
)
THEIRS = {**MINE, "workspace_id": "nobody"}


class Case(NamedTuple):
    """A refusal, the field it names, what happened before, and the command that is refused.

    `direct` goes past the recognition of repeats, which would answer first.
    """

    code: Refusal
    field: str | None
    before: tuple[Command, ...]
    command: Command
    direct: bool = False


def spend(bucket: str, amount: StatedAmount, period: Any = "day") -> tuple[workspace.StatedSpendLimit, ...]:
    """Return one spend limit."""
    return (workspace.StatedSpendLimit(bucket, period, amount),)


def limit_key(**fields: Any) -> Command:
    """Return a change of the limits of the key that routes."""
    return workspace.SetApiKeyLimits(**MINE, change_id="y", api_key_id="k1", limits=limits(**fields))


def exchange(**fields: Any) -> Command:
    """Return an exchange of 10 CREDIT for 12 POINT."""
    command = wallet.ExchangeBuckets(
        **MINE, bucket="credit", exchange_id="x", amount=credit("10"), to_bucket="points",
        to_amount=points("12"), rate="1.2",
    )  # fmt: skip
    return msgspec.structs.replace(command, **fields)


def add(bucket: str, amount: StatedAmount, reference: str = "A-9") -> Command:
    """Return a payment."""
    return wallet.AddFunds(**MINE, bucket=bucket, amount=amount, source="alipay", reference=reference)


def reverse(amount: StatedAmount, **fields: Any) -> Command:
    """Return a reversal of the first payment in credit."""
    command = wallet.ReverseFunds(**MINE, bucket="credit", amount=amount, source="alipay", reference="A-1", paid=PAID)
    return msgspec.structs.replace(command, **fields)


def withdraw(amount: StatedAmount) -> Command:
    """Return a payout in credit."""
    return wallet.WithdrawFunds(**MINE, bucket="credit", amount=amount, source="bank", reference="B-9")


def close(period: str, **fields: Any) -> Command:
    """Return the first closing of a month."""
    return msgspec.structs.replace(workspace.ClosePeriod(**MINE, period=period, closing=1), **fields)


def reopen(period: str, **fields: Any) -> Command:
    """Return the reopening of a month that was closed once."""
    return msgspec.structs.replace(workspace.ReopenPeriod(**MINE, period=period, closing=1), **fields)


def publish_route(**fields: Any) -> Command:
    """Return another version of a route."""
    command = catalog.PublishRoute(
        **TELL, route="gpt-direct", provider="openai", upstream_model="gpt-5", bucket="credit", tier="direct"
    )
    return msgspec.structs.replace(command, **fields)


def publish_card(**fields: Any) -> Command:
    """Return another rate card."""
    stated = msgspec.structs.replace(card("new", "gpt-direct", "credit", valid_from=5), **fields)
    return catalog.PublishRateCard(**COMMON, card=stated)


def publish_model(**fields: Any) -> Command:
    """Return another version of a model."""
    command = catalog.PublishModel(**TELL, model="strict", targets=("gpt-direct", "gpt-azure"))
    return msgspec.structs.replace(command, **fields)


SUSPENDED = catalog.SuspendRoute(**TELL, route="gpt-direct")
MOVED_TO_MINI = take_fallback(
    to_route="gpt-mini", to_bucket="credit", hold=credit("1"), rate_card=None
)  # fmt: skip
BIG = "99999999999"
FULL = tuple(add("credit", credit(BIG), f"F-{number}") for number in range(9))
"""Nine payments that leave room for less than one more."""

R = Refusal
CASES = (
    Case(R.TEXT_INVALID, "workspace_id", (), change(route_request(), workspace_id="A b")),
    Case(R.NUMBER_OUT_OF_RANGE, "estimate.input_tokens", (), change(
        route_request(), estimate=msgspec.structs.replace(route_request().estimate, input_tokens=2**63))),  # type: ignore[type-var]
    Case(R.COMMAND_INCOMPLETE, "reason", (), change(FROZEN, reason=None)),
    Case(R.COMMAND_INCOMPLETE, "scopes", (), workspace.IssueApiKey(
        **MINE, api_key_id="k9", scopes=(), secret_hash="ab" * 32)),
    Case(R.COMMAND_INCOMPLETE, "difference", SETTLED, correct_charge(difference=None)),
    Case(R.COMMAND_INCOMPLETE, "difference", SETTLED, correct_charge(usage=Usage(0, 0, {}))),
    Case(R.COMMAND_INCOMPLETE, "difference", SETTLED, correct_charge(
        difference=None, rate_card="gpt-direct.1", others=(ModelUsage("gpt-4o", Usage(0, 0, {})),))),
    Case(R.COMMAND_INCOMPLETE, "rate_card", SETTLED, correct_charge(rate_card="gpt-direct.1")),
    Case(R.COMMAND_INCOMPLETE, "others", SETTLED, correct_charge(others=(ModelUsage("gpt-4o", Usage(0, 0, {})),))),
    Case(R.USAGE_INVALID, "others.usage", (route_request(),), settle_request(
        others=(ModelUsage("gpt-4o", Usage(1, 0, {})),))),
    Case(R.TEXT_INVALID, "others.model", (route_request(),), settle_request(
        others=(ModelUsage("", Usage(0, 0, {})),))),
    Case(R.NUMBER_OUT_OF_RANGE, "others", (route_request(),), settle_request(
        others=(ModelUsage("gpt-4o", Usage(0, 0, {})),) * 65)),
    Case(R.TEXT_INVALID, "terms", (route_request(),), settle_request(terms=("speed=fast", ""))),
    Case(R.TEXT_INVALID, "terms", (route_request(),), settle_request(terms=("x" * 65,))),
    Case(R.NUMBER_OUT_OF_RANGE, "terms", (route_request(),), settle_request(terms=("speed=fast",) * 9)),
    Case(R.TEXT_INVALID, "policy", (route_request(),), settle_request(policy="guessed")),
    Case(R.USAGE_INVALID, "usage", (route_request(),), settle_request(usage=Usage(1, 0, {}))),
    Case(R.RATE_INVALID, "rate", (), exchange(rate="1e3")),
    Case(R.LIMIT_INVALID, "spend", (), limit_key(spend=spend("credit", credit("1")) * 2)),
    Case(R.LIMIT_INVALID, "spend", (), limit_key(spend=spend("credit", credit("1")) * 17)),
    Case(R.IDENTITY_CONFLICT, "hold", (route_request(),), route_request(hold=credit("11"))),
    Case(R.IDENTITY_CONFLICT, "bucket", (), add("rmb", cny("100"), "A-1")),
    Case(R.VALID_UNTIL_PASSED, "valid_until", (), route_request(valid_until=datetime(2026, 9, 21, tzinfo=UTC))),
    Case(R.EFFECTIVE_AT_OUT_OF_RANGE, "effective_at", (), route_request(
        effective_at=datetime(2026, 9, 21, 14, 14, 21, tzinfo=UTC))),
    Case(R.EFFECTIVE_AT_OUT_OF_RANGE, "effective_at", (), route_request(
        effective_at=datetime(1969, 12, 31, tzinfo=UTC))),
    Case(R.WORKSPACE_UNKNOWN, "workspace_id", (), change(route_request(), **THEIRS)),
    Case(R.WORKSPACE_UNKNOWN, "workspace_id", (), change(route_request(), workspace_id="platform")),
    Case(R.WORKSPACE_UNKNOWN, "workspace_id", (), change(release_request(), workspace_id="platform")),
    Case(R.WORKSPACE_UNKNOWN, "workspace_id", (), change(FROZEN, workspace_id="platform")),
    Case(R.WORKSPACE_UNKNOWN, "workspace_id", (), change(SUSPENDED, workspace_id=ACME)),
    Case(R.WORKSPACE_EXISTS, None, (), workspace.CreateWorkspace(**MINE), direct=True),
    Case(R.REQUEST_UNKNOWN, None, (), settle_request()),
    Case(R.REQUEST_EXISTS, None, (route_request(),), route_request(), direct=True),
    Case(R.REQUEST_VOIDED, None, (release_request(),), route_request()),
    Case(R.REQUEST_SETTLED, None, SETTLED, release_request()),
    Case(R.REQUEST_RELEASED, None, (route_request(), release_request()), extend_hold()),
    Case(R.REQUEST_NOT_SETTLED, None, (route_request(),), refund_charge()),
    Case(R.HOLD_NOT_EXPIRED, None, (route_request(),), expire_request()),
    Case(R.ROUTE_NOT_OF_REQUEST, "route", (route_request(),), settle_request(route="gpt-azure")),
    Case(R.ROUTE_NOT_OF_REQUEST, "from_route", (route_request(),), take_fallback(from_route="gpt-azure")),
    Case(R.ATTEMPT_ALREADY_FAILED, "attempt", (route_request(), record_attempt()), settle_request(attempt=1)),
    Case(R.ATTEMPT_ALREADY_SETTLED, "attempt", (route_request(), settle_request()), record_attempt(attempt=2)),
    Case(R.PROJECT_UNKNOWN, "project_id", (), route_request(project_id="other")),
    Case(R.PROJECT_UNKNOWN, "project_id", (), workspace.IssueApiKey(
        **MINE, api_key_id="k9", scopes=("call",), project_id="other", secret_hash="ab" * 32)),
    Case(R.PROJECT_EXISTS, "project_id", (), workspace.CreateProject(**MINE, project_id="web"), direct=True),
    Case(R.API_KEY_UNKNOWN, "api_key_id", (), route_request(api_key_id="k9")),
    Case(R.API_KEY_EXISTS, "api_key_id", (), workspace.IssueApiKey(
        **MINE, api_key_id="k1", scopes=("call",)), direct=True),
    Case(R.API_KEY_REVOKED, "api_key_id", (workspace.RevokeApiKey(**MINE, api_key_id="k1"),), route_request()),
    Case(R.API_KEY_REVOKED, "api_key_id", (
        route_request(), workspace.RevokeApiKey(**MINE, api_key_id="k1")), extend_hold()),
    Case(R.SIGNING_KEY_NOT_CURRENT, "replaces", (), publish_signing_key(replaces="00000001")),
    Case(R.SCOPE_NOT_ALLOWED, "scopes", (), workspace.IssueApiKey(
        **MINE, api_key_id="k9", scopes=("call", "fund"), secret_hash="ab" * 32)),
    Case(R.SCOPE_NOT_ALLOWED, "api_key_id", (workspace.IssueApiKey(
        **MINE, api_key_id="k9", scopes=("read",), secret_hash="ab" * 32),), route_request(api_key_id="k9")),
    Case(R.SCOPE_NOT_ALLOWED, "project_id", (
        workspace.CreateProject(**MINE, project_id="app"),), route_request(project_id="app")),
    Case(R.BUCKET_UNKNOWN, "bucket", (), route_request(bucket="gold")),
    Case(R.BUCKET_UNKNOWN, "bucket", (), wallet.OpenWallet(**MINE, bucket="gold")),
    Case(R.BUCKET_UNKNOWN, "bucket", (), limit_key(spend=spend("gold", credit("1")))),
    Case(R.BUCKET_UNKNOWN, "buckets", (), limit_key(buckets=("gold",))),
    Case(R.BUCKET_UNKNOWN, "bucket", (), publish_route(bucket="gold")),
    Case(R.BUCKET_UNKNOWN, "bucket", (), publish_card(bucket="gold")),
    Case(R.WALLET_UNKNOWN, "bucket", (
        catalog.DefineBucket(**COMMON, bucket="gold", unit="GOLD", scale=2),
    ), add("gold", StatedAmount("1", "GOLD"))),
    Case(R.PAYMENT_UNKNOWN, "reference", (), reverse(credit("1"), reference="A-0")),
    Case(R.PAYMENT_UNKNOWN, "reference", (), reverse(credit("1"), source="wechat", reference="W-1")),
    Case(R.WALLET_EXISTS, None, (), wallet.OpenWallet(**MINE, bucket="credit"), direct=True),
    Case(R.WALLET_FROZEN_ALREADY, None, (FROZEN,), change(FROZEN, change_id="z2")),
    Case(R.WALLET_NOT_FROZEN, None, (), wallet.UnfreezeWallet(**MINE, bucket="credit", change_id="z2")),
    Case(R.PROVIDER_UNKNOWN, "provider", (), publish_route(provider="nobody")),
    Case(R.ROUTE_UNKNOWN, "route", (), route_request(route="nowhere")),
    Case(R.ROUTE_UNKNOWN, "route", (route_request(),), record_attempt(route="nowhere")),
    Case(R.ROUTE_UNKNOWN, "targets", (), publish_model(targets=("nowhere",))),
    Case(R.ROUTE_UNKNOWN, "route", (), change(SUSPENDED, route="nowhere")),
    Case(R.MODEL_UNKNOWN, "model", (), route_request(model="gpt-9")),
    Case(R.CATALOG_CONFLICT, "bucket", (), catalog.DefineBucket(
        **COMMON, bucket="rmb", unit="CNY", scale=6, symbol="¥"), direct=True),
    Case(R.CATALOG_CONFLICT, "scale", (), catalog.DefineBucket(**COMMON, bucket="yuan", unit="CNY", scale=2)),
    Case(R.CATALOG_CONFLICT, "scale", (), catalog.PublishProvider(
        **TELL, provider="new", dialect="openai", api_base="b", cost_unit="USD", cost_scale=2)),
    Case(R.CATALOG_CONFLICT, "bucket", (), publish_route(bucket="rmb")),
    Case(R.CATALOG_CONFLICT, "bucket", (publish_card(route="new"),), publish_route(route="new", bucket="rmb")),
    Case(R.CATALOG_CONFLICT, "rate_card", (), publish_card(rate_card="gpt-direct.1"), direct=True),
    Case(R.CATALOG_CONFLICT, "valid_from", (), publish_card(valid_from=1_700_000_000_000_000)),
    Case(R.CATALOG_CONFLICT, "bucket", (), publish_card(bucket="rmb")),
    Case(R.CATALOG_CONFLICT, "bucket", (), publish_card(bucket="rmb", route="own-price")),
    Case(R.ROUTE_WITHOUT_PRICE, "route", (), publish_route(route="new")),
    Case(R.MODEL_BLENDS_BUCKETS, "targets", (), publish_model(targets=("gpt-direct", "gpt-ordinary"))),
    Case(R.ROUTE_SUSPENDED_ALREADY, None, (SUSPENDED,), change(SUSPENDED, change_id="c10")),
    Case(R.ROUTE_NOT_SUSPENDED, None, (), catalog.ResumeRoute(**TELL, route="gpt-direct")),
    Case(R.ROUTE_NOT_OF_MODEL, "route", (publish_model(),), route_request(
        model="strict", route="gpt-mini", rate_card=None)),
    Case(R.ROUTE_SUSPENDED, "route", (SUSPENDED,), route_request()),
    Case(R.BUCKET_NOT_OF_ROUTE, "bucket", (), route_request(bucket="rmb")),
    Case(R.RATE_CARD_UNKNOWN, "rate_card", (), route_request(rate_card="none")),
    Case(R.RATE_CARD_UNKNOWN, "rate_card", SETTLED, correct_charge(
        difference=None, usage=Usage(0, 0, {}), rate_card="none")),
    Case(R.RATE_CARD_UNKNOWN, "rate_card", SETTLED, correct_charge(
        difference=None, usage=Usage(0, 0, {}), rate_card="gpt-ordinary.1")),
    Case(R.RATE_CARD_UNKNOWN, "rate_card", SETTLED, change(RERATED, rate_card="gpt-azure.1")),
    Case(R.RATE_CARD_UNKNOWN, "rate_card", SETTLED, change(RERATED, rate_card="gpt-ordinary.1")),
    Case(R.RATE_CARD_NOT_IN_FORCE, "rate_card", (), route_request(rate_card="gpt-azure.1")),
    Case(R.RATE_CARD_NOT_IN_FORCE, "rate_card", (), route_request(route="own-price")),
    Case(R.RATE_CARD_NOT_IN_FORCE, "rate_card", (), route_request(
        effective_at=datetime(2020, 1, 1, tzinfo=UTC), rate_card=None)),
    Case(R.MODEL_NOT_ALLOWED, "model", (limit_key(models=("strict",)),), route_request()),
    Case(R.MODEL_NOT_ALLOWED, "model", (limit_key(models=()),), route_request()),
    Case(R.BUCKET_NOT_ALLOWED, "bucket", (limit_key(buckets=("rmb",)),), route_request()),
    Case(R.BUCKET_CHANGE_NOT_ALLOWED, "to_bucket", (
        limit_key(allow_bucket_change=False), route_request()), take_fallback()),
    Case(R.BUCKET_CHANGE_NOT_ALLOWED, "to_bucket", (
        route_request(), publish_model(model="gpt-5", targets=("gpt-direct", "gpt-ordinary"),
                                       allow_bucket_change=True),
        limit_key(allow_bucket_change=False)), take_fallback()),
    Case(R.MODEL_CHANGE_NOT_ALLOWED, "to_route", (route_request(model="strict"),), MOVED_TO_MINI),
    Case(R.CHARGE_REQUIRED, "charge", (route_request(**OWN),), settle_request(route="own-price")),
    Case(R.CHARGE_NOT_ACCEPTED, "charge", (route_request(),), settle_request(charge=credit("1"))),
    Case(R.UNIT_MISMATCH, "hold", (), route_request(hold=cny("1"))),
    Case(R.UNIT_MISMATCH, "provider_cost", (route_request(),), settle_request(provider_cost=cny("1"))),
    Case(R.UNIT_MISMATCH, "charge_limit", (route_request(),), settle_request(charge_limit=cny("1"))),
    Case(R.AMOUNT_MALFORMED, "hold", (), route_request(hold=credit("1e3"))),
    Case(R.AMOUNT_MALFORMED, "hold", (), route_request(hold=credit("1.1234567"))),
    Case(R.AMOUNT_MALFORMED, "paid.amount", (), wallet.AddFunds(
        **MINE, bucket="credit", amount=credit("1"), source="a", reference="b",
        paid=msgspec.structs.replace(PAID, amount="1e3"))),
    Case(R.AMOUNT_OUT_OF_RANGE, "hold", (), route_request(hold=credit("100000000001"))),
    Case(R.AMOUNT_OUT_OF_RANGE, "difference", SETTLED, correct_charge(difference=credit("99999999999.999999"))),
    Case(R.AMOUNT_NOT_POSITIVE, "hold", (), route_request(hold=credit("0"))),
    Case(R.AMOUNT_NOT_POSITIVE, "hold", (), route_request(hold=credit("-1"))),
    Case(R.AMOUNT_NOT_POSITIVE, "hold", (route_request(),), extend_hold(hold=credit("0"))),
    Case(R.AMOUNT_NOT_POSITIVE, "charge", (route_request(**OWN),), settle_request(
        route="own-price", charge=credit("-1"))),
    Case(R.AMOUNT_NOT_POSITIVE, "charge_limit", (route_request(),), settle_request(charge_limit=credit("-1"))),
    Case(R.AMOUNT_NOT_POSITIVE, "difference", SETTLED, correct_charge(
        difference=None, usage=settle_request().usage)),
    Case(R.EXCHANGE_DOES_NOT_ADD_UP, "to_amount", (), exchange(to_amount=points("13"))),
    Case(R.EXCHANGE_DOES_NOT_ADD_UP, "to_bucket", (), exchange(to_bucket="credit", to_amount=credit("12"))),
    Case(R.REVERSAL_EXCEEDS_PAYMENT, "amount", (), reverse(credit("100.000001"))),
    Case(R.REVERSAL_EXCEEDS_PAYMENT, "amount", (reverse(credit("60")),), reverse(credit("41"), reversal_id="2")),
    Case(R.REFUND_EXCEEDS_PAID, "refund", SETTLED, refund_charge(refund=credit("1"))),
    Case(R.CORRECTION_EXCEEDS_PAID, "difference", SETTLED, correct_charge(difference=credit("-1"))),
    Case(R.CORRECTION_EXCEEDS_PAID, "difference", (*SETTLED, refund_charge(refund=credit("0.005"))),
         correct_charge(difference=credit("-0.001"))),
    Case(R.RERATING_NOT_POSSIBLE, None, SETTLED, RERATED),
    Case(R.RERATING_NOT_POSSIBLE, None, (*SETTLED, correct_charge()), RERATED),
    Case(R.RERATING_NOT_POSSIBLE, None, (route_request(**OWN), settle_request(route="own-price", charge=credit("1"))),
         RERATED),
    Case(R.INSUFFICIENT_AVAILABLE, None, (route_request(hold=credit("50")),), take_fallback(hold=cny("701"))),
    Case(R.WALLET_FROZEN, None, (FROZEN,), route_request()),
    Case(R.WALLET_FROZEN, None, (route_request(), FROZEN), extend_hold()),
    Case(R.WALLET_FROZEN, None, (FROZEN,), exchange()),
    Case(R.INSUFFICIENT_AVAILABLE, None, (), route_request(hold=credit("105.000001"))),
    Case(R.INSUFFICIENT_AVAILABLE, None, (), withdraw(credit("100.000001"))),
    Case(R.INSUFFICIENT_AVAILABLE, None, (), exchange(amount=credit("106"), to_amount=points("127"))),
    Case(R.INSUFFICIENT_AVAILABLE, None, (route_request(hold=credit("80")),), extend_hold(hold=credit("26"))),
    Case(R.INSUFFICIENT_AVAILABLE, None, (route_request(), reverse(credit("100"))), route_request("r2")),
    Case(R.INSUFFICIENT_AVAILABLE, None, (route_request(hold=credit("50")),), take_fallback(
        to_route="gpt-azure", to_bucket="credit", hold=credit("106"), rate_card=None)),
    Case(R.AVAILABLE_IS_HELD, None, (
        route_request(hold=credit("50")), route_request("r2", hold=credit("50"))), take_fallback(
        to_route="gpt-azure", to_bucket="credit", hold=credit("56"), rate_card=None)),
    Case(R.AVAILABLE_IS_HELD, None, (route_request(),), route_request("r2", hold=credit("100"))),
    Case(R.AVAILABLE_IS_HELD, None, (route_request(),), withdraw(credit("96"))),
    Case(R.AVAILABLE_IS_HELD, None, (
        route_request(hold=credit("50")), route_request("r2", hold=credit("50"))), extend_hold(hold=credit("50"))),
    Case(R.API_KEY_SPEND_LIMIT_EXCEEDED, None, (limit_key(spend=spend("credit", credit("9.999999"))),),
         route_request()),
    Case(R.API_KEY_SPEND_LIMIT_EXCEEDED, None, (limit_key(spend=spend("credit", credit("0"))),), route_request()),
    Case(R.PROJECT_SPEND_LIMIT_EXCEEDED, None, (workspace.SetProjectLimits(
        **MINE, change_id="y", project_id="web", spend_limits=spend("credit", credit("10"))),
        route_request()), route_request("r2", hold=credit("0.000001"))),
    Case(R.BALANCE_OUT_OF_RANGE, None, FULL, add("credit", credit(BIG))),
    Case(R.REQUESTS_PER_MINUTE_EXCEEDED, None, (limit_key(requests_per_minute=1), route_request()),
         route_request("r2")),
    Case(R.TOKENS_PER_MINUTE_EXCEEDED, None, (limit_key(tokens_per_minute=2799), route_request()),
         route_request("r2")),
    Case(R.TOKENS_PER_MINUTE_EXCEEDED, None, (limit_key(tokens_per_minute=1399),), route_request()),
    Case(R.PERIOD_NOT_ENDED, "period", (), close("2026-09")),
    Case(R.PERIOD_NOT_ENDED, "period", (), close("2026-09", workspace_id="platform")),
    Case(R.PERIOD_CLOSED, "closing", (close("2026-08"),), close("2026-08", closing=2)),
    Case(R.PERIOD_NOT_LAST, "period", (close("2026-08"),), close("2026-07")),
    Case(R.PERIOD_NOT_LAST, "period", (close("2026-07"), close("2026-08")), reopen("2026-07")),
    Case(R.PERIOD_NOT_CLOSED, "period", (), reopen("2026-08")),
    Case(R.PERIOD_NOT_CLOSED, "period", (close("2026-08"),), reopen("2026-08", closing=2)),
    Case(R.PERIOD_NOT_CLOSED, "closing", (), close("2026-08", closing=2)),
    Case(R.PERIOD_CLOSED_BY_PLATFORM, "period", (close("2026-08"), close("2026-08", workspace_id="platform")),
         reopen("2026-08")),
    Case(R.PERIOD_BOOKS_OPEN, "period", (), close("2026-08", workspace_id="platform")),
)  # fmt: skip

GIVEN_ELSEWHERE = {
    Refusal.OVERLOADED: "the queue of the store",
    Refusal.UNAVAILABLE: "the store without its database",
    Refusal.OUTCOME_UNKNOWN: "the store after a lost commit",
    Refusal.PERIOD_BALANCES_BEHIND: "the store, for a book whose journal is far behind",
    Refusal.COMMAND_UNPROCESSABLE: "the store, for a command that breaks its batch",
}


def test_every_refusal_has_a_case_or_an_owner() -> None:
    """A refusal is provoked here, or it is listed with who gives it; never both."""
    provoked = {case.code for case in CASES}
    assert provoked | set(GIVEN_ELSEWHERE) == set(Refusal)
    assert provoked & set(GIVEN_ELSEWHERE) == set()


def tell(case: Case, world: World) -> None:
    """Do a case's command, or decide it past the recognition of repeats."""
    if case.direct:
        book = world.book_of(case.command.workspace_id)
        decide(case.command, "tester", book, world.books["platform"].catalog, world.now)
    else:
        world.do(case.command)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code.value}-{number}" for number, case in enumerate(CASES)])
def test_a_refusal_names_what_is_wrong(case: Case) -> None:
    """The command is refused with that code and field, says so in words, and changes nothing."""
    world: World = opened().all(*case.before)
    book = world.book_of(case.command.workspace_id)
    before = book.position, dict(book.wallets), dict(book.requests), book.workspace
    with pytest.raises(Refused) as refused:
        tell(case, world)
    assert refused.value.code is case.code
    if case.field is not None:
        assert refused.value.facts["field"] == case.field
    assert str(refused.value) == refused.value.detail != ""
    assert repr(refused.value) == f"Refused({case.code.value}: {refused.value.detail})"
    assert before == (book.position, book.wallets, book.requests, book.workspace)


def test_only_seven_refusals_pass_by_themselves() -> None:
    """Repeating unchanged helps when the service was busy or behind, or holds or a minute's limit were in the way."""
    assert set(TRANSIENT) == {
        Refusal.OVERLOADED, Refusal.UNAVAILABLE, Refusal.OUTCOME_UNKNOWN, Refusal.AVAILABLE_IS_HELD,
        Refusal.REQUESTS_PER_MINUTE_EXCEEDED, Refusal.TOKENS_PER_MINUTE_EXCEEDED, Refusal.PERIOD_BALANCES_BEHIND,
    }  # fmt: skip
    assert Refused(Refusal.OVERLOADED, "busy").transient
    assert not Refused(Refusal.TEXT_INVALID, "bad").transient
