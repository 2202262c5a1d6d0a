"""A server in a process of its own: the real application, or an empty endpoint behind the same server.

`python -m tests.bench.http_server ledger|empty URL PORT` says the admin key on a line once it answers, and stops
at SIGTERM.
"""

import sys

from gateway.app import close_service, create_service_app, open_service
from gateway.server import Occasions, run_server
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM
from ledger.workspace.commands import IssueApiKey
from tests.bench.http_empty import create_empty_app
from tests.bench.http_posts import HOST


def serve_empty(port: int) -> None:
    """Serve an application with one endpoint and nothing else."""
    run_server(create_empty_app(), HOST, port, Occasions(lambda: tell("ready"), nothing, nothing))


def serve_ledger(url: str, port: int) -> None:
    """Serve the real application, followers included."""
    service = open_service(url, "production", 0)
    try:
        command = IssueApiKey(workspace_id=PLATFORM, api_key_id="bench", scopes=("post", "read"))
        token = service.ledger.issue_key(command, SYSTEM).token
        run_server(create_service_app(service), HOST, port, Occasions(lambda: tell(token or ""), nothing, nothing))
    finally:
        close_service(service)


def nothing() -> None:
    """Nobody reloads or watches a benchmark's server."""


def tell(line: str) -> None:
    """Say a line to whoever started this process."""
    print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "ledger":
        serve_ledger(sys.argv[2], int(sys.argv[3]))
    else:
        serve_empty(int(sys.argv[3]))
