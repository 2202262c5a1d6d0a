"""What the preview of re-rating takes and answers, in OpenAPI's words."""

from ledger.api.operations import ALWAYS, Operation, content, problems, query_parameter, ref
from ledger.api.schemas import json_pattern
from ledger.core.identifiers import IDENTIFIER_PATTERN, WORKSPACE_PATTERN
from projections.api.request_operations import AT_LEAST_PARAMETER, CURSOR_PARAMETER, limit_parameter
from projections.api.rerating import LINES_DEFAULT, LINES_MAX
from projections.api.spend_operations import DAY, MOMENT, ZONE_PARAMETER
from projections.rerating.answers import ReratePage

__all__ = ["RERATING_TYPES", "rerating_operations"]

RERATING_TYPES = (ReratePage,)
SUMMARY = "What a corrected rate card would have charged"
TEXT = (
    "Every request that began in the period and was settled on the card's route, with the charge as it stands, the "
    "charge under the card, and their difference, line by line. Nothing is written: to correct a request, post "
    "`correct_charge` with cause `rerated`, this `rate_card`, and `correction_id` as the Idempotency-Key. The "
    "ledger then works out the difference by itself, once for each card and request.\n\n"
    "One card is of one route, and a route of one bucket: no amount here is of another. A request that was charged on "
    "an estimated usage is rated anew on that estimate, at most up to the limit that was set for it. `impossible` is "
    "what a caller priced, what a person has set by hand or corrected since, what the card has no rate for, and what "
    "would give back more than was paid.\n\n"
    "Needs a key of the platform with scope `read` or `audit`."
)


def rerating_operations() -> dict[str, Operation]:
    """Return what the preview takes and answers, by the operation's name."""
    card = query_parameter(
        "rate_card",
        "The card with the corrected prices.",
        {"type": "string", "pattern": json_pattern(IDENTIFIER_PATTERN)},
    )
    moments = [
        {**query_parameter("from", f"Settled at this moment or later. {DAY}", MOMENT), "required": True},
        {**query_parameter("to", f"Settled before this moment. {DAY}", MOMENT), "required": True},
    ]
    workspace = query_parameter(
        "workspace_id", "Of this workspace only.", {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)}
    )
    parameters = [
        {**card, "required": True}, *moments, ZONE_PARAMETER, workspace, AT_LEAST_PARAMETER, CURSOR_PARAMETER,
        limit_parameter(LINES_DEFAULT, LINES_MAX),
    ]  # fmt: skip
    answer = {"description": SUMMARY, **content(ref(ReratePage.__name__))}
    return {
        "read_rerating": {
            "summary": SUMMARY,
            "description": TEXT,
            "tags": ["finance"],
            "parameters": parameters,
            "responses": {"200": answer, **problems(*ALWAYS, "404")},
        }
    }
