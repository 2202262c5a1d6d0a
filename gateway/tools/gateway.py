"""`route-ledger gateway`: the edge alone, in front of a ledger elsewhere."""

import logging
import os
from pathlib import Path

import httpx

from gateway.apart import Draining, create_gateway_app
from gateway.ledger_http import client_settings
from gateway.server import Occasions, run_server
from gateway.tools.edge import read_edge
from gateway.tools.failures import WrongUsage
from gateway.tools.serve import require_free_port
from gateway.tools.voice import say

log = logging.getLogger(__name__)

KEY_VARIABLE = "ROUTE_LEDGER_KEY"
DEFAULT_SPOOL = Path("data/spool")


def serve_gateway(ledger: str, host: str, port: int, config: Path, *, metrics_open: bool = False) -> int:
    """Serve calls until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # A line for every call of the ledger is no news.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise WrongUsage(f"set {KEY_VARIABLE} to a key of the platform with the scopes post and read")
    require_address(ledger, key)
    require_free_port(host, port)
    draining = Draining()
    app = create_gateway_app(ledger, key, read_edge(config, DEFAULT_SPOOL), draining, metrics_open=metrics_open)
    occasions = Occasions(
        ready=lambda: say(f"The gateway is ready at http://{host}:{port}/v1, with its books at {ledger}"),
        reload=lambda: log.warning("SIGHUP: a gateway follows the catalog by itself; restart it for other settings"),
        stopping=draining.begin,
    )
    run_server(app, host, port, occasions)
    return 0


def require_address(ledger: str, key: str) -> None:
    """Fail before anything is started when no ledger can be asked at an address, or not with this key."""
    try:
        host = httpx.URL(client_settings(ledger, key)["base_url"]).host
    except (ValueError, httpx.InvalidURL) as error:
        raise WrongUsage(f"--ledger {ledger}: {error}") from None
    if not host:
        raise WrongUsage(f"--ledger {ledger}: the address names no host")
