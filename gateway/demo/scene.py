"""The demo's workspace: two wallets that never mix, funds, and keys kept in a file only its owner can read."""

import os
from datetime import UTC, datetime
from pathlib import Path

from gateway.demo.history import set_history
from gateway.tools.failures import ToolFailed
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM, Ledger
from ledger.wallet.commands import AddFunds, OpenWallet
from ledger.wallet.events import Paid
from ledger.workspace.commands import CreateProject, CreateWorkspace, IssueApiKey, StatedKeyLimits

WORKSPACE = "acme"
PROJECT = "assistant"
KEYS_FILE = "keys.env"

SCENE: tuple[Command, ...] = (
    CreateWorkspace(workspace_id=WORKSPACE, time_zone="Asia/Shanghai"),
    CreateProject(workspace_id=WORKSPACE, project_id=PROJECT),
    OpenWallet(workspace_id=WORKSPACE, bucket="credit"),
    OpenWallet(workspace_id=WORKSPACE, bucket="rmb"),
    AddFunds(
        workspace_id=WORKSPACE,
        bucket="credit",
        amount=StatedAmount("100", "CREDIT"),
        source="stripe",
        reference="demo-payment-1",
        paid=Paid("20.00", "USD", "0.88", "pi_demo_1"),
    ),
    AddFunds(
        workspace_id=WORKSPACE,
        bucket="rmb",
        amount=StatedAmount("200", "CNY"),
        source="alipay",
        reference="demo-payment-2",
        paid=Paid("200.00", "CNY", "1.20", "2026112122001"),
    ),
)


def demo_keys(number: int) -> dict[str, IssueApiKey]:
    """Return the commands for the demo's keys, by the name of the variable that holds their token.

    The number makes their ids new when the file with the first ones was lost.
    """
    suffix = "" if number == 0 else f"-{number}"
    return {
        "GATEWAY_KEY": IssueApiKey(workspace_id=PLATFORM, api_key_id=f"gateway{suffix}", scopes=("post", "read")),
        "FINANCE_KEY": IssueApiKey(
            workspace_id=PLATFORM, api_key_id=f"finance{suffix}", scopes=("admin", "fund", "read", "audit")
        ),
        "CUSTOMER_KEY": IssueApiKey(
            workspace_id=WORKSPACE,
            api_key_id=f"app{suffix}",
            scopes=("call", "read"),
            limits=StatedKeyLimits(allow_bucket_change=True),
        ),
    }


def set_scene(ledger: Ledger, data: Path, address: str) -> Path:
    """Make both workspaces, their funds and keys where they are missing; return the file with the keys to use."""
    for command, outcome in zip(SCENE, ledger.execute_many(SCENE, SYSTEM), strict=True):
        if outcome.refused is not None:
            raise ToolFailed(f"the demo could not be set up at {type(command).__name__}: {outcome.refused.detail}")
    set_history(ledger)
    file = data / KEYS_FILE
    tokens = read_tokens(file) or issue_tokens(ledger)
    write_tokens(file, tokens, address)
    return file


def issue_tokens(ledger: Ledger) -> dict[str, str]:
    """Issue the demo's keys and return their tokens by variable."""
    number = 0
    tokens: dict[str, str] = {}
    while not tokens:
        issued = {name: ledger.issue_key(command, SYSTEM) for name, command in demo_keys(number).items()}
        tokens = {name: key.token for name, key in issued.items() if key.token is not None}
        if len(tokens) < len(issued):
            # An earlier start issued these and its file is gone.
            tokens = {}
            number = int(datetime.now(UTC).timestamp())
    return tokens


def read_tokens(file: Path) -> dict[str, str]:
    """Return the tokens that an earlier start has kept; empty when there are none."""
    if not file.is_file():
        return {}
    lines = [line.removeprefix("export ") for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("=") for line in lines if "=" in line]
    return {name: value for name, _, value in pairs if name.endswith("_KEY")}


def write_tokens(file: Path, tokens: dict[str, str], address: str) -> None:
    """Keep the tokens and the service's address as shell variables, readable by their owner only."""
    new = file.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(f"export LEDGER={address}/ledger/v1\nexport GATEWAY={address}/v1\n")
        out.writelines(f"export {name}={token}\n" for name, token in tokens.items())
    new.replace(file)
