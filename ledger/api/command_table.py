"""Every command of the API: its kind, path, body, scope, and what fills its ids.

One table for the handlers, the API's description, `ledger/README.md` and clients. No framework is imported.
"""

import re
from functools import cached_property
from typing import Any

import msgspec

from ledger.catalog import commands as catalog
from ledger.commands import KINDS
from ledger.core.commands import Command
from ledger.request import commands as request
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace

BASE_PATH = "/ledger/v1"
COMMANDS_PATH = "/commands"
COMMANDS_MAX = 1000
_PLACEHOLDER = re.compile(r"{(\w+)}")


class NewApiKey(workspace.WorkspaceCommand, frozen=True, kw_only=True, tag="issue_api_key"):
    """Issue a key. Its token is in the answer, once."""

    api_key_id: str = ""
    scopes: tuple[workspace.Scope, ...]
    project_id: str | None = None
    limits: workspace.StatedKeyLimits = workspace.StatedKeyLimits()

    def to_command(self) -> workspace.IssueApiKey:
        """Return the command, whose secret only the service makes."""
        return workspace.IssueApiKey(**{name: getattr(self, name) for name in self.__struct_fields__})


class CommandRoute(msgspec.Struct, frozen=True, dict=True):
    """Where a command is posted and who may. `key_field` is what the Idempotency-Key fills, "" where none is asked."""

    command: type[Command]
    path: str
    scope: str
    key_field: str = ""

    @property
    def kind(self) -> str:
        """The command's stable name."""
        return KINDS[self.command]

    @property
    def body(self) -> type[Command]:
        """The type of the body."""
        return NewApiKey if self.command is workspace.IssueApiKey else self.command

    @cached_property
    def path_fields(self) -> tuple[str, ...]:
        """The fields that the path fills."""
        return tuple(_PLACEHOLDER.findall(self.path))

    @property
    def typed_path(self) -> str:
        """The path as the framework writes it, with the type of each placeholder."""
        return _PLACEHOLDER.sub(r"{\1:str}", self.path)


def _wallet(command: type[Command], name: str, scope: str, key_field: str = "") -> CommandRoute:
    return CommandRoute(command, f"/wallets/{{workspace_id}}/{{bucket}}{name}", scope, key_field)


def _request(command: type[Command], name: str, scope: str = "post", key_field: str = "") -> CommandRoute:
    return CommandRoute(command, f"/requests/{{request_id}}/{name}", scope, key_field)


def _catalog(command: type[Command], name: str) -> CommandRoute:
    key_field = "change_id" if issubclass(command, catalog.CatalogChange) else ""
    return CommandRoute(command, f"/catalog/{name}", "admin", key_field)


KEYS = "/workspaces/{workspace_id}/keys"
PROJECTS = "/workspaces/{workspace_id}/projects"
PERIODS = "/workspaces/{workspace_id}/periods"

COMMAND_ROUTES: tuple[CommandRoute, ...] = (
    CommandRoute(request.RouteRequest, "/requests", "post"),
    _request(request.ExtendHold, "extension"),
    _request(request.RecordAttempt, "attempts"),
    _request(request.TakeFallback, "fallbacks"),
    _request(request.SettleRequest, "settlement"),
    _request(request.ReleaseRequest, "release"),
    _request(request.RefundCharge, "refunds", "fund", "refund_id"),
    _request(request.CorrectCharge, "corrections", "fund", "correction_id"),
    _wallet(wallet.OpenWallet, "", "admin"),
    _wallet(wallet.AddFunds, "/funds", "fund"),
    _wallet(wallet.GrantFunds, "/grants", "fund", "grant_id"),
    _wallet(wallet.ReverseFunds, "/reversals", "fund"),
    _wallet(wallet.WithdrawFunds, "/withdrawals", "fund"),
    _wallet(wallet.PostAdjustment, "/adjustments", "fund", "adjustment_id"),
    _wallet(wallet.ExchangeBuckets, "/exchanges", "fund", "exchange_id"),
    _wallet(wallet.SetCreditLimit, "/credit-limit", "admin", "change_id"),
    _wallet(wallet.FreezeWallet, "/freeze", "admin", "change_id"),
    _wallet(wallet.UnfreezeWallet, "/unfreeze", "admin", "change_id"),
    CommandRoute(workspace.CreateWorkspace, "/workspaces", "admin"),
    CommandRoute(workspace.CreateProject, PROJECTS, "admin"),
    CommandRoute(workspace.SetProjectLimits, PROJECTS + "/{project_id}/limits", "admin", "change_id"),
    CommandRoute(workspace.IssueApiKey, KEYS, "admin"),
    CommandRoute(workspace.SetApiKeyLimits, KEYS + "/{api_key_id}/limits", "admin", "change_id"),
    CommandRoute(workspace.RevokeApiKey, KEYS + "/{api_key_id}/revocation", "admin"),
    CommandRoute(workspace.PublishSigningKey, "/signing-keys", "admin"),
    CommandRoute(workspace.ClosePeriod, PERIODS, "admin"),
    CommandRoute(workspace.ReopenPeriod, PERIODS + "/{period}/reopening", "admin"),
    _catalog(catalog.DefineBucket, "buckets"),
    _catalog(catalog.PublishProvider, "providers"),
    _catalog(catalog.PublishRateCard, "rate-cards"),
    _catalog(catalog.PublishRoute, "routes"),
    _catalog(catalog.PublishModel, "models"),
    _catalog(catalog.SuspendRoute, "routes/{route}/suspension"),
    _catalog(catalog.ResumeRoute, "routes/{route}/resumption"),
    _catalog(catalog.RecordConfig, "config"),
)

SCOPE_OF: dict[type[Command], str] = {route.command: route.scope for route in COMMAND_ROUTES}
POSTING_SCOPES = frozenset(SCOPE_OF.values())
"""One of these is needed to post at all; each command of a batch needs its own."""


def path_of(command: Command) -> str:
    """Return the path that a command is posted to, with its ids filled in, as clients need it."""
    route = _ROUTE_OF[type(command)]
    ids: dict[str, Any] = {name: getattr(command, name) for name in route.path_fields}
    return BASE_PATH + route.path.format(**ids)


_ROUTE_OF = {route.command: route for route in COMMAND_ROUTES}
