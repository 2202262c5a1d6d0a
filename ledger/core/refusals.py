"""Every reason for which a command is refused, in the order in which they are checked.

A refusal is data a caller can branch on. Which HTTP status it becomes is the business of
`ledger.api.problems`. Refusals are never recorded: a repeated command is decided again.
"""

from enum import StrEnum
from typing import Any


class Refusal(StrEnum):
    """The closed list. Order is precedence: of two reasons that hold, the earlier one is reported.

    Only an amount is judged in two places: its text with the rest of the command as it was written, its unit,
    scale and range once the bucket is known.
    """

    # The command as it was written: the first field that is wrong is reported.
    TEXT_INVALID = "text_invalid"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    COMMAND_INCOMPLETE = "command_incomplete"
    USAGE_INVALID = "usage_invalid"
    RATE_INVALID = "rate_invalid"
    LIMIT_INVALID = "limit_invalid"

    # The service: nothing was decided, or the outcome is not known yet.
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    OUTCOME_UNKNOWN = "outcome_unknown"
    COMMAND_UNPROCESSABLE = "command_unprocessable"

    # Identity comes before every other decision: a repeat is answered as it was answered the first time.
    IDENTITY_CONFLICT = "identity_conflict"
    VALID_UNTIL_PASSED = "valid_until_passed"
    EFFECTIVE_AT_OUT_OF_RANGE = "effective_at_out_of_range"
    WORKSPACE_UNKNOWN = "workspace_unknown"
    WORKSPACE_EXISTS = "workspace_exists"

    # The life of a request.
    REQUEST_UNKNOWN = "request_unknown"
    REQUEST_EXISTS = "request_exists"
    REQUEST_VOIDED = "request_voided"
    REQUEST_SETTLED = "request_settled"
    REQUEST_RELEASED = "request_released"
    REQUEST_NOT_SETTLED = "request_not_settled"
    HOLD_NOT_EXPIRED = "hold_not_expired"
    ROUTE_NOT_OF_REQUEST = "route_not_of_request"
    ATTEMPT_ALREADY_FAILED = "attempt_already_failed"
    ATTEMPT_ALREADY_SETTLED = "attempt_already_settled"

    # What the command names must exist.
    PROJECT_UNKNOWN = "project_unknown"
    PROJECT_EXISTS = "project_exists"
    API_KEY_UNKNOWN = "api_key_unknown"
    API_KEY_EXISTS = "api_key_exists"
    API_KEY_REVOKED = "api_key_revoked"
    SCOPE_NOT_ALLOWED = "scope_not_allowed"
    SIGNING_KEY_NOT_CURRENT = "signing_key_not_current"
    BUCKET_UNKNOWN = "bucket_unknown"
    WALLET_UNKNOWN = "wallet_unknown"
    PAYMENT_UNKNOWN = "payment_unknown"
    WALLET_EXISTS = "wallet_exists"
    WALLET_FROZEN_ALREADY = "wallet_frozen_already"
    WALLET_NOT_FROZEN = "wallet_not_frozen"
    PROVIDER_UNKNOWN = "provider_unknown"
    ROUTE_UNKNOWN = "route_unknown"
    MODEL_UNKNOWN = "model_unknown"

    # The catalog itself.
    CATALOG_CONFLICT = "catalog_conflict"
    ROUTE_WITHOUT_PRICE = "route_without_price"
    MODEL_BLENDS_BUCKETS = "model_blends_buckets"
    ROUTE_SUSPENDED_ALREADY = "route_suspended_already"
    ROUTE_NOT_SUSPENDED = "route_not_suspended"

    # Periods.
    PERIOD_NOT_ENDED = "period_not_ended"
    PERIOD_CLOSED = "period_closed"
    PERIOD_NOT_LAST = "period_not_last"
    PERIOD_NOT_CLOSED = "period_not_closed"
    PERIOD_CLOSED_BY_PLATFORM = "period_closed_by_platform"
    PERIOD_BOOKS_OPEN = "period_books_open"
    PERIOD_BALANCES_BEHIND = "period_balances_behind"

    # What the request may use.
    ROUTE_NOT_OF_MODEL = "route_not_of_model"
    ROUTE_SUSPENDED = "route_suspended"
    BUCKET_NOT_OF_ROUTE = "bucket_not_of_route"
    RATE_CARD_UNKNOWN = "rate_card_unknown"
    RATE_CARD_NOT_IN_FORCE = "rate_card_not_in_force"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    BUCKET_NOT_ALLOWED = "bucket_not_allowed"
    BUCKET_CHANGE_NOT_ALLOWED = "bucket_change_not_allowed"
    MODEL_CHANGE_NOT_ALLOWED = "model_change_not_allowed"
    CHARGE_REQUIRED = "charge_required"
    CHARGE_NOT_ACCEPTED = "charge_not_accepted"

    # Money.
    UNIT_MISMATCH = "unit_mismatch"
    AMOUNT_MALFORMED = "amount_malformed"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    EXCHANGE_DOES_NOT_ADD_UP = "exchange_does_not_add_up"
    REVERSAL_EXCEEDS_PAYMENT = "reversal_exceeds_payment"
    REFUND_EXCEEDS_PAID = "refund_exceeds_paid"
    CORRECTION_EXCEEDS_PAID = "correction_exceeds_paid"
    RERATING_NOT_POSSIBLE = "rerating_not_possible"
    WALLET_FROZEN = "wallet_frozen"
    INSUFFICIENT_AVAILABLE = "insufficient_available"
    AVAILABLE_IS_HELD = "available_is_held"
    API_KEY_SPEND_LIMIT_EXCEEDED = "api_key_spend_limit_exceeded"
    PROJECT_SPEND_LIMIT_EXCEEDED = "project_spend_limit_exceeded"
    BALANCE_OUT_OF_RANGE = "balance_out_of_range"

    # The pace of a key. Last, because it passes by itself: what lasts longer is said first.
    REQUESTS_PER_MINUTE_EXCEEDED = "requests_per_minute_exceeded"
    TOKENS_PER_MINUTE_EXCEEDED = "tokens_per_minute_exceeded"


TRANSIENT = frozenset(
    {
        Refusal.OVERLOADED,
        Refusal.UNAVAILABLE,
        Refusal.OUTCOME_UNKNOWN,
        Refusal.AVAILABLE_IS_HELD,
        Refusal.PERIOD_BALANCES_BEHIND,
        Refusal.REQUESTS_PER_MINUTE_EXCEEDED,
        Refusal.TOKENS_PER_MINUTE_EXCEEDED,
    }
)
"""Refusals that the same command may survive later without anybody adding money or changing the catalog."""


class Refused(Exception):
    """A command was refused.

    `code` is the stable reason, `detail` a sentence for a person, `facts` what a program may need
    (for example `available`, `needed`, `field`).
    """

    def __init__(self, code: Refusal, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.facts = facts

    @property
    def transient(self) -> bool:
        """Whether repeating the same command unchanged may succeed."""
        return self.code in TRANSIENT

    def __repr__(self) -> str:
        return f"Refused({self.code.value}: {self.detail})"
