"""All commands as one tagged union, their identities, and the checks that need nothing but the command.

`expire_request` is the sweeper's own: it is decided like the others but is not among `PublicCommand`.
"""

from typing import Any

from ledger.catalog import commands as catalog
from ledger.core.commands import Command
from ledger.request import commands as request
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace

RequestCommands = (
    request.RouteRequest
    | request.ExtendHold
    | request.RecordAttempt
    | request.TakeFallback
    | request.SettleRequest
    | request.ReleaseRequest
    | request.RefundCharge
    | request.CorrectCharge
)
WalletCommands = (
    wallet.OpenWallet
    | wallet.SetCreditLimit
    | wallet.FreezeWallet
    | wallet.UnfreezeWallet
    | wallet.AddFunds
    | wallet.GrantFunds
    | wallet.ReverseFunds
    | wallet.WithdrawFunds
    | wallet.PostAdjustment
    | wallet.ExchangeBuckets
)
WorkspaceCommands = (
    workspace.CreateWorkspace
    | workspace.CreateProject
    | workspace.SetProjectLimits
    | workspace.IssueApiKey
    | workspace.SetApiKeyLimits
    | workspace.RevokeApiKey
    | workspace.PublishSigningKey
    | workspace.ClosePeriod
    | workspace.ReopenPeriod
)
CatalogCommands = (
    catalog.DefineBucket
    | catalog.PublishProvider
    | catalog.PublishRoute
    | catalog.PublishModel
    | catalog.PublishRateCard
    | catalog.SuspendRoute
    | catalog.ResumeRoute
    | catalog.RecordConfig
)
PublicCommand = RequestCommands | WalletCommands | WorkspaceCommands | CatalogCommands
"""What may come from outside: the bodies of all posts."""

COMMAND_TYPES: tuple[type[Command], ...] = PublicCommand.__args__
KINDS: dict[type[Command], str] = {kind: str(kind.__struct_config__.tag) for kind in COMMAND_TYPES}


def command_id_of(command: Command) -> str:
    """Return the identity of a command within its workspace's book."""
    match command:
        case request.RequestCommand():
            return request.request_command_id(command)
        case wallet.WalletCommand():
            return wallet.wallet_command_id(command)
        case workspace.WorkspaceCommand():
            return workspace.workspace_command_id(command)
        case catalog.CatalogCommand():
            return catalog.catalog_command_id(command)
    raise TypeError(f"{type(command).__name__} is no command")


def stated_fields(command: Command) -> dict[str, Any]:
    """Return a command's own fields by name, without those that every command has."""
    return {
        name: getattr(command, name)
        for name in command.__struct_fields__
        if name not in Command.__struct_fields__ and name != "request_id"
    }
