"""What statements, the funding tie-out and margins take and answer, in OpenAPI's words."""

from typing import Any

from ledger.api.operations import ALWAYS, Operation, content, path_parameters, problems, query_parameter, ref
from ledger.api.schemas import json_pattern
from ledger.core.identifiers import WORKSPACE_PATTERN
from projections.api.formats import FORMATS as LISTING_FORMATS
from projections.api.formats import MEDIA_TYPES as LISTING_TYPES
from projections.api.formats import Format
from projections.api.request_operations import AT_LEAST_PARAMETER
from projections.api.statements import FORMATS, MEDIA_TYPES
from projections.funding.answers import FundingPage
from projections.margin.answers import MarginPage
from projections.spend.asking import DAYS_MAX
from projections.statements.answers import Statement
from projections.statements.asking import MONTH_PATTERN

__all__ = ["FINANCE_TYPES", "finance_operations"]

FINANCE_TYPES = (FundingPage, MarginPage, Statement)
PLATFORM_ONLY = "Needs a key of the platform with scope `read` or `audit`."
STATEMENT = (
    "Opening balance, money in and out, charges by project and model, corrections and refunds, closing balance: they "
    "tie out to the last unit, or `problems` says what does not. A charge is what was paid. The month is one of the "
    "workspace's own time zone, and the whole holds for one position of its book.\n\n"
    "It is no tax invoice. What was paid is a memo in the currency of the payment and is added to nothing.\n\n"
    "Needs a key with scope `read` or `audit`; a workspace's own key sees its own, one of a project is refused."
)
FUNDING = (
    "Bucket by bucket and source by source: what the account `funding.<source>` says, what the events say, and the "
    "difference, which is zero. Memos of payments have totals by currency; they are added to nothing.\n\n"
    "Listed are events without a memo or an external id, and external ids that several payments, or several "
    f"withdrawals, of a source have. A period has at most {DAYS_MAX} days.\n\n"
)
MARGIN = (
    "Route by route what customers owe and paid, in the bucket's unit, beside what the provider bills, in its own: two "
    "columns, never added or subtracted. Where the rate card that priced it states how many units of the bucket one "
    "unit of the bill is worth, costs are restated at that rate too, and the card is named; else that is null.\n\n"
    f"A period has at most {DAYS_MAX} days. As CSV there is a row for each rate card.\n\n"
)
MOMENT = {"type": "string", "examples": ["2026-11-01", "2026-11-01T10:15:00Z"]}
DAY = "A day of the zone, which is its first instant, or a quarter of an hour."
PERIOD_PARAMETERS = [
    query_parameter("from", f"{DAY} Without it seven days before `to`.", MOMENT),
    query_parameter("to", f"{DAY} The period ends before it; without it with the present day.", MOMENT),
    query_parameter(
        "zone",
        "A name of the time zone database: days begin when they do there. Without it the workspace's own zone, or UTC.",
        {"type": "string"},
    ),
    query_parameter(
        "workspace_id",
        "Of this workspace only.",
        {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)},
    ),
]
EXCEL_PARAMETER = query_parameter("safe", "With format=csv: for a spreadsheet.", {"type": "string", "enum": ["excel"]})


def finance_operations() -> dict[str, Operation]:
    """Return what these reads take and answer, by the operation's name."""
    return {
        "read_month_statement": operation(
            "A month of a wallet: what was there, came in, was charged, and is left",
            STATEMENT,
            [*statement_path(), format_parameter(FORMATS), EXCEL_PARAMETER, AT_LEAST_PARAMETER],
            texts(Statement, [MEDIA_TYPES["csv"], MEDIA_TYPES["html"]]),
        ),
        "read_funding": operation(
            "The funding tie-out: accounts of sources of payments against their events",
            FUNDING + PLATFORM_ONLY,
            [*PERIOD_PARAMETERS, AT_LEAST_PARAMETER],
            content(ref(FundingPage.__name__)),
        ),
        "read_margin_page": operation(
            "Margin per route: charges beside costs, each in its own unit",
            MARGIN + PLATFORM_ONLY,
            [*PERIOD_PARAMETERS, format_parameter(LISTING_FORMATS), EXCEL_PARAMETER, AT_LEAST_PARAMETER],
            texts(MarginPage, [LISTING_TYPES[Format.CSV], LISTING_TYPES[Format.JSONL]]),
        ),
    }


def statement_path() -> list[Operation]:
    """Return what stands in a statement's path."""
    month = {"type": "string", "pattern": json_pattern(MONTH_PATTERN), "examples": ["2026-10"]}
    return [
        *path_parameters(("workspace_id", "bucket")),
        {"name": "month", "in": "path", "required": True, "schema": month},
    ]


def format_parameter(names: tuple[str, ...]) -> Operation:
    """Return in which format an answer may be."""
    schema = {"type": "string", "enum": list(names)}
    return query_parameter("format", "In which format; without it the Accept header says.", schema)


def texts(answer: type[Any], media_types: list[str]) -> Operation:
    """Return an answer in JSON and as text of other types."""
    others = {media_type: {"schema": {"type": "string"}} for media_type in media_types}
    return {"content": {**content(ref(answer.__name__))["content"], **others}}


def operation(summary: str, text: str, parameters: list[Operation], answer: Operation) -> Operation:
    """Return what one read takes and answers."""
    return {
        "summary": summary,
        "description": text,
        "tags": ["finance"],
        "parameters": parameters,
        "responses": {"200": {"description": summary, **answer}, **problems(*ALWAYS, "404")},
    }
