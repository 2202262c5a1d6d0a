"""May a workspace, project or key be changed like this? Pure: (state, command) → event, or a refusal."""

from ledger.catalog.state import Catalog
from ledger.checkpoint.keys import NoteInvalid, VerifierKey, decode_base64
from ledger.core.amounts import Unit, parse_amount
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.workspace import commands, events
from ledger.workspace.budgets import is_time_zone
from ledger.workspace.periods import StateBalances, decide_period
from ledger.workspace.state import WorkspaceState

SPEND_LIMITS_MAX = 16


def decide_workspace(
    command: commands.WorkspaceCommand,
    state: WorkspaceState,
    catalog: Catalog,
    now: int,
    state_balances: StateBalances | None = None,
) -> events.WorkspaceEvent:
    """Return the event of a command on a workspace at `now` (microseconds), or refuse.

    `state_balances` is asked where a period is closed, last of all.
    """
    match command:
        case commands.CreateWorkspace():
            return create_workspace(command, state)
        case commands.CreateProject():
            if command.project_id in state.projects:
                raise Refused(Refusal.PROJECT_EXISTS, f"project {command.project_id} exists", field="project_id")
            return events.ProjectCreated(command.project_id, spend_limits(command.spend_limits, catalog))
        case commands.SetProjectLimits():
            require_project(state, command.project_id)
            return events.ProjectLimitsChanged(command.project_id, spend_limits(command.spend_limits, catalog))
        case commands.IssueApiKey():
            return issue_key(command, state, catalog)
        case commands.SetApiKeyLimits():
            require_key(state, command.api_key_id)
            return events.ApiKeyLimitsChanged(command.api_key_id, key_limits(command.limits, catalog))
        case commands.RevokeApiKey():
            require_key(state, command.api_key_id)
            return events.ApiKeyRevoked(command.api_key_id)
        case commands.PublishSigningKey():
            return publish_signing_key(command, state)
        case commands.ClosePeriod() | commands.ReopenPeriod():
            return decide_period(command, state, catalog, now, state_balances)
    raise TypeError(f"{type(command).__name__} is no command on a workspace")


def create_workspace(command: commands.CreateWorkspace, state: WorkspaceState) -> events.WorkspaceCreated:
    """Begin a book that does not exist yet."""
    if state.version:
        raise Refused(Refusal.WORKSPACE_EXISTS, f"workspace {state.workspace_id} exists")
    if not is_time_zone(command.time_zone):
        raise Refused(Refusal.TEXT_INVALID, f"{command.time_zone[:64]!r} is no time zone", field="time_zone")
    return events.WorkspaceCreated(command.time_zone)


def require_project(state: WorkspaceState, project_id: str) -> None:
    """Refuse a project that the workspace does not have."""
    if project_id not in state.projects:
        raise Refused(Refusal.PROJECT_UNKNOWN, f"there is no project {project_id[:64]!r}", field="project_id")


def require_key(state: WorkspaceState, api_key_id: str) -> None:
    """Refuse a key that was never issued or is revoked."""
    key = state.api_keys.get(api_key_id)
    if key is None:
        raise Refused(Refusal.API_KEY_UNKNOWN, f"there is no key {api_key_id[:64]!r}", field="api_key_id")
    if key.revoked:
        raise Refused(Refusal.API_KEY_REVOKED, f"key {api_key_id} is revoked", field="api_key_id")


def issue_key(command: commands.IssueApiKey, state: WorkspaceState, catalog: Catalog) -> events.ApiKeyIssued:
    """Issue a key with a new id; scopes that post, fund or administrate only in the platform's own book."""
    if not command.scopes:
        raise Refused(Refusal.COMMAND_INCOMPLETE, "a key needs at least one scope", field="scopes")
    if command.project_id is not None:
        require_project(state, command.project_id)
    if command.api_key_id in state.api_keys:
        raise Refused(Refusal.API_KEY_EXISTS, f"key {command.api_key_id} exists", field="api_key_id")
    barred = commands.PLATFORM_SCOPES.intersection(command.scopes)
    if barred and state.workspace_id != PLATFORM:
        raise Refused(
            Refusal.SCOPE_NOT_ALLOWED,
            f"only keys of the platform may have {', '.join(sorted(barred))}",
            field="scopes",
        )
    return events.ApiKeyIssued(
        command.api_key_id,
        command.secret_hash,
        tuple(scope for scope in commands.SCOPES if scope in command.scopes),
        command.project_id,
        key_limits(command.limits, catalog),
    )


def publish_signing_key(command: commands.PublishSigningKey, state: WorkspaceState) -> events.SigningKeyPublished:
    """Publish a key in the platform's own book, in the place of the one that signs until now, if any does."""
    if state.workspace_id != PLATFORM:
        raise Refused(Refusal.WORKSPACE_UNKNOWN, "signing keys are in the platform's own book", field="workspace_id")
    try:
        key = VerifierKey(command.name, decode_base64(command.public_key, "the public key"))
    except NoteInvalid as error:
        raise Refused(Refusal.TEXT_INVALID, str(error), field="public_key") from error
    if key.key_id != command.key_id:
        raise Refused(Refusal.TEXT_INVALID, "key_id is not the hash of this name and public key", field="key_id")
    current = state.signing_keys[-1].key_id if state.signing_keys else None
    if command.replaces != current:
        raise Refused(
            Refusal.SIGNING_KEY_NOT_CURRENT,
            "no key signs checkpoints yet" if current is None else f"key {current} signs checkpoints now",
            field="replaces",
            current=current,
        )
    return events.SigningKeyPublished(command.key_id, command.name, command.public_key, command.replaces)


def spend_limits(stated: tuple[commands.StatedSpendLimit, ...], catalog: Catalog) -> tuple[events.SpendLimit, ...]:
    """Return limits in smallest parts: one per bucket and period, each in its bucket's unit."""
    if len(stated) > SPEND_LIMITS_MAX:
        raise Refused(Refusal.LIMIT_INVALID, f"at most {SPEND_LIMITS_MAX} spend limits", field="spend")
    if len({(limit.bucket, limit.period) for limit in stated}) < len(stated):
        raise Refused(Refusal.LIMIT_INVALID, "two spend limits for one bucket and period", field="spend")
    return tuple(spend_limit(limit, catalog) for limit in stated)


def spend_limit(stated: commands.StatedSpendLimit, catalog: Catalog) -> events.SpendLimit:
    """Return one limit in smallest parts of its bucket's unit. Zero means that nothing may be spent."""
    bucket = catalog.buckets.get(stated.bucket)
    if bucket is None:
        raise Refused(Refusal.BUCKET_UNKNOWN, f"there is no bucket {stated.bucket[:64]!r}", field="bucket")
    limit = parse_amount(stated.limit, Unit(bucket.unit, bucket.scale), "limit", zero=True)
    return events.SpendLimit(bucket.bucket, bucket.unit, stated.period, limit.minor)


def key_limits(stated: commands.StatedKeyLimits, catalog: Catalog) -> events.KeyLimits:
    """Return a key's limits with amounts in smallest parts; buckets that it names must exist."""
    for bucket in stated.buckets or ():
        if bucket not in catalog.buckets:
            raise Refused(Refusal.BUCKET_UNKNOWN, f"there is no bucket {bucket[:64]!r}", field="buckets")
    return events.KeyLimits(
        spend_limits(stated.spend, catalog),
        stated.models,
        stated.buckets,
        stated.allow_bucket_change,
        stated.requests_per_minute,
        stated.tokens_per_minute,
    )
