"""What each operation of this API takes and answers, in OpenAPI's words, by the operation's name."""

from typing import Any, NamedTuple

from ledger.api.checkpoint_operations import CHECKPOINT_READS, WHO
from ledger.api.command_table import COMMAND_ROUTES, COMMANDS_MAX, POSTING_SCOPES, CommandRoute
from ledger.api.naming import NAMED_THINGS
from ledger.api.problems import PROBLEM_JSON
from ledger.api.schemas import IN_BATCH, json_pattern
from ledger.checks import PATTERNS
from ledger.core.identifiers import IDENTIFIER_PATTERN, WORKSPACE_PATTERN
from ledger.operating import REPORT_MAX, RESPONSE_PATTERN
from ledger.request.commands import RequestCommand
from ledger.workspace.commands import IssueApiKey

Operation = dict[str, Any]

PROBLEM_RESPONSE = {
    "description": "A problem (RFC 9457). Its `type` leads to what it means and what helps.",
    "headers": {
        "X-Request-ID": {"schema": {"type": "string"}},
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds, where the problem passes by itself."},
    },
    "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
ALWAYS = ("400", "401", "403", "500", "503")
ON_BODIES = ("413", "415")
ON_COMMANDS = ("402", "404", "409", "422", "429")
READS = {
    "read_catalog": ("The whole catalog", None),
    "read_workspace": ("A workspace with its projects, keys and limits", "WorkspaceView"),
    "read_periods": ("The months that a book has closed, with their closing balances", "PeriodsView"),
    "read_wallets": ("All balances of a workspace, one object per bucket", "Balances"),
    "read_wallet": ("The balance in one bucket", "Balance"),
}
OPEN = {
    "livez": "Is the process alive",
    "readyz": "Does the server take requests",
    "problems": "Every kind of problem",
    "problem": "One kind of problem",
}
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The identity of this act, bare or in quotes. A repeat with the same key counts once.",
    "schema": {"type": "string", "pattern": json_pattern(IDENTIFIER_PATTERN)},
}


def content(schema: Operation) -> Operation:
    """Return a body or an answer of JSON."""
    return {"content": {"application/json": {"schema": schema}}}


def ref(name: str) -> Operation:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def problems(*statuses: str) -> Operation:
    """Return the responses that are problems."""
    return {status: {"$ref": "#/components/responses/Problem"} for status in sorted(statuses)}


def path_parameters(fields: tuple[str, ...]) -> list[Operation]:
    """Return the ids in a path."""
    patterns = {"workspace_id": WORKSPACE_PATTERN, "response_id": RESPONSE_PATTERN, **PATTERNS}
    return [
        {
            "name": field,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": json_pattern(patterns[field])},
        }
        for field in fields
    ]


def command_operation(route: CommandRoute) -> Operation:
    """Return what posting one kind of command takes and answers."""
    answer = content(ref("KeyAnswer" if route.command is IssueApiKey else "CommandAnswer"))
    summary, _, rest = (route.body.__doc__ or "").partition("\n")
    return {
        "operationId": route.kind,
        "summary": summary.strip(),
        "description": f"{rest.strip()}\n\nNeeds a key with scope `{route.scope}`.".strip(),
        "tags": [tag_of(route)],
        "parameters": path_parameters(route.path_fields) + ([KEY_PARAMETER] if route.key_field else []),
        "requestBody": {"required": True, **content(ref(route.body.__name__))},
        "responses": {
            "200": {"description": "A repeat: what was recorded the first time.", **answer},
            "201": {"description": "Recorded.", **answer},
            **problems(*ALWAYS, *ON_BODIES, *ON_COMMANDS),
        },
    }


def tag_of(route: CommandRoute) -> str:
    """Return the heading under which a command is shown: the first word of its path."""
    return "requests" if issubclass(route.command, RequestCommand) else route.path.split("/")[1]


def batch_operation() -> Operation:
    """Return what `/commands` takes and answers."""
    members = {
        route.kind: ref(route.body.__name__ + IN_BATCH)["$ref"]
        for route in COMMAND_ROUTES
        if route.command is not IssueApiKey
    }
    member = {
        "oneOf": [{"$ref": reference} for reference in members.values()],
        "discriminator": {"propertyName": "kind", "mapping": members},
    }
    body = {"type": "array", "minItems": 1, "maxItems": COMMANDS_MAX, "items": member}
    answer = content({"type": "array", "items": ref("BatchAnswer")})
    return {
        "summary": f"Post 1 to {COMMANDS_MAX} commands; each is answered in its place",
        "description": f"Each command needs its own scope: {', '.join(sorted(POSTING_SCOPES))}.",
        "tags": ["commands"],
        "requestBody": {"required": True, **content(body)},
        "responses": {
            "200": {"description": "The outcome of each command, in order.", **answer},
            **problems(*ALWAYS, *ON_BODIES),
        },
    }


def naming_operations() -> dict[str, Operation]:
    """Return what putting and erasing display names takes and answers."""
    operations: dict[str, Operation] = {}
    for kind, field, _ in NAMED_THINGS:
        words = kind.replace("_", " ")
        parameters = path_parameters(tuple(dict.fromkeys(("workspace_id", field))))
        done = {"204": {"description": "Done."}, **problems(*ALWAYS, "404")}
        operations[f"put_{kind}_name"] = {
            "summary": f"Give a {words} a name for people",
            "tags": ["names"],
            "parameters": parameters,
            "requestBody": {"required": True, **content(ref("DisplayNameBody"))},
            "responses": done | problems(*ON_BODIES),
        }
        operations[f"erase_{kind}_name"] = {
            "summary": f"Erase a {words}'s name for people",
            "tags": ["names"],
            "parameters": parameters,
            "responses": done,
        }
    return operations


def read_operation(name: str) -> Operation:
    """Return what a read of the live state answers."""
    summary, schema = READS[name]
    answer = content(ref(schema) if schema else {"type": "object"})
    fields = {"read_catalog": (), "read_wallet": ("workspace_id", "bucket")}.get(name, ("workspace_id",))
    return {
        "summary": summary,
        "description": "Needs a key with scope `read`; a workspace's own key sees that workspace alone.",
        "tags": ["reads"],
        "parameters": path_parameters(fields),
        "responses": {
            "200": {"description": summary, **answer},
            "304": {"description": "Not changed since the ETag that was named."},
            **problems(*ALWAYS, "404"),
        },
    }


def checkpoint_operation(name: str) -> Operation:
    """Return what a read of checkpoints takes and answers."""
    summary, schema, fields, more = CHECKPOINT_READS[name]
    return {
        "summary": summary,
        "description": WHO,
        "tags": ["checkpoints"],
        "parameters": [*path_parameters(fields), *more],
        "responses": {"200": {"description": summary, **content(ref(schema))}, **problems(*ALWAYS, "404")},
    }


def open_operation(name: str) -> Operation:
    """Return what a path that needs no key answers."""
    responses = {"200": {"description": "Yes.", **content({"type": "object"})}, **problems("400", "404", "500", "503")}
    return {"summary": OPEN[name], "tags": ["server"], "security": [], "responses": responses}


def query_parameter(name: str, description: str, schema: Operation) -> Operation:
    """Return an optional parameter of a query."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


REFUSED_CALLS_QUERY = [
    query_parameter(
        "workspace_id",
        "Whose calls. Without it a platform's key sees all.",
        {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)},
    ),
    query_parameter("from", "The earliest hour.", {"type": "string", "format": "date-time"}),
    query_parameter("to", "Hours that begin before this.", {"type": "string", "format": "date-time"}),
    query_parameter("cursor", "`next_cursor` of the page before.", {"type": "string"}),
]


class GatewayOperation(NamedTuple):
    """What one of a gateway's own calls says, takes and answers; no answer is 204."""

    summary: str
    body: Operation | None = None
    answer: str | None = None
    parameters: tuple[Operation, ...] = ()
    scope: str = "post"


GATEWAY = {
    "identify_caller": GatewayOperation("Whose key a token is, and what it may do", ref("TokenBody"), "Caller"),
    "hash_end_user": GatewayOperation("What stands for an end user in a book", ref("EndUserBody"), "EndUserHash"),
    "count_refused_calls": GatewayOperation(
        "Add to the calls that a gateway refused; what is sent twice counts twice",
        {"type": "array", "maxItems": REPORT_MAX, "items": ref("RefusedCalls")},
    ),
    "report_health": GatewayOperation("Replace what is known of some routes and providers", ref("Health")),
    "read_health": GatewayOperation("What gateways reported last of routes and providers", None, "Health"),
    "pin_response": GatewayOperation("Keep for 30 days which route a stored response is on", ref("PinnedResponse")),
    "read_pinned_response": GatewayOperation(
        "Which route a stored response is on",
        None,
        "PinnedResponse",
        tuple(path_parameters(("workspace_id", "response_id"))),
    ),
    "read_refused_calls": GatewayOperation(
        "How many calls were refused, by key, hour, model and reason, the latest hour first",
        None,
        "RefusedCallsPage",
        tuple(REFUSED_CALLS_QUERY),
        "read",
    ),
}


def gateway_operation(row: GatewayOperation) -> Operation:
    """Return what one of a gateway's own calls takes and answers."""
    operation: Operation = {
        "summary": row.summary,
        "description": f"Needs a key with scope `{row.scope}`.",
        "tags": ["gateway"],
        "parameters": list(row.parameters),
        "responses": {
            **({"204": {"description": "Done."}} if row.answer is None else {}),
            **({} if row.answer is None else {"200": {"description": row.summary, **content(ref(row.answer))}}),
            **problems(*ALWAYS, "404", *(ON_BODIES if row.body is not None else ())),
        },
    }
    if row.body is not None:
        operation["requestBody"] = {"required": True, **content(row.body)}
    return operation


OPERATIONS: dict[str, Operation] = {
    **{route.kind: command_operation(route) for route in COMMAND_ROUTES},
    "commands": batch_operation(),
    **naming_operations(),
    **{name: read_operation(name) for name in READS},
    **{name: checkpoint_operation(name) for name in CHECKPOINT_READS},
    **{name: gateway_operation(row) for name, row in GATEWAY.items()},
    **{name: open_operation(name) for name in OPEN},
    **{f"{name}_head": open_operation(name) for name in ("livez", "readyz")},
}
