"""What the reads of the route ledger take and answer, in OpenAPI's words."""

from typing import Any

from ledger.api.operations import ALWAYS, Operation, content, problems, query_parameter, ref
from ledger.api.schemas import LABEL_RULES, json_pattern
from ledger.core.identifiers import WORKSPACE_PATTERN
from projections.api.asked import CHOICES, FILTERS, LABELLED
from projections.api.formats import FORMATS, MEDIA_TYPES, Format
from projections.api.parameters import AT_LEAST, LIMIT_DEFAULT, LIMIT_MAX, POSITION_MAX
from projections.api.requests import EXPORT_MAX
from projections.route_ledger.answers import (
    CustomerRequestLine,
    CustomerRequestsPage,
    CustomerRunView,
    RequestLine,
    RequestsPage,
    RunView,
)

__all__ = ["LINE_TYPES", "request_operations"]

LINE_TYPES = (CustomerRequestLine, CustomerRequestsPage, CustomerRunView, RequestLine, RequestsPage, RunView)
WHO = (
    "Needs a key with scope `call`, `read` or `audit`. A workspace's own key sees its own requests (a project's key "
    "those of the project), without what is the platform's alone; with `call` alone it sees the requests that were "
    "made with it. A key of the platform needs `read` or `audit`."
)
MEANT = {
    "project": "Requests of this project.",
    "key": "Requests that were made with this API key.",
    "end_user": "Requests of this end user, by the keyed hash that the book has.",
    "workflow": "Requests of this workflow.",
    "run": "Requests of this run.",
    "model": "Requests for this model.",
    "route": "Requests that are on this route, or ended there.",
    "provider": "Requests on a route of this provider. For the platform only.",
    "bucket": "Requests that settle in this bucket.",
    "tier": "Requests on a route of this tier.",
    "status": "Requests in this status.",
    "fallback": "Requests that did, or did not, move to another route.",
}
LISTING = (
    "Fields are those of one request each; every amount is in the unit that stands beside it, and buckets are never "
    "added. Without a workspace a key of the platform sees all of them. A page may be shorter than asked for, where "
    "what is asked for is rare: `has_more` says whether it goes on.\n\n"
    f"As CSV and JSON lines up to {EXPORT_MAX} requests come at once, with the way on in `Link` and `x-next-cursor`. "
    "CSV is RFC 4180 with a header row. Cells are written as they are; `safe=excel` puts an apostrophe before texts "
    "that a spreadsheet would take for a formula.\n\n"
)
RUN = (
    "Live while requests are open: they show what they hold. Totals stand by bucket and by route in it and are never "
    "of two buckets. Requests come in order of time.\n\n"
)
NEXT = {
    "Link": {"schema": {"type": "string"}, "description": 'The next page: `<…>; rel="next"`.'},
    "x-next-cursor": {"schema": {"type": "string"}, "description": "The cursor of the next page."},
}
AT_LEAST_PARAMETER = query_parameter(
    AT_LEAST,
    "Answer only from this position of the workspace's book on: waits up to 5 s for it, then 503.",
    {"type": "integer", "minimum": 0, "maximum": POSITION_MAX},
)
WORKSPACE_PARAMETER = query_parameter(
    "workspace_id",
    "Whose requests. A key of the platform names it with all that is a workspace's own: project, key, end user, run.",
    {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)},
)
CURSOR_PARAMETER = query_parameter("cursor", "`next_cursor` of the page before.", {"type": "string"})


def request_operations() -> dict[str, Operation]:
    """Return what the reads of the route ledger take and answer, by the operation's name."""
    return {
        "read_requests": operation(
            "The route ledger: requests, the latest first",
            LISTING,
            [WORKSPACE_PARAMETER, *filter_parameters(), AT_LEAST_PARAMETER, CURSOR_PARAMETER, *shape_parameters()],
            listing_answer(),
        ),
        "read_run": operation(
            "A run of a workflow: its requests, with totals per bucket and route",
            RUN,
            [
                {**query_parameter("run", "Which run.", {"type": "string", **LABEL_RULES}), "required": True},
                WORKSPACE_PARAMETER,
                AT_LEAST_PARAMETER,
                CURSOR_PARAMETER,
                limit_parameter(LIMIT_DEFAULT, LIMIT_MAX),
            ],
            content(either(RunView, CustomerRunView)),
        ),
    }


def operation(summary: str, text: str, parameters: list[Operation], answer: Operation) -> Operation:
    """Return what one read takes and answers."""
    return {
        "summary": summary,
        "description": text + WHO,
        "tags": ["route ledger"],
        "parameters": parameters,
        "responses": {"200": {"description": summary, **answer}, **problems(*ALWAYS, "404")},
    }


def listing_answer() -> Operation:
    """Return the listing in each of its formats."""
    texts = {MEDIA_TYPES[each]: {"schema": {"type": "string"}} for each in (Format.CSV, Format.JSONL)}
    page = content(either(RequestsPage, CustomerRequestsPage))["content"]
    return {"headers": NEXT, "content": {**page, **texts}}


def either(*types: type[Any]) -> Operation:
    """Return the schema of an answer of which the platform gets more: one of these."""
    return {"anyOf": [ref(each.__name__) for each in types]}


def filter_parameters() -> list[Operation]:
    """Return the filters, each with what its values look like."""
    shapes: dict[str, Operation] = {name: {"pattern": json_pattern(pattern)} for name, (_, pattern) in FILTERS.items()}
    shapes |= {name: dict(LABEL_RULES) for name in LABELLED}
    shapes |= {name: {"enum": list(choices)} for name, choices in CHOICES.items()}
    found = [query_parameter(name, MEANT[name], {"type": "string", **shape}) for name, shape in shapes.items()]
    instant: Operation = {"type": "string", "format": "date-time"}
    return [
        *found,
        query_parameter("from", "Requests that began at this moment or later.", instant),
        query_parameter("to", "Requests that began before this moment.", instant),
    ]


def shape_parameters() -> list[Operation]:
    """Return what tells the length and the format of a listing."""
    return [
        limit_parameter(LIMIT_DEFAULT, EXPORT_MAX, f"At most {LIMIT_MAX} as JSON; CSV and JSON lines begin with all."),
        query_parameter(
            "format", "In which format; without it the Accept header says.", {"type": "string", "enum": list(FORMATS)}
        ),
        query_parameter("safe", "With format=csv: for a spreadsheet.", {"type": "string", "enum": ["excel"]}),
    ]


def limit_parameter(default: int, maximum: int, more: str = "") -> Operation:
    """Return how long a page may be."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return query_parameter("limit", f"How many at most. {more}".strip(), schema)
