"""What the list of actions takes and answers, in OpenAPI's words."""

from ledger.api.operations import ALWAYS, Operation, content, problems, query_parameter, ref
from ledger.api.schemas import json_pattern
from ledger.core.identifiers import API_KEY_PATTERN, WORKSPACE_PATTERN
from projections.actions.answers import Action, ActionsPage
from projections.actions.showing import ACTION_TAGS
from projections.api.formats import MEDIA_TYPES, Format
from projections.api.request_operations import CURSOR_PARAMETER, NEXT, shape_parameters

__all__ = ["ACTION_TYPES", "action_operations"]

ACTION_TYPES = (Action, ActionsPage)
SUMMARY = "Who did what, the newest first"
TEXT = (
    "Everything in the books that no gateway wrote: workspaces, projects, keys and their limits, money in and out, "
    "refunds and corrections, periods, the catalog. Each with the key that was used (`system` is the ledger's own "
    "machine), when, the reason that was given, what changed in words, and the event as it was recorded. Hashes of "
    "secrets are left out. The name of a key is what people call it now: it is kept outside the books and can be "
    "erased.\n\n"
    "A page may be shorter than asked for, where what is asked for is rare: `has_more` says whether it goes on. CSV "
    "and JSON lines are as for `/requests`.\n\n"
    "Needs a key of the platform with scope `read`, `audit` or `admin`."
)


def action_operations() -> dict[str, Operation]:
    """Return what the list takes and answers, by the operation's name."""
    texts = {MEDIA_TYPES[each]: {"schema": {"type": "string"}} for each in (Format.CSV, Format.JSONL)}
    page = content(ref(ActionsPage.__name__))["content"]
    answer = {"description": SUMMARY, "headers": NEXT, "content": {**page, **texts}}
    return {
        "read_actions": {
            "summary": SUMMARY,
            "description": TEXT,
            "tags": ["audit"],
            "parameters": [*filter_parameters(), CURSOR_PARAMETER, *shape_parameters()],
            "responses": {"200": answer, **problems(*ALWAYS, "404")},
        }
    }


def filter_parameters() -> list[Operation]:
    """Return the filters."""
    instant: Operation = {"type": "string", "format": "date-time"}
    kinds = sorted({tag.partition(".")[0] for tag in ACTION_TAGS})
    return [
        query_parameter(
            "workspace_id", "In this book only.", {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)}
        ),
        query_parameter(
            "actor", "Done with this key, or by `system`.", {"type": "string", "pattern": json_pattern(API_KEY_PATTERN)}
        ),
        query_parameter("tag", "Of this kind; a version may follow: `.v1`.", {"type": "string", "examples": kinds}),
        query_parameter("from", "Recorded at this moment or later.", instant),
        query_parameter("to", "Recorded before this moment.", instant),
    ]
