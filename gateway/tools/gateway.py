"""`route-ledger gateway`: the edge alone, in front of a ledger elsewhere."""

import logging
import os
from pathlib import Path

from gateway.apart import Draining, create_gateway_app
from gateway.server import Occasions, run_server
from gateway.tools.edge import read_edge
from gateway.tools.failures import ToolFailed
from gateway.tools.serve import require_free_port
from gateway.tools.voice import say

log = logging.getLogger(__name__)

KEY_VARIABLE = "ROUTE_LEDGER_KEY"
DEFAULT_SPOOL = Path("data/spool")


def serve_gateway(ledger: str, host: str, port: int, config: Path) -> int:
    """Serve calls until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise ToolFailed(f"set {KEY_VARIABLE} to a key of the platform with the scopes post and read")
    require_free_port(host, port)
    draining = Draining()
    app = create_gateway_app(ledger, key, read_edge(config, DEFAULT_SPOOL), draining)
    occasions = Occasions(
        ready=lambda: say(f"The gateway is ready at http://{host}:{port}/v1, with its books at {ledger}"),
        reload=lambda: log.warning("SIGHUP: a gateway follows the catalog by itself; restart it for other settings"),
        stopping=draining.begin,
    )
    run_server(app, host, port, occasions)
    return 0
