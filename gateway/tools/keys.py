"""`route-ledger keys`: keys made straight in the database, by whoever may read its directory."""

from pathlib import Path
from typing import cast

from gateway.database import existing_database
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.voice import note, say
from ledger.service import SYSTEM, Ledger
from ledger.store.install import read_purpose
from ledger.workspace.commands import SCOPES, IssueApiKey, Scope


def run_issue(key: str, workspace: str, scopes: tuple[str, ...], project: str | None, data: Path) -> int:
    """Issue a key and print its token on standard output."""
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        raise WrongUsage(f"there is no scope {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}")
    with existing_database(data) as url, Ledger(url, purpose=read_purpose(url)) as ledger:
        command = IssueApiKey(
            workspace_id=workspace,
            api_key_id=key,
            scopes=cast("tuple[Scope, ...]", scopes),
            project_id=project,
        )
        issued = ledger.issue_key(command, SYSTEM)
        if issued.outcome.refused is not None:
            raise issued.outcome.refused
        if issued.token is None:
            raise ToolFailed(f"key {key} exists, and its token was shown when it was issued: choose another id")
    note("This token is shown once:")
    say(issued.token)
    return 0
