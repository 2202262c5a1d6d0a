"""What each operation of this API takes and answers, in OpenAPI's words, by the operation's name."""

from typing import Any

from ledger.api.command_table import COMMAND_ROUTES, COMMANDS_MAX, POSTING_SCOPES, CommandRoute
from ledger.api.naming import NAMED_THINGS
from ledger.api.problems import PROBLEM_JSON
from ledger.api.schemas import IN_BATCH, json_pattern
from ledger.checks import PATTERNS
from ledger.core.identifiers import IDENTIFIER_PATTERN, WORKSPACE_PATTERN
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
    patterns = {"workspace_id": WORKSPACE_PATTERN, **PATTERNS}
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


def open_operation(name: str) -> Operation:
    """Return what a path that needs no key answers."""
    responses = {"200": {"description": "Yes.", **content({"type": "object"})}, **problems("400", "404", "500", "503")}
    return {"summary": OPEN[name], "tags": ["server"], "security": [], "responses": responses}


OPERATIONS: dict[str, Operation] = {
    **{route.kind: command_operation(route) for route in COMMAND_ROUTES},
    "commands": batch_operation(),
    **naming_operations(),
    **{name: read_operation(name) for name in READS},
    **{name: open_operation(name) for name in OPEN},
    **{f"{name}_head": open_operation(name) for name in ("livez", "readyz")},
}
