"""What each read of the journal takes and answers, in OpenAPI's words, by the operation's name."""

from typing import Any

import msgspec

from ledger.api.operations import ALWAYS, Operation, content, path_parameters, problems, ref
from ledger.api.schemas import json_pattern
from ledger.core.identifiers import WORKSPACE_PATTERN
from projections.api.action_operations import ACTION_TYPES, action_operations
from projections.api.answers import TrialBalance, WalletBalance
from projections.api.finance_operations import FINANCE_TYPES, finance_operations
from projections.api.journal_operations import download_operations
from projections.api.parameters import AT_LEAST, LIMIT_DEFAULT, LIMIT_MAX
from projections.api.request_operations import LINE_TYPES, either, request_operations
from projections.api.rerating_operations import RERATING_TYPES, rerating_operations
from projections.api.spend_operations import SPEND_TYPES, spend_operations
from projections.api.views import (
    AccountsView,
    EntriesPage,
    EventsPage,
    ProjectionsView,
    StatementPage,
)
from projections.receipt.answers import CustomerReceipt, Receipt

__all__ = ["journal_operations", "journal_schemas"]

ANSWERS: dict[str, tuple[str, type[msgspec.Struct], tuple[str, ...]]] = {
    "read_platform_trial_balance": ("The trial balance over all books, per bucket", TrialBalance, ()),
    "read_projections": ("How far the read models are behind the books", ProjectionsView, ()),
    "read_accounts": ("A workspace's accounts", AccountsView, ("workspace_id",)),
    "read_trial_balance": ("A workspace's trial balance, per bucket", TrialBalance, ("workspace_id",)),
    "read_entries": ("A workspace's entries with their legs", EntriesPage, ("workspace_id",)),
    "read_events": ("A workspace's events as they were recorded", EventsPage, ("workspace_id",)),
    "read_balance": ("A wallet's balances, now or at an earlier moment", WalletBalance, ("workspace_id", "bucket")),
    "read_statement": ("A wallet's statement", StatementPage, ("workspace_id", "bucket")),
    "read_receipt": ("A request's receipt: which wallet it burned, and why", Receipt, ("request_id",)),
}
AT_A_MOMENT = frozenset(
    {"read_platform_trial_balance", "read_accounts", "read_trial_balance", "read_balance", "read_statement"}
)
WITHOUT_POSITION = frozenset({"read_platform_trial_balance", "read_projections"})
PAGED = frozenset({"read_entries", "read_events", "read_statement"})
SCHEMA_REF = "#/components/schemas/{name}"


def parameter(name: str, description: str, schema: dict[str, Any]) -> Operation:
    """Return an optional query parameter."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


AT_LEAST_PARAMETER = parameter(
    AT_LEAST,
    "Answer only from this position of the book on: waits up to 5 s for it, then 503.",
    {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
)
TIME = {"type": "string", "examples": ["2026-11-20", "2026-11-20T10:15:00Z"]}
A_TIME = "an instant, itself included, or a day, which means its end. One moment only."
POSITION_PARAMETER = parameter(
    "position",
    "As of a position of the book. One moment only.",
    {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
)
MOMENT_PARAMETERS = [
    parameter("recorded_at", f"As the books were known at a time: {A_TIME}", TIME),
    parameter("effective_at", f"What had happened by a time, as it is known now: {A_TIME}", TIME),
    parameter(
        "zone",
        "With a day: the time zone in which it ends. Without it the workspace's own; over all, each workspace's own.",
        {"type": "string", "examples": ["Asia/Shanghai"]},
    ),
]
WORKSPACE_PARAMETER = parameter(
    "workspace_id",
    "Whose request it is. A key of the platform must say it.",
    {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)},
)
NOT_CHANGED = {"304": {"description": "Not changed since the ETag that was named."}}
WHO = {
    "read_balance": "Needs a key with scope `read` or `audit`; a workspace's own key sees its own.",
    "read_statement": "Needs a key with scope `read` or `audit`; a workspace's own key sees its own.",
    "read_receipt": (
        "Needs a key with scope `call`, `read` or `audit`. A workspace's own key sees its own requests, without what "
        "is the platform's alone; with `call` alone it sees the requests that were made with it. A key of the platform "
        "needs `read` or `audit`."
    ),
}
PLATFORM_ONLY = "Needs a key of the platform with scope `read` or `audit`."
PAGE_PARAMETERS = [
    parameter("cursor", "`next_cursor` of the page before.", {"type": "string"}),
    parameter(
        "limit",
        "How many at most.",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    ),
]


def journal_operations() -> dict[str, Operation]:
    """Return what every read takes and answers, by the operation's name."""
    return {
        **{name: operation_of(name) for name in ANSWERS},
        **request_operations(),
        **spend_operations(),
        **rerating_operations(),
        **action_operations(),
        **finance_operations(),
        **download_operations(),
    }


def operation_of(name: str) -> Operation:
    """Return what one read takes and answers."""
    summary, answer, fields = ANSWERS[name]
    parameters = path_parameters(fields)
    parameters += [] if name in WITHOUT_POSITION else [AT_LEAST_PARAMETER]
    parameters += [POSITION_PARAMETER] if name in AT_A_MOMENT - WITHOUT_POSITION else []
    parameters += MOMENT_PARAMETERS if name in AT_A_MOMENT else []
    parameters += PAGE_PARAMETERS if name in PAGED else []
    parameters += [WORKSPACE_PARAMETER] if name == "read_receipt" else []
    return {
        "summary": summary,
        "description": WHO.get(name, PLATFORM_ONLY),
        "tags": ["journal"],
        "parameters": parameters,
        "responses": {
            "200": {"description": summary, **content(answer_schema(answer))},
            **(NOT_CHANGED if name == "read_receipt" else {}),
            **problems(*ALWAYS, *(("404",) if fields else ())),
        },
    }


def answer_schema(answer: type[msgspec.Struct]) -> Operation:
    """Return the schema of an answer; a workspace's own key gets a receipt of its own."""
    return either(Receipt, CustomerReceipt) if answer is Receipt else ref(answer.__name__)


def journal_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of the answers by name."""
    own = [answer for _, answer, _ in ANSWERS.values()]
    types = [*own, CustomerReceipt, *LINE_TYPES, *SPEND_TYPES, *RERATING_TYPES, *ACTION_TYPES, *FINANCE_TYPES]
    _, components = msgspec.json.schema_components(types, ref_template=SCHEMA_REF)
    return components
