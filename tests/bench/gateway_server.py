"""A server in a process of its own: the whole service as `serve` runs it, or a pass-through without books.

`python -m tests.bench.gateway_server gateway|pass URL PORT UPSTREAM_PORT DIRECTORY` says a caller's key on a line once
it answers. Then it answers each line that it hears with what it has used until now, and stops at SIGTERM.
"""

import os
import sys
from pathlib import Path
from threading import Thread
from time import process_time

import msgspec

from gateway.app import close_service, create_service_app, open_service
from gateway.configuration import apply_configuration, parse_configuration
from gateway.demo.configuration import demo_configuration, upstream_key
from gateway.demo.scene import SCENE, WORKSPACE
from gateway.server import Occasions, run_server
from gateway.tools.edge import edge_of
from ledger.core.amounts import StatedAmount
from ledger.service import SYSTEM, Ledger
from ledger.wallet.commands import AddFunds
from ledger.workspace.commands import IssueApiKey
from tests.bench.gateway_pass import create_pass_through
from tests.bench.http_posts import HOST
from tests.bench.http_server import nothing, tell
from tests.bench.machine import resident_bytes

FUNDS = AddFunds(
    workspace_id=WORKSPACE,
    bucket="credit",
    amount=StatedAmount("1000000", "CREDIT"),
    source="stripe",
    reference="bench",
)
KEY = IssueApiKey(workspace_id=WORKSPACE, api_key_id="bench", scopes=("call",))


class Used(msgspec.Struct, frozen=True):
    """Processor time of a process since its start, all of its threads together, and its memory."""

    cpu_seconds: float
    resident_bytes: int


def serve_pass_through(port: int, upstream_port: int) -> None:
    """Serve the pass-through."""
    run_server(create_pass_through(upstream_port), HOST, port, Occasions(lambda: tell("ready"), nothing, nothing))


def serve_gateway(url: str, port: int, upstream_port: int, directory: Path) -> None:
    """Serve the service: writer, sweeper, companion and edge. Verification alone is off."""
    upstream_key()
    text = demo_configuration(HOST, upstream_port)
    service = open_service(url, "production", 0)
    try:
        token = set_scene(service.ledger, text)
        app = create_service_app(service, edge_of(text, directory / "spool"))
        run_server(app, HOST, port, Occasions(lambda: tell(token), nothing, service.context.drain))
    finally:
        close_service(service)


def set_scene(ledger: Ledger, configuration: str) -> str:
    """Publish the catalog, open and fund a workspace, and return the key of a caller."""
    apply_configuration(ledger, parse_configuration(configuration), actor=SYSTEM)
    for outcome in ledger.execute_many([*SCENE, FUNDS], SYSTEM):
        assert outcome.refused is None, outcome.refused
    return ledger.issue_key(KEY, SYSTEM).token or ""


def answer_questions() -> None:
    """Answer every line of standard input for as long as the process lives."""
    # Not `sys.stdin`: its lock can't be had at the interpreter's end while a thread waits in it.
    while os.read(0, 1024):
        tell(msgspec.json.encode(Used(process_time(), resident_bytes())).decode())


if __name__ == "__main__":
    Thread(target=answer_questions, daemon=True).start()
    if sys.argv[1] == "gateway":
        serve_gateway(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    else:
        serve_pass_through(int(sys.argv[3]), int(sys.argv[4]))
