"""What can happen to a workspace, its projects, keys and periods. Fields are only ever added, with a default.

All of it is in one stream of the workspace's own book, so that a revocation orders exactly with holds.
"""

import msgspec


class SpendLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most this much held and charged in a bucket in each `day` or `month` of the workspace."""

    bucket: str
    unit: str
    period: str
    limit_minor: int


class KeyLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a key may use. None for models or buckets means all of them; absent limits mean none."""

    spend: tuple[SpendLimit, ...] = ()
    models: tuple[str, ...] | None = None
    buckets: tuple[str, ...] | None = None
    allow_bucket_change: bool = False
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class AccountBalance(msgspec.Struct, frozen=True):
    """An account's balance when a period was closed: debit less credit, in the bucket's smallest parts."""

    bucket: str
    account: str
    balance_minor: int


class WorkspaceEvent(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="tag"):
    """Base of all events in a workspace's own stream."""


class WorkspaceCreated(WorkspaceEvent, frozen=True, tag="workspace_created.v1"):
    """A tenant's book begins. Days and months of its budgets and statements are those of its time zone."""

    time_zone: str = "UTC"


class ProjectCreated(WorkspaceEvent, frozen=True, tag="project_created.v1"):
    """A project groups keys and may have spend limits."""

    project_id: str
    spend_limits: tuple[SpendLimit, ...] = ()


class ProjectLimitsChanged(WorkspaceEvent, frozen=True, tag="project_limits_changed.v1"):
    """A project's spend limits were replaced."""

    project_id: str
    spend_limits: tuple[SpendLimit, ...]


class ApiKeyIssued(WorkspaceEvent, frozen=True, tag="api_key_issued.v1"):
    """A key was issued. `secret_hash` is a keyed hash in hex: the secret is shown once and kept nowhere."""

    api_key_id: str
    secret_hash: str
    scopes: tuple[str, ...]
    project_id: str | None = None
    limits: KeyLimits = KeyLimits()


class ApiKeyLimitsChanged(WorkspaceEvent, frozen=True, tag="api_key_limits_changed.v1"):
    """A key's limits were replaced."""

    api_key_id: str
    limits: KeyLimits


class ApiKeyRevoked(WorkspaceEvent, frozen=True, tag="api_key_revoked.v1"):
    """The key is refused from this position on."""

    api_key_id: str


class PeriodClosed(WorkspaceEvent, frozen=True, tag="period_closed.v1"):
    """Everything effective before `until` is final: the closing balance of every account is stated here."""

    period: str
    until: int
    balances: tuple[AccountBalance, ...] = ()


class SigningKeyPublished(WorkspaceEvent, frozen=True, tag="signing_key_published.v1"):
    """Checkpoints are signed with this Ed25519 key from now on. Only in the platform's own book.

    `key_id` is the key's hash in notes in hex, `name` the name that signatures carry, `public_key` 32 bytes in base64.
    The key that it `replaces` stays good for the checkpoints that it signed.
    """

    key_id: str
    name: str
    public_key: str
    replaces: str | None = None


class PeriodReopened(WorkspaceEvent, frozen=True, tag="period_reopened.v1"):
    """A closed period takes postings again."""

    period: str
