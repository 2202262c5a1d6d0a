"""What an admin may ask of a workspace, its projects and keys: each kind has one path, body and event."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM

Scope = Literal["call", "read", "post", "fund", "audit", "admin"]
SCOPES: tuple[str, ...] = ("call", "read", "post", "fund", "audit", "admin")
PLATFORM_SCOPES = frozenset({"post", "fund", "admin"})
"""Scopes that only keys in the platform's own book may have."""

PerMinute = Annotated[int, Meta(ge=1, le=10**9)]
Closing = Annotated[int, Meta(ge=1, le=10_000)]


class StatedSpendLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `limit` held and charged in a bucket in each day or month of the workspace's time zone."""

    bucket: str
    period: Literal["day", "month"]
    limit: StatedAmount


class StatedKeyLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a key may use; None for models or buckets means all of them."""

    spend: tuple[StatedSpendLimit, ...] = ()
    models: tuple[str, ...] | None = None
    buckets: tuple[str, ...] | None = None
    allow_bucket_change: bool = False
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None


class WorkspaceCommand(Command, frozen=True, kw_only=True):
    """Base of all commands on a workspace itself."""


class CreateWorkspace(WorkspaceCommand, frozen=True, kw_only=True, tag="create_workspace"):
    """Begin a tenant's book."""

    time_zone: str = "UTC"


class CreateProject(WorkspaceCommand, frozen=True, kw_only=True, tag="create_project"):
    """Add a project, with spend limits if any."""

    project_id: str = ""
    spend_limits: tuple[StatedSpendLimit, ...] = ()


class SetProjectLimits(WorkspaceCommand, frozen=True, kw_only=True, tag="set_project_limits"):
    """Replace a project's spend limits."""

    change_id: str = ""
    project_id: str = ""
    spend_limits: tuple[StatedSpendLimit, ...]


class IssueApiKey(WorkspaceCommand, frozen=True, kw_only=True, tag="issue_api_key"):
    """Issue a key. The service makes the secret and hands only its keyed hash (`secret_hash`) to the book."""

    api_key_id: str = ""
    scopes: tuple[Scope, ...]
    project_id: str | None = None
    limits: StatedKeyLimits = StatedKeyLimits()
    secret_hash: str = ""


class SetApiKeyLimits(WorkspaceCommand, frozen=True, kw_only=True, tag="set_api_key_limits"):
    """Replace a key's limits."""

    change_id: str = ""
    api_key_id: str = ""
    limits: StatedKeyLimits


class RevokeApiKey(WorkspaceCommand, frozen=True, kw_only=True, tag="revoke_api_key"):
    """Refuse the key from now on."""

    api_key_id: str = ""


class ClosePeriod(WorkspaceCommand, frozen=True, kw_only=True, tag="close_period"):
    """Close a month of the workspace's time zone, such as 2026-10: what comes late is posted after it.

    `closing` is the number of this closing of the month: 1, or one more than the times it was reopened. Without it
    the next one is meant, or the same one where the month is closed.
    """

    period: str
    closing: Closing | None = None


class ReopenPeriod(WorkspaceCommand, frozen=True, kw_only=True, tag="reopen_period"):
    """Let the last closed month take postings again. `closing` is the number of the closing that this undoes."""

    period: str = ""
    closing: Closing | None = None


class PublishSigningKey(WorkspaceCommand, frozen=True, kw_only=True, tag="publish_signing_key"):
    """Publish the Ed25519 key that signs checkpoints from now on, in the place of the one that it `replaces`.

    `key_id` is the hash in hex by which notes name the key, `public_key` 32 bytes in base64.
    """

    workspace_id: str = PLATFORM
    key_id: str
    name: str
    public_key: str
    replaces: str | None = None


def workspace_command_id(command: WorkspaceCommand) -> str:
    """Return the identity of a command on a workspace. The leading @ keeps it apart from any request's id."""
    match command:
        case CreateWorkspace():
            return "@workspace"
        case CreateProject(project_id=name):
            return f"@project/{name}"
        case IssueApiKey(api_key_id=name):
            return f"@api_key/{name}"
        case RevokeApiKey(api_key_id=name):
            return f"@api_key_revoked/{name}"
        case SetProjectLimits(change_id=name) | SetApiKeyLimits(change_id=name):
            return f"@limits/{name}"
        case PublishSigningKey(key_id=name):
            return f"@signing_key/{name}"
        case ClosePeriod():
            return f"@period_closed/{command.period}/{command.closing or 1}"
        case ReopenPeriod():
            return f"@period_reopened/{command.period}/{command.closing or 1}"
    raise TypeError(f"{type(command).__name__} is no command on a workspace")
