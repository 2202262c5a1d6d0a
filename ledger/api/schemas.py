"""JSON Schemas of bodies and answers, as strict as the code that reads them.

The types say most of it; patterns and lengths come from the very tables by which commands are checked.
"""

from copy import deepcopy
from typing import Any

import msgspec

from ledger.api.answers import Balance, Balances, CommandAnswer, KeyAnswer
from ledger.api.batches import BatchAnswer
from ledger.api.checkpoints import CheckpointView, InclusionView, SigningKeysView
from ledger.api.command_table import COMMAND_ROUTES, CommandRoute
from ledger.api.naming import DisplayNameBody
from ledger.api.period_answers import PeriodsView
from ledger.api.problem_pages import ProblemPage
from ledger.api.problems import Problem
from ledger.api.views import WorkspaceView
from ledger.checks import LABELS, PATTERNS, REASON_REQUIRED, TERMS_MAX, TEXTS
from ledger.core import identifiers as ids
from ledger.core.amounts import UNIT_PATTERN, VALUE_JSON_PATTERN
from ledger.operating import (
    END_USER_LENGTH_MAX,
    Caller,
    EndUserBody,
    EndUserHash,
    Health,
    PinnedResponse,
    RefusedCalls,
    RefusedCallsPage,
    TokenBody,
)
from ledger.workspace.commands import IssueApiKey

REF = "#/components/schemas/{name}"
ANSWER_TYPES = (
    CommandAnswer, KeyAnswer, BatchAnswer, Balance, Balances, WorkspaceView, PeriodsView, CheckpointView, InclusionView,
    SigningKeysView, ProblemPage, Problem,
)  # fmt: skip
OPERATING_TYPES = (
    Caller, EndUserBody, EndUserHash, Health, PinnedResponse, RefusedCalls, RefusedCallsPage, TokenBody,
)  # fmt: skip
IN_BATCH = "InBatch"
PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f]*$"
LABEL_RULES = {"minLength": 1, "maxLength": ids.LABEL_LENGTH_MAX, "pattern": PRINTABLE}

Schema = dict[str, Any]


def all_schemas() -> dict[str, Schema]:
    """Return every schema by name: bodies, each command as a member of a batch, and answers."""
    bodies = tuple(route.body for route in COMMAND_ROUTES)
    _, components = msgspec.json.schema_components(
        (*bodies, DisplayNameBody, *ANSWER_TYPES, *OPERATING_TYPES), ref_template=REF
    )
    schemas: dict[str, Schema] = deepcopy(components)
    for schema in schemas.values():
        narrow(schema)
    for route in COMMAND_ROUTES:
        schema = schemas[route.body.__name__]
        if route.command is not IssueApiKey:
            schemas[route.body.__name__ + IN_BATCH] = batch_member(schema, route)
        single_post(schema, route)
    schemas["StatedAmount"]["properties"]["value"]["pattern"] = VALUE_JSON_PATTERN
    schemas["StatedAmount"]["properties"]["unit"]["pattern"] = json_pattern(UNIT_PATTERN)
    schemas["Problem"]["additionalProperties"] = True
    return schemas


def json_pattern(pattern: Any) -> str:
    """Return a pattern in the dialect that JSON Schema and Python's `re.search` share."""
    return "^" + str(pattern.pattern).removesuffix(r"\Z") + r"$(?!\n)"


def narrow(schema: Schema) -> None:
    """Give the texts of a command their patterns and lengths; leave answers as they are."""
    properties: dict[str, Schema] = schema.get("properties", {})
    if "kind" not in properties:
        return
    if "terms" in properties:
        properties["terms"]["maxItems"] = TERMS_MAX
        properties["terms"]["items"].update(LABEL_RULES)
    for field, declared in properties.items():
        for choice in declared.get("anyOf", [declared]):
            if choice.get("type") == "string" and "format" not in choice:
                choice.update(text_rules(field))
    schema["additionalProperties"] = False


def text_rules(field: str) -> Schema:
    """Return what a text field of a command must look like, by the field's name."""
    if field == "end_user":
        return {"minLength": 1, "maxLength": END_USER_LENGTH_MAX, "pattern": PRINTABLE}
    if field == "workspace_id":
        return {"pattern": json_pattern(ids.WORKSPACE_PATTERN)}
    if field in PATTERNS:
        return {"pattern": json_pattern(PATTERNS[field])}
    if field in LABELS:
        return LABEL_RULES
    lengths = {**TEXTS, "reason": ids.TEXT_LENGTH_MAX, "trace_id": ids.LABEL_LENGTH_MAX}
    if field in lengths:
        return {"maxLength": lengths[field], "pattern": PRINTABLE}
    return {}


def single_post(schema: Schema, route: CommandRoute) -> None:
    """Say which fields a post must state itself: not `kind`, and no id that the path or the key fills."""
    filled = {"kind", *route.path_fields, route.key_field}
    state_required(schema, [name for name in required(schema, route) if name not in filled])
    for name in filled & schema["properties"].keys():
        schema["properties"][name].pop("default", None)


def batch_member(schema: Schema, route: CommandRoute) -> Schema:
    """Return the schema of a command among others: it names its kind and all its ids itself."""
    member = deepcopy(schema)
    filled = sorted({*route.path_fields, route.key_field} - {""})
    state_required(member, ["kind", *filled, *required(schema, route)])
    return member


def required(schema: Schema, route: CommandRoute) -> list[str]:
    """Return the fields of a command that have no default, or one that is only good for being filled."""
    names = list(schema.get("required", ()))
    for field, declared in schema["properties"].items():
        is_id = field in PATTERNS or field == "workspace_id"
        if is_id and declared.get("default") == "":
            names.append(field)
    if issubclass(route.command, REASON_REQUIRED):
        names.append("reason")
    return names


def state_required(schema: Schema, names: list[str]) -> None:
    """Make fields required, each once and without a default."""
    schema["required"] = list(dict.fromkeys(names))
    for name in names:
        schema["properties"][name].pop("default", None)
