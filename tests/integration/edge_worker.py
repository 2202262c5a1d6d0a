"""A server that is killed many times: one process loads everything once and forks a life of the server whenever told.

`python -m tests.integration.edge_worker` reads orders as lines of JSON with the fields of `Order`, and says the
process id of each life on a line. Whoever ordered a life may kill it by that; the next order does it anyway, and so
does the end of the input.
"""

import logging
import os
import signal
import sys
from pathlib import Path

import msgspec

from gateway.app import Service, create_service_app
from gateway.companion import Companion, Errand
from gateway.server import Occasions, run_server
from gateway.tools.edge import read_edge
from ledger.api.context import ApiContext
from ledger.service import Ledger
from projections.reading import JournalReader


class Order(msgspec.Struct, frozen=True):
    """Where a life of the server works, and where it listens."""

    url: str
    port: int
    configuration: str
    spool: str


def live(order: Order) -> None:
    """Serve until killed. The companion is not started: nothing here asks for what it does."""
    logging.basicConfig(level=logging.WARNING)
    edge = read_edge(Path(order.configuration), Path(order.spool))
    with Ledger(order.url) as ledger:
        service = Service(ledger, JournalReader(order.url), Companion(Errand(order.url, 0)), ApiContext(ledger))
        occasions = Occasions(nothing, nothing, service.context.drain)
        run_server(create_service_app(service, edge), "127.0.0.1", order.port, occasions)


def nothing() -> None:
    """Nobody is told."""


def main() -> None:
    """Fork a life for each order, one after the other, until there are no more."""
    life: int | None = None
    for line in sys.stdin.buffer:
        end(life)
        order = msgspec.json.decode(line, type=Order)
        life = os.fork()
        if life == 0:
            sys.stdin.close()
            live(order)
            return
        sys.stdout.write(f"{life}\n")
        sys.stdout.flush()
    end(life)


def end(life: int | None) -> None:
    """Make sure that a life is over. Until here its id is nobody else's, even where it was killed before."""
    if life is not None:
        os.kill(life, signal.SIGKILL)
        os.waitpid(life, 0)


if __name__ == "__main__":
    main()
