"""Checks of a command's texts and numbers that need nothing but the command itself.

They run once at the door, outside every lock, so that a decision can rely on well-formed names. What a name
refers to, and every amount's unit and scale, is the decision's business.
"""

from collections.abc import Callable
from typing import Any, cast

from msgspec import inspect

from ledger.catalog import commands as catalog
from ledger.core import identifiers as ids
from ledger.core.amounts import UNIT_PATTERN, VALUE_PATTERN, StatedAmount
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import check_rate_card, parse_rate
from ledger.pricing.usage import ModelUsage, check_usage
from ledger.request import commands as request
from ledger.request.events import Estimate, Why
from ledger.wallet import commands as wallet
from ledger.wallet.events import Paid
from ledger.workspace import commands as workspace

SKIPPED_MAX = 64
OTHERS_MAX = 64
TERMS_MAX = 8
TARGETS_MAX = 32
PERIODS = frozenset({"day", "month"})
NAMES_MAX = 256
REASON_REQUIRED = (
    wallet.PostAdjustment,
    wallet.ReverseFunds,
    wallet.FreezeWallet,
    wallet.UnfreezeWallet,
    wallet.SetCreditLimit,
    catalog.SuspendRoute,
    catalog.ResumeRoute,
    request.RefundCharge,
    request.CorrectCharge,
    workspace.RevokeApiKey,
    workspace.ReopenPeriod,
)
"""Acts of a person that take money, permission or service away: the book says why."""

PATTERNS: dict[str, Any] = {
    "request_id": ids.IDENTIFIER_PATTERN,
    "project_id": ids.IDENTIFIER_PATTERN,
    "api_key_id": ids.API_KEY_PATTERN,
    "bucket": ids.NAME_PATTERN,
    "to_bucket": ids.NAME_PATTERN,
    "route": ids.NAME_PATTERN,
    "from_route": ids.NAME_PATTERN,
    "to_route": ids.NAME_PATTERN,
    "provider": ids.NAME_PATTERN,
    "source": ids.NAME_PATTERN,
    "model": ids.MODEL_PATTERN,
    "reported_model": ids.MODEL_PATTERN,
    "upstream_model": ids.MODEL_PATTERN,
    "rate_card": ids.IDENTIFIER_PATTERN,
    "reference": ids.IDENTIFIER_PATTERN,
    "reversal_id": ids.IDENTIFIER_PATTERN,
    "refund_id": ids.IDENTIFIER_PATTERN,
    "correction_id": ids.IDENTIFIER_PATTERN,
    "grant_id": ids.IDENTIFIER_PATTERN,
    "adjustment_id": ids.IDENTIFIER_PATTERN,
    "exchange_id": ids.IDENTIFIER_PATTERN,
    "change_id": ids.IDENTIFIER_PATTERN,
    "period": ids.PERIOD_PATTERN,
    "key_id": ids.SIGNING_KEY_PATTERN,
    "replaces": ids.SIGNING_KEY_PATTERN,
    "public_key": ids.PUBLIC_KEY_PATTERN,
    "name": ids.SIGNER_PATTERN,
    "end_user": ids.HASH_PATTERN,
    "secret_hash": ids.HASH_PATTERN,
    "digest": ids.HASH_PATTERN,
    "unit": UNIT_PATTERN,
    "cost_unit": UNIT_PATTERN,
}
"""Fields that must have a pattern wherever they appear and are not None."""

LABELS = frozenset({"workflow", "run", "step", "depth"})
TEXTS = {"why": ids.TEXT_LENGTH_MAX, "symbol": 8, "api_base": 200, "time_zone": 64}


def check_command(command: Command) -> None:
    """Refuse a command with a missing name, a malformed text or a number out of range."""
    ids.check_pattern(command.workspace_id, ids.WORKSPACE_PATTERN, "workspace_id")
    if command.trace_id is not None:
        ids.check_text(command.trace_id, "trace_id", ids.LABEL_LENGTH_MAX)
    if command.reason is not None:
        check_words(command.reason, "reason", ids.TEXT_LENGTH_MAX)
    elif isinstance(command, REASON_REQUIRED):
        raise Refused(Refusal.COMMAND_INCOMPLETE, "a reason is required", field="reason")
    for name in ("effective_at", "valid_until"):
        instant = getattr(command, name)
        if instant is not None and instant.utcoffset() is None:
            raise Refused(Refusal.TEXT_INVALID, f"{name} has no time zone", field=name)
    for check, field in plan_of(type(command)):
        value = getattr(command, field)
        if value is not None:
            check(value, field)


Check = Callable[[Any, str], Any]
_plans: dict[type[Command], tuple[tuple[Check, str], ...]] = {}


def plan_of(kind: type[Command]) -> tuple[tuple[Check, str], ...]:
    """Return the (check, field) pairs of one kind of command, found once by the names of its fields."""
    plan = _plans.get(kind)
    if plan is None:
        fields = [name for name in kind.__struct_fields__ if name not in Command.__struct_fields__]
        types = {field.name: field.type for field in cast(inspect.StructType, inspect.type_info(kind)).fields}
        checks = ((check_of(field) or check_of_type(types[field]), field) for field in fields)
        plan = tuple((check, field) for check, field in checks if check is not None)
        _plans[kind] = plan
    return plan


def check_of(field: str) -> Check | None:
    """Return the check that belongs to a field's name, or None where its type says everything."""
    pattern = PATTERNS.get(field)
    if pattern is not None:
        return lambda text, name: ids.check_pattern(text, pattern, name)
    if field in LABELS:
        return ids.check_label
    checks: dict[str, Check] = {
        "why": check_why,
        "usage": check_usage,
        "others": check_others,
        "terms": check_terms,
        "estimate": check_estimate,
        "paid": check_paid,
        "limits": check_limits,
        "spend_limits": check_spend,
        "targets": check_targets,
        "scopes": check_scopes,
        "card": lambda card, _: check_rate_card(card),
        "rate": lambda rate, _: parse_rate(rate),
        **dict.fromkeys(AMOUNT_FIELDS, check_stated),
        **dict.fromkeys(("symbol", "api_base", "time_zone"), check_short),
    }
    return checks.get(field)


def check_of_type(kind: inspect.Type) -> Check | None:
    """Return the check of a number with bounds or of a closed list, which else only a decoder enforces."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for each in kinds:
        if isinstance(each, inspect.IntType):
            minimum, maximum = each.ge, each.le
            if minimum is None or maximum is None:
                raise TypeError("a number of a command needs bounds")
            return lambda number, name: ids.check_count(number, name, minimum, maximum)
        if isinstance(each, inspect.LiteralType):
            allowed = frozenset(each.values)
            return lambda text, name: check_member(text, name, allowed)
    return None


def check_member(text: str, field: str, allowed: frozenset[Any]) -> None:
    """Refuse a text that a closed list does not have."""
    if text not in allowed:
        raise Refused(Refusal.TEXT_INVALID, f"{field} is none of its closed list", field=field)


def check_words(text: str, field: str, length_max: int) -> None:
    """Refuse a text of a person's that says nothing, holds control characters or is too long."""
    if not text.strip():
        raise Refused(Refusal.TEXT_INVALID, f"{field} is empty", field=field)
    ids.check_text(text, field, length_max)


AMOUNT_FIELDS = (
    "hold", "charge", "charge_limit", "provider_cost", "refund", "difference", "credit_limit", "amount", "to_amount",
)  # fmt: skip


def check_stated(amount: StatedAmount, field: str) -> None:
    """Refuse an amount that is not plain decimal text with a unit's code."""
    if VALUE_PATTERN.match(amount.value) is None:
        raise Refused(
            Refusal.AMOUNT_MALFORMED,
            f"{field} must be decimal digits such as '1.25': no exponent, no leading zeros, no spaces",
            field=field,
        )
    if UNIT_PATTERN.match(amount.unit) is None:
        raise Refused(Refusal.TEXT_INVALID, f"the unit of {field} must be 2 to 24 capital letters", field=field)


def check_short(text: str, field: str) -> None:
    """Refuse a short text with control characters or beyond its length."""
    ids.check_text(text, field, TEXTS[field])


def check_why(why: Why | str, field: str) -> None:
    """Refuse a reason without words, or with too many skipped candidates."""
    if isinstance(why, str):
        check_words(why, field, ids.TEXT_LENGTH_MAX)
        return
    check_words(why.rule, f"{field}.rule", 200)
    ids.check_count(len(why.skipped), f"{field}.skipped", 0, SKIPPED_MAX)
    for skipped in why.skipped:
        ids.check_pattern(skipped.route, ids.NAME_PATTERN, f"{field}.skipped.route")
        check_words(skipped.reason, f"{field}.skipped.reason", 200)


def check_estimate(estimate: Estimate, field: str) -> None:
    """Refuse estimates out of range."""
    ids.check_count(estimate.input_tokens, f"{field}.input_tokens", 0, 10**12)
    ids.check_count(estimate.output_tokens, f"{field}.output_tokens", 0, 10**12)


def check_others(others: tuple[ModelUsage, ...], field: str) -> None:
    """Refuse usages of other models that are malformed or too many."""
    ids.check_count(len(others), field, 0, OTHERS_MAX)
    for other in others:
        ids.check_pattern(other.model, ids.MODEL_PATTERN, f"{field}.model")
        check_usage(other.usage, f"{field}.usage")


def check_terms(terms: tuple[str, ...], field: str) -> None:
    """Refuse terms that are too many, empty or too long."""
    ids.check_count(len(terms), field, 0, TERMS_MAX)
    for term in terms:
        ids.check_label(term, field)


def check_paid(paid: Paid, field: str) -> None:
    """Refuse a payment memo with malformed amounts, currency or id."""
    for name, text in (("amount", paid.amount), ("fee", paid.fee)):
        if text is not None and VALUE_PATTERN.match(text) is None:
            raise Refused(Refusal.AMOUNT_MALFORMED, f"{field}.{name} must be decimal digits", field=f"{field}.{name}")
    ids.check_pattern(paid.currency, ids.CURRENCY_PATTERN, f"{field}.currency")
    if paid.external_id is not None:
        ids.check_text(paid.external_id, f"{field}.external_id", 128)


def check_limits(limits: workspace.StatedKeyLimits, field: str) -> None:
    """Refuse key limits with malformed names or amounts, or endless lists."""
    check_spend(limits.spend, f"{field}.spend")
    for number_of, number in (
        ("requests_per_minute", limits.requests_per_minute),
        ("tokens_per_minute", limits.tokens_per_minute),
    ):
        if number is not None:
            ids.check_count(number, f"{field}.{number_of}", 1, 10**9)
    for name, pattern, values in (
        ("models", ids.MODEL_PATTERN, limits.models or ()),
        ("buckets", ids.NAME_PATTERN, limits.buckets or ()),
    ):
        ids.check_count(len(values), f"{field}.{name}", 0, NAMES_MAX)
        for value in values:
            ids.check_pattern(value, pattern, f"{field}.{name}")


def check_spend(limits: tuple[workspace.StatedSpendLimit, ...], field: str) -> None:
    """Refuse spend limits with malformed buckets or amounts."""
    for limit in limits:
        ids.check_pattern(limit.bucket, ids.NAME_PATTERN, f"{field}.bucket")
        check_member(limit.period, f"{field}.period", PERIODS)
        check_stated(limit.limit, f"{field}.limit")


def check_scopes(scopes: tuple[str, ...], field: str) -> None:
    """Refuse a scope that is none."""
    for scope in scopes:
        check_member(scope, field, frozenset(workspace.SCOPES))


def check_targets(targets: tuple[str, ...], field: str) -> None:
    """Refuse a model without targets, with too many, or with one named twice."""
    ids.check_count(len(targets), field, 1, TARGETS_MAX)
    for target in targets:
        ids.check_pattern(target, ids.NAME_PATTERN, field)
    if len(set(targets)) < len(targets):
        raise Refused(Refusal.TEXT_INVALID, f"{field} names a route twice", field=field)
