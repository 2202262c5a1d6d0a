"""What every refusal is over HTTP: its status, what it means, and what a caller does about it.

One table for the problems, the page at `/problems`, `ledger/README.md` and clients. No framework is imported.
"""

from enum import StrEnum

import msgspec

from ledger.core.refusals import TRANSIENT, Refusal


class HttpRefusal(StrEnum):
    """Reasons for which a post or a read is refused before it becomes a command."""

    BODY_MALFORMED = "body_malformed"
    FIELD_INVALID = "field_invalid"
    KEY_REPEATED = "key_repeated"
    ID_CONTRADICTS_PATH = "id_contradicts_path"
    IDEMPOTENCY_KEY_REQUIRED = "idempotency_key_required"
    COMMAND_NOT_IN_BATCH = "command_not_in_batch"
    BODY_TOO_LARGE = "body_too_large"
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported"
    NOT_AUTHENTICATED = "not_authenticated"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    DRAINING = "draining"
    INTERNAL_ERROR = "internal_error"


Code = Refusal | HttpRefusal


class Meaning(msgspec.Struct, frozen=True):
    """A refusal's HTTP status, one sentence of what it means, and what helps."""

    status: int
    meaning: str
    remedy: str


RETRY_AFTER_SECONDS: dict[Code, int] = {
    Refusal.OVERLOADED: 1,
    Refusal.UNAVAILABLE: 2,
    Refusal.OUTCOME_UNKNOWN: 1,
    Refusal.AVAILABLE_IS_HELD: 1,
    Refusal.PERIOD_BALANCES_BEHIND: 2,
    Refusal.REQUESTS_PER_MINUTE_EXCEEDED: 60,
    Refusal.TOKENS_PER_MINUTE_EXCEEDED: 60,
    HttpRefusal.DRAINING: 1,
}
"""How long a caller waits before the same again, at most where the refusal itself says `retry_after_seconds`.

Refusals that do not pass by themselves have no entry.
"""

CORRECT_IT = "Correct the field that is named."
NAME_ANOTHER = "Check the name; `GET` what exists."
STANDS = "Nothing to do: what was recorded first stands."
LAST_STATE = "Read the request's receipt; this command no longer applies."

HTTP_MEANINGS: dict[Code, Meaning] = {
    HttpRefusal.BODY_MALFORMED: Meaning(400, "The body is not JSON in UTF-8.", "Send one JSON value."),
    HttpRefusal.FIELD_INVALID: Meaning(400, "A field is unknown, missing, or of another type.", CORRECT_IT),
    HttpRefusal.KEY_REPEATED: Meaning(400, "An object has one key twice.", "State each key once."),
    HttpRefusal.ID_CONTRADICTS_PATH: Meaning(
        400, "The body names another id than the path or the Idempotency-Key.", "Leave the id out of the body."
    ),
    HttpRefusal.IDEMPOTENCY_KEY_REQUIRED: Meaning(
        400,
        "The post needs an Idempotency-Key: 1 to 128 letters, digits, dots, `_`, `:`, `-`.",
        "Mint one per act, keep it.",
    ),
    HttpRefusal.COMMAND_NOT_IN_BATCH: Meaning(
        400, "This kind is not taken in `/commands`: its answer holds a secret.", "Post it to its own path."
    ),
    HttpRefusal.BODY_TOO_LARGE: Meaning(413, "The body is larger than 1 MB.", "Split the batch."),
    HttpRefusal.CONTENT_TYPE_UNSUPPORTED: Meaning(
        415, "The body is not declared as plain JSON.", "Send `Content-Type: application/json`."
    ),
    HttpRefusal.NOT_AUTHENTICATED: Meaning(
        401, "No valid key came with the request.", "Send `Authorization: Bearer rl_live_…`."
    ),
    HttpRefusal.NOT_ALLOWED: Meaning(403, "The key lacks the scope.", "Use a key with the scope that is named."),
    HttpRefusal.NOT_FOUND: Meaning(404, "Nothing is at this path.", "See `/ledger/v1/docs`."),
    HttpRefusal.METHOD_NOT_ALLOWED: Meaning(
        405, "The path does not take this method.", "Use a method of the Allow header."
    ),
    HttpRefusal.DRAINING: Meaning(503, "The server is shutting down.", "Send the same again to another server."),
    HttpRefusal.INTERNAL_ERROR: Meaning(
        500, "The server failed; the outcome may be unknown.", "Repeat with the same identity; report the request id."
    ),
}

REFUSAL_MEANINGS: dict[Code, Meaning] = {
    Refusal.TEXT_INVALID: Meaning(400, "A text or name is empty, too long, or holds a wrong character.", CORRECT_IT),
    Refusal.NUMBER_OUT_OF_RANGE: Meaning(400, "A number is outside its bounds.", CORRECT_IT),
    Refusal.COMMAND_INCOMPLETE: Meaning(400, "Something that this command needs is missing.", "Add what is named."),
    Refusal.AMOUNT_MALFORMED: Meaning(
        400, "An amount is not plain decimal text, or has more digits than its unit.", CORRECT_IT
    ),
    Refusal.AMOUNT_NOT_POSITIVE: Meaning(422, "An amount is zero or negative where it may not be.", CORRECT_IT),
    Refusal.AMOUNT_OUT_OF_RANGE: Meaning(422, "An amount is larger than one command may name.", "Split it."),
    Refusal.USAGE_INVALID: Meaning(422, "Token parts are unknown or do not sum to their totals.", CORRECT_IT),
    Refusal.LIMIT_INVALID: Meaning(422, "Spend limits repeat or are too many.", CORRECT_IT),
    Refusal.OVERLOADED: Meaning(503, "Too many commands are waiting; nothing was decided.", "Repeat after a pause."),
    Refusal.UNAVAILABLE: Meaning(503, "The database does not answer; nothing was decided.", "Repeat after a pause."),
    Refusal.OUTCOME_UNKNOWN: Meaning(
        503, "It is not known whether the command was recorded.", "Repeat with the same identity: it counts once."
    ),
    Refusal.COMMAND_UNPROCESSABLE: Meaning(422, "The database refuses this very command.", "Report the request id."),
    Refusal.IDENTITY_CONFLICT: Meaning(409, "The identity was used before with other content.", STANDS),
    Refusal.VALID_UNTIL_PASSED: Meaning(422, "The command came later than its valid_until.", "Decide anew."),
    Refusal.EFFECTIVE_AT_OUT_OF_RANGE: Meaning(422, "effective_at lies in the future.", "Set the caller's clock."),
    Refusal.WORKSPACE_UNKNOWN: Meaning(404, "There is no such workspace.", NAME_ANOTHER),
    Refusal.WORKSPACE_EXISTS: Meaning(409, "The workspace exists.", STANDS),
    Refusal.PROJECT_UNKNOWN: Meaning(404, "The workspace has no such project.", NAME_ANOTHER),
    Refusal.PROJECT_EXISTS: Meaning(409, "The project exists.", STANDS),
    Refusal.API_KEY_UNKNOWN: Meaning(404, "The workspace has no such key.", NAME_ANOTHER),
    Refusal.API_KEY_EXISTS: Meaning(409, "The key exists.", STANDS),
    Refusal.API_KEY_REVOKED: Meaning(403, "The key named in the command is revoked.", "Issue another key."),
    Refusal.SCOPE_NOT_ALLOWED: Meaning(
        403, "The key named in the command may not do or have this.", "Use a key that may."
    ),
    Refusal.SIGNING_KEY_NOT_CURRENT: Meaning(
        409, "Another key signs checkpoints now.", "State in `replaces` the key that `current` names."
    ),
    Refusal.BUCKET_UNKNOWN: Meaning(404, "There is no such bucket.", NAME_ANOTHER),
    Refusal.WALLET_UNKNOWN: Meaning(404, "The workspace has no wallet in this bucket.", "Open the wallet first."),
    Refusal.PAYMENT_UNKNOWN: Meaning(404, "No such payment was added to this bucket.", NAME_ANOTHER),
    Refusal.WALLET_EXISTS: Meaning(409, "The wallet is open already.", STANDS),
    Refusal.WALLET_FROZEN_ALREADY: Meaning(409, "The wallet is frozen already.", STANDS),
    Refusal.WALLET_NOT_FROZEN: Meaning(409, "The wallet is not frozen.", STANDS),
    Refusal.PROVIDER_UNKNOWN: Meaning(404, "There is no such provider.", NAME_ANOTHER),
    Refusal.ROUTE_UNKNOWN: Meaning(404, "There is no such route.", NAME_ANOTHER),
    Refusal.MODEL_UNKNOWN: Meaning(404, "There is no such model.", NAME_ANOTHER),
    Refusal.RATE_CARD_UNKNOWN: Meaning(404, "There is no such rate card in this bucket.", NAME_ANOTHER),
    Refusal.CATALOG_CONFLICT: Meaning(409, "The catalog says otherwise, and this never changes.", "Use a new name."),
    Refusal.RATE_INVALID: Meaning(422, "A rate or a rate card is malformed.", CORRECT_IT),
    Refusal.ROUTE_WITHOUT_PRICE: Meaning(422, "The route has no rate card.", "Publish its rate card first."),
    Refusal.MODEL_BLENDS_BUCKETS: Meaning(
        422, "The model's routes settle in several buckets.", "Set allow_bucket_change if that is meant."
    ),
    Refusal.ROUTE_SUSPENDED_ALREADY: Meaning(409, "The route is suspended already.", STANDS),
    Refusal.ROUTE_NOT_SUSPENDED: Meaning(409, "The route is not suspended.", STANDS),
    Refusal.PERIOD_NOT_ENDED: Meaning(422, "The month has not ended yet.", "Close it when it has ended."),
    Refusal.PERIOD_CLOSED: Meaning(409, "The month is closed already, by another closing.", STANDS),
    Refusal.PERIOD_NOT_LAST: Meaning(409, "A later month is closed.", "Reopen the later month first."),
    Refusal.PERIOD_NOT_CLOSED: Meaning(409, "The month is not closed, or not by this closing.", "`GET` the periods."),
    Refusal.PERIOD_CLOSED_BY_PLATFORM: Meaning(
        409, "The platform has closed the month.", "Reopen the platform's month first."
    ),
    Refusal.PERIOD_BOOKS_OPEN: Meaning(
        409, "Not every book has closed the month.", "Close it in the books that are named."
    ),
    Refusal.PERIOD_BALANCES_BEHIND: Meaning(
        503, "The journal is too far behind the book to state its closing balances.", "Repeat after a pause."
    ),
    Refusal.REQUEST_UNKNOWN: Meaning(404, "The request was never routed.", "Route it first."),
    Refusal.REQUEST_EXISTS: Meaning(409, "The request exists.", "Mint a new request_id."),
    Refusal.REQUEST_VOIDED: Meaning(409, "The request was released before its hold arrived.", LAST_STATE),
    Refusal.REQUEST_SETTLED: Meaning(409, "The request is settled.", LAST_STATE),
    Refusal.REQUEST_RELEASED: Meaning(409, "The request's hold was given back.", LAST_STATE),
    Refusal.REQUEST_NOT_SETTLED: Meaning(409, "The request is not settled.", "Settle it first."),
    Refusal.HOLD_NOT_EXPIRED: Meaning(409, "The hold is still valid.", "Wait, or release it."),
    Refusal.ATTEMPT_ALREADY_FAILED: Meaning(409, "The attempt was recorded as failed.", "Number attempts anew."),
    Refusal.ATTEMPT_ALREADY_SETTLED: Meaning(409, "The attempt was settled.", "Number attempts anew."),
    Refusal.ROUTE_NOT_OF_MODEL: Meaning(422, "The route is no target of the model.", "Read the catalog again."),
    Refusal.ROUTE_NOT_OF_REQUEST: Meaning(422, "The request is on another route.", "Record the fallback first."),
    Refusal.ROUTE_SUSPENDED: Meaning(409, "The route takes no new requests.", "Choose another route."),
    Refusal.RATE_CARD_NOT_IN_FORCE: Meaning(422, "Another rate card is in force.", "Read the catalog again."),
    Refusal.BUCKET_NOT_OF_ROUTE: Meaning(422, "The route settles in another bucket.", "Name the route's bucket."),
    Refusal.UNIT_MISMATCH: Meaning(422, "An amount is in another unit than its bucket.", "State the bucket's unit."),
    Refusal.MODEL_NOT_ALLOWED: Meaning(403, "The key may not use this model.", "Change the key's limits."),
    Refusal.BUCKET_NOT_ALLOWED: Meaning(403, "The key may not use this bucket.", "Change the key's limits."),
    Refusal.BUCKET_CHANGE_NOT_ALLOWED: Meaning(
        403, "A fallback into another bucket was not allowed on model and key.", "Allow it on both, or stay."
    ),
    Refusal.MODEL_CHANGE_NOT_ALLOWED: Meaning(
        403, "A direct route falls back only to the same upstream model.", "Allow it on the model, or stay."
    ),
    Refusal.CHARGE_REQUIRED: Meaning(422, "The route is priced by the caller.", "State the charge."),
    Refusal.CHARGE_NOT_ACCEPTED: Meaning(422, "The ledger prices this route.", "Leave the charge out."),
    Refusal.EXCHANGE_DOES_NOT_ADD_UP: Meaning(
        422, "The amounts do not agree with rate and rounding.", "State what `expected` says."
    ),
    Refusal.REVERSAL_EXCEEDS_PAYMENT: Meaning(422, "More than is left of the payment.", "Reverse at most `left`."),
    Refusal.REFUND_EXCEEDS_PAID: Meaning(422, "More than was paid and not given back.", "Refund at most `left`."),
    Refusal.CORRECTION_EXCEEDS_PAID: Meaning(422, "More than was paid and not given back.", "Correct by less."),
    Refusal.RERATING_NOT_POSSIBLE: Meaning(
        422, "No rate card can price what was charged: `why` says the reason.", "Correct by a difference, or a usage."
    ),
    Refusal.WALLET_FROZEN: Meaning(409, "The wallet is frozen.", "An admin can unfreeze it."),
    Refusal.BALANCE_OUT_OF_RANGE: Meaning(422, "The balance would leave its range.", "Use a smaller amount."),
    Refusal.INSUFFICIENT_AVAILABLE: Meaning(402, "The wallet does not cover the amount.", "Add funds."),
    Refusal.AVAILABLE_IS_HELD: Meaning(
        429, "Only open holds are in the way; they settle by themselves.", "Repeat after a pause."
    ),
    Refusal.API_KEY_SPEND_LIMIT_EXCEEDED: Meaning(
        402, "The key's spend limit for the period is reached.", "Raise the limit, or wait for the next period."
    ),
    Refusal.PROJECT_SPEND_LIMIT_EXCEEDED: Meaning(
        402, "The project's spend limit for the period is reached.", "Raise the limit, or wait for the next period."
    ),
    Refusal.REQUESTS_PER_MINUTE_EXCEEDED: Meaning(
        429, "The key's requests for this minute are used up.", "Repeat after `retry_after_seconds`."
    ),
    Refusal.TOKENS_PER_MINUTE_EXCEEDED: Meaning(
        429, "The key's tokens for this minute are used up.", "Repeat after `retry_after_seconds`."
    ),
}

_ROWS = {**HTTP_MEANINGS, **REFUSAL_MEANINGS}
MEANINGS: dict[Code, Meaning] = {code: _ROWS[code] for code in (*HttpRefusal, *Refusal)}
"""Every refusal, in order of precedence. Without a row for each of them the API does not load."""


def is_transient(code: Code) -> bool:
    """Return whether the same again may succeed without anybody changing anything."""
    return code in TRANSIENT or code is HttpRefusal.DRAINING
