"""A workspace's projects and keys as a value, folded from its own stream."""

import msgspec

from ledger.workspace import events


class Project(msgspec.Struct, frozen=True):
    """A project and its spend limits."""

    project_id: str
    spend_limits: tuple[events.SpendLimit, ...] = ()


class ApiKey(msgspec.Struct, frozen=True):
    """A key as issued, with its limits as they are now."""

    api_key_id: str
    secret_hash: str
    scopes: tuple[str, ...]
    project_id: str | None
    limits: events.KeyLimits
    revoked: bool = False


class SigningKey(msgspec.Struct, frozen=True):
    """A public key that checkpoints are or were signed with, as published."""

    key_id: str
    name: str
    public_key: str
    replaces: str | None


class WorkspaceState(msgspec.Struct, frozen=True):
    """Who may do what in one workspace. `version` counts the events of its stream; 0 is no workspace yet.

    `closed_periods` has the first instant after each closed month; `closed_period` is the last of them, "" for none,
    and `closed_until` its instant. `reopened` counts how often a month was reopened.
    """

    workspace_id: str
    version: int = 0
    time_zone: str = "UTC"
    projects: dict[str, Project] = {}
    api_keys: dict[str, ApiKey] = {}
    closed_periods: dict[str, int] = {}
    closed_period: str = ""
    closed_until: int = 0
    reopened: dict[str, int] = {}
    signing_keys: tuple[SigningKey, ...] = ()


def fold_workspace(state: WorkspaceState, event: events.WorkspaceEvent) -> WorkspaceState:
    """Return the workspace after one more event of its stream."""
    state = msgspec.structs.replace(state, version=state.version + 1)
    match event:
        case events.WorkspaceCreated(time_zone=time_zone):
            return msgspec.structs.replace(state, time_zone=time_zone)
        case events.ProjectCreated(project_id=name, spend_limits=limits):
            return with_project(state, Project(name, limits))
        case events.ProjectLimitsChanged(project_id=name, spend_limits=limits):
            return with_project(state, Project(name, limits))
        case events.ApiKeyIssued():
            key = ApiKey(event.api_key_id, event.secret_hash, event.scopes, event.project_id, event.limits)
            return with_key(state, key)
        case events.ApiKeyLimitsChanged(api_key_id=name, limits=key_limits):
            return with_key(state, msgspec.structs.replace(state.api_keys[name], limits=key_limits))
        case events.ApiKeyRevoked(api_key_id=name):
            return with_key(state, msgspec.structs.replace(state.api_keys[name], revoked=True))
        case events.PeriodClosed(period=period, until=until):
            return with_closed(state, {**state.closed_periods, period: until})
        case events.PeriodReopened(period=period):
            state = with_closed(state, {name: end for name, end in state.closed_periods.items() if name != period})
            return msgspec.structs.replace(
                state, reopened={**state.reopened, period: state.reopened.get(period, 0) + 1}
            )
        case events.SigningKeyPublished():
            published = SigningKey(event.key_id, event.name, event.public_key, event.replaces)
            return msgspec.structs.replace(state, signing_keys=(*state.signing_keys, published))
    raise TypeError(f"{type(event).__name__} is no event of a workspace")


def with_closed(state: WorkspaceState, periods: dict[str, int]) -> WorkspaceState:
    """Return the workspace with other closed months."""
    last = max(periods, default="")
    return msgspec.structs.replace(state, closed_periods=periods, closed_period=last, closed_until=periods.get(last, 0))


def with_project(state: WorkspaceState, project: Project) -> WorkspaceState:
    """Return the workspace with a project added or replaced."""
    return msgspec.structs.replace(state, projects={**state.projects, project.project_id: project})


def with_key(state: WorkspaceState, key: ApiKey) -> WorkspaceState:
    """Return the workspace with a key added or replaced."""
    return msgspec.structs.replace(state, api_keys={**state.api_keys, key.api_key_id: key})
