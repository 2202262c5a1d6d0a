"""What the reads of spend take and answer, in OpenAPI's words."""

from ledger.api.operations import ALWAYS, Operation, content, problems, query_parameter, ref
from ledger.api.schemas import LABEL_RULES, json_pattern
from ledger.core.amounts import UNIT_PATTERN
from ledger.core.identifiers import API_KEY_PATTERN, IDENTIFIER_PATTERN, NAME_PATTERN, WORKSPACE_PATTERN
from projections.api.asked import CHOICES, FILTERS
from projections.api.formats import MEDIA_TYPES, Format
from projections.api.request_operations import AT_LEAST_PARAMETER, CURSOR_PARAMETER, NEXT, either, shape_parameters
from projections.api.requests import EXPORT_MAX
from projections.api.spend import ROWS_DEFAULT, ROWS_MAX
from projections.api.spend_asked import EVERY_DEFAULT, SPEND_LABELLED
from projections.change.answers import Change
from projections.spend.answers import CustomerSpendPage, CustomerSpendRow, SpendPage, SpendRow
from projections.spend.asking import (
    CHANGE_DIMENSIONS,
    DAYS_MAX,
    DIMENSIONS,
    DIMENSIONS_MAX,
    EVERY_NAMED,
    HOURS_DAYS_MAX,
    MEASURE_NAMED,
)

__all__ = ["SPEND_TYPES", "spend_operations"]

SPEND_TYPES = (Change, CustomerSpendPage, CustomerSpendRow, SpendPage, SpendRow)
WHO = (
    "Needs a key with scope `call`, `read` or `audit`. A workspace's own key sees its own spend (a project's key that "
    "of the project), without what is the platform's alone; with `call` alone it sees what was spent with it. A key of "
    "the platform needs `read` or `audit`, and without a workspace sees all of them."
)
SPEND = (
    "Every row has one bucket and is in its unit; buckets are never added, and what providers bill stands by its own "
    "units. A request counts when it ends; failed attempts, refunds and corrections when they happen.\n\n"
    "Calls that were refused have no bucket: they stand in rows of their own, and are told by workspace, key and model "
    "alone, where every span begins with a full hour of UTC. Elsewhere they are null, which is unknown, not zero.\n\n"
    f"By the hour a period has at most {HOURS_DAYS_MAX} days, else {DAYS_MAX}. As CSV and JSON lines up to "
    f"{EXPORT_MAX} rows come at once, with the way on in `Link` and `x-next-cursor`.\n\n"
)
CHANGE = (
    "Bucket by bucket, or unit by unit of the providers' bills: terms that add up to the difference, to the last unit; "
    "the three largest reasons in words, each with the requests behind it; and six questions with their answers. Two "
    "buckets or units are never added: what moved between them is told in requests and tokens.\n\n"
    "Both periods have as many days, or are as long as each other. `measure=cost` is the platform's.\n\n"
)
WORKSPACE_PARAMETER = query_parameter(
    "workspace_id",
    "Whose spend. A key of the platform names it with what is a workspace's own: project, key, end user, run, step.",
    {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)},
)
ZONE_PARAMETER = query_parameter(
    "zone",
    "A name of the time zone database: days begin when they do there. Without it the workspace's own zone, or UTC.",
    {"type": "string"},
)
MOMENT = {"type": "string", "examples": ["2026-11-21", "2026-11-21T10:15:00Z"]}
DAY = "A day of the zone, which is its first instant, or a quarter of an hour."


def spend_operations() -> dict[str, Operation]:
    """Return what the reads of spend take and answer, by the operation's name."""
    page = content(either(SpendPage, CustomerSpendPage))["content"]
    texts = {MEDIA_TYPES[each]: {"schema": {"type": "string"}} for each in (Format.CSV, Format.JSONL)}
    return {
        "read_spend": operation(
            "What was spent, by hour or day and any dimensions",
            SPEND,
            [*spend_parameters(), AT_LEAST_PARAMETER, CURSOR_PARAMETER, limit_parameter(), *shape_parameters()[1:]],
            {"headers": NEXT, "content": {**page, **texts}},
        ),
        "read_change": operation(
            "Why charge or cost differs between two periods",
            CHANGE,
            [*change_parameters(), AT_LEAST_PARAMETER],
            content(ref(Change.__name__)),
        ),
    }


def operation(summary: str, text: str, parameters: list[Operation], answer: Operation) -> Operation:
    """Return what one read takes and answers."""
    return {
        "summary": summary,
        "description": text + WHO,
        "tags": ["spend"],
        "parameters": parameters,
        "responses": {"200": {"description": summary, **answer}, **problems(*ALWAYS, "404")},
    }


def spend_parameters() -> list[Operation]:
    """Return by what spend is told apart, and of which requests it is."""
    shapes: dict[str, Operation] = {name: {"pattern": json_pattern(pattern)} for name, (_, pattern) in FILTERS.items()}
    shapes |= {name: dict(LABEL_RULES) for name in SPEND_LABELLED}
    shapes |= {"tier": {"enum": list(CHOICES["tier"])}}
    return [
        query_parameter("every", "How long a row's span is.", {"enum": list(EVERY_NAMED), "default": EVERY_DEFAULT}),
        query_parameter(
            "by",
            f"Up to {DIMENSIONS_MAX} of {', '.join(DIMENSIONS)}, with commas between. `provider` is the platform's; "
            "`end_user` and `step` are told within one workspace.",
            {"type": "string"},
        ),
        query_parameter("from", f"{DAY} Without it seven days before `to`.", MOMENT),
        query_parameter("to", f"{DAY} The period ends before it; without it with the present day.", MOMENT),
        ZONE_PARAMETER,
        WORKSPACE_PARAMETER,
        *(
            query_parameter(name, f"Spend of this {name.replace('_', ' ')} only.", {"type": "string", **shape})
            for name, shape in shapes.items()
        ),
    ]


def limit_parameter() -> Operation:
    """Return how long a page may be."""
    schema = {"type": "integer", "minimum": 1, "maximum": EXPORT_MAX, "default": ROWS_DEFAULT}
    return query_parameter("limit", f"How many rows: at most {ROWS_MAX} as JSON.", schema)


def change_parameters() -> list[Operation]:
    """Return what may be asked of a change."""
    return [
        query_parameter(
            "measure",
            "`charge`: what is owed in each bucket's unit; `cost`: what providers bill in theirs.",
            {"enum": list(MEASURE_NAMED), "default": "charge"},
        ),
        query_parameter("bucket", "This bucket only.", {"type": "string", "pattern": json_pattern(NAME_PATTERN)}),
        query_parameter("unit", "This unit only.", {"type": "string", "pattern": json_pattern(UNIT_PATTERN)}),
        query_parameter("from", f"{DAY} Without it seven days before `to`.", MOMENT),
        query_parameter("to", f"{DAY} The period ends before it; without it with the last full day.", MOMENT),
        query_parameter("against", f"{DAY} Where the earlier period begins; without it directly before.", MOMENT),
        query_parameter("by", "What is explained value by value, too.", {"enum": list(CHANGE_DIMENSIONS)}),
        ZONE_PARAMETER,
        WORKSPACE_PARAMETER,
        query_parameter(
            "project", "This project only.", {"type": "string", "pattern": json_pattern(IDENTIFIER_PATTERN)}
        ),
        query_parameter("key", "This API key only.", {"type": "string", "pattern": json_pattern(API_KEY_PATTERN)}),
    ]
